import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from policy.checkpoint import load, save
from policy.engine import Engine
from policy.errors import CheckpointError
from policy.layout import Layout
from policy.text import TextTokenizer
from tests.policy.small import CONTINUOUS, policy, request

BOX = {"kind": "box", "shape": [4], "low": [-1.0] * 4, "high": [1.0] * 4, "dtype": "float32"}


@pytest.fixture
def folder(tmp_path):
    layouts = {"toy/box": Layout("toy/box", BOX, {"kind": "discrete", "n": 3, "start": 0})}
    save(tmp_path / "step", policy(torch.float32), layouts, extra={"step": 7})
    return tmp_path / "step"


def change(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def test_a_checkpoint_is_enough_to_act(folder):
    found = load(folder)
    assert found.extra == {"step": 7}
    assert found.text is None
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    layout = found.layouts["toy/box"]
    asked = request(np.random.default_rng(0), reset=True, legal=layout.legal)
    reply = Engine(found.model, 4).act([asked])[0]
    assert np.array_equal(reply.tokens, Engine(policy(torch.float32), 4).act([asked])[0].tokens)
    assert layout.decode_action(reply.tokens).shape == (2,)


def test_the_text_tokenizer_travels_along(tmp_path):
    text = TextTokenizer.default()
    layout = Layout("toy/text", {"kind": "text", "max_length": 9}, {"kind": "discrete", "n": 2, "start": 0}, text=text)
    save(tmp_path, policy(), {"toy/text": layout}, text)
    tokens = load(tmp_path).layouts["toy/text"].encode_observation(["open the door"])
    assert np.array_equal(tokens, layout.encode_observation(["open the door"]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_weights_come_back_exactly_in_their_dtype(tmp_path, dtype):
    model = policy(dtype)
    save(tmp_path, model, {})
    again = load(tmp_path).model.state_dict()
    for name, tensor in model.state_dict().items():
        assert again[name].dtype == dtype
        assert torch.equal(again[name], tensor)


def test_saving_again_replaces(folder):
    save(folder, policy(torch.float32, seed=1), {})
    assert load(folder).layouts == {}
    assert len(list(folder.iterdir())) == 2


def test_a_missing_folder_or_file_is_named(folder):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nowhere"):
        load(folder / "nowhere")
    for name in ("model.safetensors", "config.json"):
        (folder / name).unlink()
        with pytest.raises(CheckpointError, match=f"{name} is missing"):
            load(folder)


def test_another_format_is_refused(folder):
    change(folder, format=1)
    with pytest.raises(CheckpointError, match="has format 1, this version of Ocelot reads 2 and 3"):
        load(folder)


@pytest.mark.parametrize(("bins", "table"), [(1024, False), (21, True)])
def test_the_format_before_is_read_where_it_means_the_same(tmp_path, bins, table):
    model = policy(torch.float32, action_bins=bins, value_table=table)
    save(tmp_path, model, {})
    change(tmp_path, format=2)
    assert load(tmp_path).model.config == model.config


def test_the_format_before_is_refused_where_its_bins_had_other_features(tmp_path):
    save(tmp_path, policy(torch.float32, action_bins=21), {})
    change(tmp_path, format=2)
    with pytest.raises(CheckpointError, match=r"format 2, in which the 21 bins .* train it anew"):
        load(tmp_path)


@pytest.mark.parametrize("vocabulary", [{"name": "default", "size": 99}, {"name": "martian", "size": 34307}])
def test_another_vocabulary_is_refused(folder, vocabulary):
    change(folder, vocabulary=vocabulary)
    with pytest.raises(CheckpointError, match="was made for the vocabulary"):
        load(folder)


def test_a_config_that_cannot_be_read_is_refused(folder):
    (folder / "config.json").write_text('{"format"')
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        load(folder)
    (folder / "config.json").write_text('{"format": 2}')
    with pytest.raises(CheckpointError, match="does not hold what a checkpoint needs"):
        load(folder)


def test_unknown_policy_fields_are_refused(folder):
    change(folder, policy={"layers": 1, "colour": "red"})
    with pytest.raises(CheckpointError, match="colour"):
        load(folder)


def test_a_policy_from_before_a_field_acts_as_it_did(tmp_path):
    """Policies that say nothing of `value_table` and `greedy` had a vector for each bin and took the likeliest one."""
    before = policy(torch.float32, value_table=True, greedy="mode")
    save(tmp_path, before, {})
    config = json.loads((tmp_path / "config.json").read_text())
    del config["policy"]["value_table"], config["policy"]["greedy"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = load(tmp_path).model
    assert found.config == before.config
    asked = request(np.random.default_rng(0), reset=True, legal=CONTINUOUS, temperature=0.0)
    replies = [Engine(model, 4).act([asked])[0] for model in (before, found)]
    assert np.array_equal(replies[0].tokens, replies[1].tokens)


def test_tensors_that_do_not_fit_are_named(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["value.bias"] = torch.zeros(3)
    tensors["extra"] = tensors.pop("q.bias")
    save_file(tensors, path)
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    for words in ("q.bias is missing", "extra is unknown", "value.bias has shape [3], not [128]"):
        assert words in str(caught.value)


def test_a_truncated_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load(folder)
