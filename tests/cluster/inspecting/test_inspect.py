"""What `ocelot inspect` says of a checkpoint, an episode and a run, held against what they are."""

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from actors import domains
from cluster.inspecting.checkpoint import card, checkpoint_card
from cluster.inspecting.episode import COLOURS, drawn, kind_of, legend, load_episode, steps
from cluster.inspecting.errors import InspectError
from cluster.inspecting.flow import human, read_flow
from policy import checkpoint as checkpoints
from policy.vocabulary import DEFAULT
from tests.cluster.small import CARTPOLE, PENDULUM

DATASET = "ocelot/gym/CartPole-v1-random-v0"


def text_of(renderable) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_the_card_of_a_checkpoint_tells_what_it_holds_and_where_it_comes_from(pretrained):
    folder = pretrained.latest_checkpoint()
    found = checkpoint_card(folder)
    model = checkpoints.load(folder).model
    assert sum(found["parameters"].values()) == sum(each.numel() for each in model.parameters())
    assert set(found["tasks"]) == {CARTPOLE, PENDULUM}
    assert found["tasks"][CARTPOLE]["step_tokens"] == 6
    assert found["provenance"]["run"] == pretrained.path.name
    assert found["provenance"]["packages"]["torch"]
    assert found["notes"]["updates"] == 12
    assert found["scores"] == {}, "it was not evaluated"
    text = text_of(card(found))
    for part in ("2 layers of width 32", CARTPOLE, "6 (4 + 1 + 1)", "commit"):
        assert part in text, part


def test_a_checkpoint_that_was_copied_away_still_says_where_it_comes_from(pretrained, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(pretrained.latest_checkpoint() / name, copy)
    found = checkpoint_card(copy)
    assert found["provenance"]["run"] == pretrained.path.name


def test_scores_are_those_of_the_runs_own_evaluation(pretrained):
    row = {"task": CARTPOLE, "temperature": 0.0, "updates": 12, "returns": [100.0, 200.0]}
    file = pretrained.path / "evaluations.jsonl"
    before = file.read_text() if file.exists() else None
    file.write_text(json.dumps(row) + "\n" + json.dumps(row | {"updates": 6, "returns": [1.0]}) + "\n")
    try:
        found = checkpoint_card(pretrained.latest_checkpoint())
    finally:
        file.unlink() if before is None else file.write_text(before)
    assert found["scores"][f"eval/return/{CARTPOLE}/greedy"] == 150.0
    assert "150.0 (score" in text_of(card(found))


def test_tokens_say_what_they_stand_for(demonstrations):
    layout, episode = load_episode(DATASET, None, 1)
    assert layout.task == CARTPOLE
    env = domains.make(CARTPOLE)
    seen = steps(layout, episode)
    assert len(seen) == len(episode)
    for row, parts in zip(episode.tokens, seen, strict=True):
        tokens = [token for part in parts.values() for token in part]
        assert [token.id for token in tokens] == row.tolist()
        assert [token.kind for token in tokens] == ["continuous"] * 4 + ["separator", "discrete"]
        observed = [float(token.meaning) for token in parts["observation"]]
        # What they stand for becomes the same tokens again, up to the digits that are shown.
        again = layout.encode_observation(np.asarray([observed], dtype=np.float32))[0]
        assert np.abs(again - row[:4]).max() <= 6
        assert env.action_space.contains(int(parts["action"][0].meaning))
    text = text_of(drawn(layout, episode, 2))
    assert f"{episode.tokens[0, 0]} {seen[0]['observation'][0].meaning}" in text
    assert f"and {len(episode) - 2} steps more" in text


def test_continuous_actions_are_shown_in_their_own_units(demonstrations):
    layout, episode = load_episode("ocelot/gym/Pendulum-v1-random-v0", PENDULUM, 0)
    actions = layout.decode_action(episode.tokens[:, -1:])
    for parts, action in zip(steps(layout, episode), actions, strict=True):
        assert float(parts["action"][0].meaning) == pytest.approx(float(action[0]), rel=0.01, abs=0.001)


def test_every_id_has_a_kind_and_a_colour():
    kinds = {kind_of(token, DEFAULT) for token in range(DEFAULT.size)}
    assert kinds == set(COLOURS)
    text = text_of(legend(DEFAULT))
    for part in ("text 0-31999", "continuous 32000-33023", "return 34048-34303", "patch 34306"):
        assert part in text


def test_an_episode_that_is_not_there_is_named(demonstrations):
    with pytest.raises(InspectError, match="episodes 0 to 11, and none of number 99"):
        load_episode(DATASET, None, 99)


def test_the_flow_of_a_run_is_what_it_measured(watched):
    streams, shares = read_flow(watched)
    flows = {(each.source, each.unit, each.to): each for each in streams}
    steps_per_second = flows["environments", "environment steps", "actors"].rate
    assert 0 < steps_per_second < 1e6
    sampled = next(each for each in streams if each.source == "replay" and each.to.endswith("online"))
    assert sampled.bytes is not None
    assert 100 < sampled.bytes / max(sampled.rate, 1e-9) < 1e5, "bytes of a window"
    assert 0 < shares["time/learner/update"] <= 1.0


def test_a_run_without_a_flow_is_named(pretrained):
    with pytest.raises(InspectError, match="no flow"):
        read_flow(pretrained)


def test_the_command_finds_out_what_it_was_given(pretrained, tmp_path):
    def inspect(*arguments):
        command = [sys.executable, "-c", "from cluster.cli import main; main()", "inspect", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)

    file = tmp_path / "card.json"
    done = inspect(str(pretrained.path), "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert json.loads(file.read_text())["checkpoint"]["checkpoint"] == str(pretrained.latest_checkpoint())
    done = inspect(DATASET, "--episode", "2", "--steps", "1")
    assert done.returncode == 0, done.stderr
    assert "episode 2" in done.stdout
    for wrong in ("nothing/like-this-v0", str(tmp_path)):
        done = inspect(wrong)
        assert done.returncode == 2, wrong
        assert done.stderr.startswith("Error: ")


@pytest.mark.parametrize(("size", "text"), [(12, "12 B"), (1234, "1.23 kB"), (5.25e6, "5.25 MB"), (2e9, "2 GB")])
def test_sizes_for_people(size, text):
    assert human(size) == text
