"""Pretraining on tasks, texts and captions at once, with prompts: to the bit over a stop, and mistakes told at once."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster import pretrain as driver
from cluster.cli import app
from cluster.config import FinetuneConfig, PretrainConfig
from cluster.config_files import ConfigError, load
from cluster.interrupt import Interrupted, StopRequest
from cluster.pretrain import pretrain
from cluster.rundir import RunDirectory
from learner.learner import Learner
from policy import checkpoint
from policy.errors import OcelotError
from tests.cluster.small import CARTPOLE, FINETUNE, PRETRAIN, changed, write
from tests.cluster.test_pretrain import _Given, weights
from tests.replay.drawings import caption_folder, text_folder


@pytest.fixture
def changes(tmp_path, demonstrations) -> dict:
    """What a configuration says of texts, captions, a tokenizer of its own, and prompts."""
    texts = text_folder(tmp_path / "texts")
    files = [str(file) for file in sorted(texts.rglob("*.txt"))]
    command = ["tokenizer", "train", *files, "--out", str(tmp_path / "own.model"), "--vocabulary-size", "300"]
    made = CliRunner().invoke(app, [*command, "--json", str(tmp_path / "made.json")])
    assert made.exit_code == 0, made.output
    assert json.loads((tmp_path / "made.json").read_text())["pieces"] <= 300
    return {
        "text": str(tmp_path / "own.model"),
        "texts": [{"name": "shapes", "folder": str(texts), "weight": 2.0}],
        "captions": [
            {"name": "shapes", "folder": str(caption_folder(tmp_path / "captions")), "image_size": [16, 32]},
        ],
        "prompts": {"share": 0.25},
        "policy__patch_channels": 32,
        "policy__stochastic_depth": 0.1,
    }


def run_of(folder: Path, **changes) -> tuple[PretrainConfig, RunDirectory]:
    config = load(PretrainConfig, [write(folder / "texts.yaml", changed(PRETRAIN, run__folder=str(folder), **changes))])
    return config, RunDirectory.create(config)


@pytest.mark.timeout(120)
def test_a_run_that_was_stopped_goes_on_to_the_bit(tmp_path, changes, monkeypatch):
    whole = run_of(tmp_path, run__name="whole", **changes)
    folder = pretrain(*whole)
    saved = checkpoint.load(folder)
    assert saved.text is not None
    assert saved.text.model == Path(changes["text"]).read_bytes()  # a person's tokenizer travels along
    stop = StopRequest()
    monkeypatch.setattr(driver, "stop_on_signals", lambda: _Given(stop))
    updates, seen = Learner.update, []

    def update(learner, fetch):
        stop.requested = learner.updates == 6

        def watched(table, count):
            seen.extend(fetch(table, count))
            return seen[-count:]

        return updates(learner, watched)

    monkeypatch.setattr(Learner, "update", update)
    parted = run_of(tmp_path, run__name="parted", **changes)
    with pytest.raises(Interrupted):
        pretrain(*parted)
    stop.requested = False
    pretrain(*parted)
    assert weights(parted[1]) == weights(whole[1])
    assert {"text/shapes", "captions/shapes", CARTPOLE} <= {window.task for window in seen}
    assert any(len(window.prompt) for window in seen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": [{"name": "x", "folder": "nowhere"}]}, "text/x: there is no folder nowhere"),
        ({"captions": [{"name": "x", "folder": "nowhere"}]}, "captions/x: there is no folder nowhere"),
        ({"captions": [{"name": "x", "folder": ".", "image_size": [20, 32]}]}, "must be multiples of 16"),
        ({"text": "nowhere.model"}, "text tokenizer nowhere.model: No such file"),
    ],
)
def test_what_is_missing_is_named_and_no_checkpoint_is_left(tmp_path, changes, change, message):
    config, run = run_of(tmp_path, **(changes | change))
    with pytest.raises(OcelotError, match=message):
        pretrain(config, run)
    assert run.latest_checkpoint() is None


def test_two_of_one_name_are_refused(tmp_path, changes):
    twice = changes["texts"] * 2
    with pytest.raises(ConfigError, match="there are two text/shapes"):
        pretrain(*run_of(tmp_path, **(changes | {"texts": twice})))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actors__prompts": True, "actors__with_return": True}, "exclude each other"),
        ({"actors__prompts": True, "tasks": [{"name": CARTPOLE}]}, "gym/CartPole-v1 names no datasets"),
        ({"prompts__share": 1.5}, "less than or equal to 1"),
    ],
)
def test_prompts_that_cannot_be_are_refused(tmp_path, change, message):
    settings = changed(FINETUNE, checkpoint="somewhere", **change)
    with pytest.raises(ConfigError, match=message):
        load(FinetuneConfig, [write(tmp_path / "finetune.yaml", settings)])
