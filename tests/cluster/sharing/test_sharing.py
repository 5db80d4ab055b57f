"""Out and in again: the same policy, a card of what was measured, and nothing taken on trust."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from cluster.rundir import find_checkpoint
from cluster.sharing.card import WITHOUT_OCELOT
from cluster.sharing.errors import SharingError
from cluster.sharing.exporting import export
from cluster.sharing.importing import take_in
from policy import checkpoint as files
from policy.errors import OcelotError
from tests.cluster.small import CARTPOLE, PENDULUM


@pytest.fixture(scope="module")
def exported(pretrained, tmp_path_factory) -> Path:
    """The small pretrained policy, evaluated on one task."""
    checkpoint = pretrained.latest_checkpoint()
    line = {"task": CARTPOLE, "temperature": 0.0, "seed": 3, "checkpoint": str(checkpoint), "returns": [22.36, 500.0]}
    pretrained.add_evaluation(line | {"updates": 12})
    pretrained.add_evaluation(line | {"updates": 6, "checkpoint": "step_000006", "returns": [1.0]})
    out = tmp_path_factory.mktemp("shared") / "small-policy"
    export(pretrained.path, out)
    (pretrained.path / "evaluations.jsonl").unlink()
    return out


def test_the_card_has_what_was_measured(exported: Path):
    card = ModelCard.load(exported / "README.md")
    assert card.data.model_name == "small-policy"
    results = {(result.dataset_name, result.metric_type): result.metric_value for result in card.data.eval_results}
    assert results == {(CARTPOLE, "mean_reward"): 261.18, (CARTPOLE, "normalized_score"): 0.5}
    assert f"| {CARTPOLE} | greedy | 2 | 261.2 [22.4 500.0] | 0.50 [0.00 1.00] |" in card.text
    assert f"`{PENDULUM}`" in card.text
    assert "trained by: ocelot pretrain" in card.text
    assert "schedule: 1 x bc" in card.text
    provenance = json.loads((exported / "results.json").read_text())["provenance"]
    assert provenance["demonstrations"][CARTPOLE] == ["ocelot/gym/CartPole-v1-random-v0"]
    for file in ("README.md", "config.json", "results.json"):
        assert str(exported.parents[1]) not in (exported / file).read_text(), "no paths of this machine"


def test_it_is_read_without_ocelot(exported: Path, tmp_path):
    code = WITHOUT_OCELOT + (
        "import sys\nassert not {'policy', 'cluster'} & set(sys.modules)\n"
        "print(len(shapes), results['evaluations'][0]['returns'], sorted(config['layouts']))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=exported, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    tensors = load_file(exported / "model.safetensors")
    assert done.stdout == f"{len(tensors)} [22.36, 500.0] ['{CARTPOLE}', '{PENDULUM}']\n"


def test_import_gives_the_same_policy_and_every_command_takes_it(exported: Path, pretrained, tmp_path):
    take_in(exported, tmp_path / "in")
    before, after = files.load(find_checkpoint(pretrained.path)), files.load(find_checkpoint(tmp_path / "in"))
    for (name, one), (_, other) in zip(
        before.model.state_dict().items(), after.model.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name
    assert {task: layout.to_json() for task, layout in before.layouts.items()} == {
        task: layout.to_json() for task, layout in after.layouts.items()
    }
    assert after.extra["return_scales"] == before.extra["return_scales"]
    assert after.extra["updates"] == 12
    assert after.extra["provenance"]["trained_by"] == "ocelot pretrain"
    export(tmp_path / "in", tmp_path / "out")
    again = json.loads((tmp_path / "out" / "results.json").read_text())["provenance"]
    assert again == json.loads((exported / "results.json").read_text())["provenance"], "passed on as it came"


def test_a_full_folder_is_left_alone(exported: Path, pretrained, tmp_path):
    (tmp_path / "mine").write_text("precious")
    for act in (lambda: export(pretrained.path, tmp_path), lambda: take_in(exported, tmp_path)):
        with pytest.raises(SharingError, match="not empty"):
            act()
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def copy(exported: Path, tmp_path):
    """A copy to damage; with a function that changes its configuration."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((exported / name).read_bytes())

    def change(**changes):
        config = json.loads((folder / "config.json").read_text())
        for key, value in changes.items():
            section, _, name = key.partition("__")
            (config[section] if name else config)[name or section] = value
        (folder / "config.json").write_text(json.dumps(config))

    return folder, change


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def test_pickled_weights_are_refused_unread(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, _ = copy
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(SharingError, match=r"pytorch_model\.bin.*may run anything"):
        take_in(folder, tmp_path / "in")
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(SharingError, match="not a whole safetensors file"):
        take_in(folder, tmp_path / "in")
    assert not (tmp_path / "exploded").exists()
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy__layers": 10**9}, "claims 1000000000 layers"),
        ({"policy__width": 10**7, "policy__heads": 10}, "do not belong together"),
        ({"policy__width": "wide"}, "section 'policy' cannot be used"),
        ({"policy": []}, "describes no policy"),
        ({"format": 99}, "format 99"),
        ({"extra": {"acting": {"with_return": "rm -rf"}}}, r"extra\.acting"),
        ({"extra": {"updates": -1}}, r"extra\.updates"),
        ({"extra": {"return_scales": {"gym/Other-v0": [0.0, 1.0]}}}, "two finite returns"),
        ({"layouts": {"gym/CartPole-v1": {"vocabulary": "default"}}}, "does not hold what a checkpoint needs"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(copy, tmp_path, changes, message):
    folder, change = copy
    change(**changes)
    with pytest.raises(OcelotError, match=message):
        take_in(folder, tmp_path / "in")
    assert not (tmp_path / "in").exists()


def test_damaged_files_are_refused(copy, tmp_path):
    folder, _ = copy
    tensors = load_file(folder / "model.safetensors")
    name = next(key for key, value in tensors.items() if value.is_floating_point())
    save_file(tensors | {name: torch.full_like(tensors[name], float("nan"))}, folder / "model.safetensors")
    with pytest.raises(SharingError, match="not finite"):
        take_in(folder, tmp_path / "in")
    (folder / "config.json").write_text("{")
    with pytest.raises(SharingError, match="not JSON"):
        take_in(folder, tmp_path / "in")
    with pytest.raises(SharingError, match="no such folder"):
        take_in(tmp_path / "nowhere", tmp_path / "in")
    assert not (tmp_path / "in").exists()


def ocelot(*arguments, **environment):
    command = [sys.executable, "-c", "from cluster.cli import main; main()", *map(str, arguments)]
    known = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=known | environment)


def test_upload_needs_a_token_and_a_hub(pretrained, tmp_path):
    nowhere = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = ocelot("export", pretrained.path, tmp_path / "out", "--push", "me/policy", **nowhere)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: --push needs a token")
    assert not (tmp_path / "out").exists(), "before anything is written"
    done = ocelot("export", pretrained.path, tmp_path / "out", "--push", "me/policy", HF_TOKEN="hf_none", **nowhere)
    assert done.returncode == 2
    assert "is written, but was not uploaded to me/policy" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "README.md").exists()
