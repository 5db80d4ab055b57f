"""Several workers are one: the same losses and figures, the same weights, and no waiting for who does not come."""

import copy
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from learner.objectives import OBJECTIVES
from learner.schedule import Entry
from learner.types import DivergedError, ScheduleError
from learner.workers import Alone, Workers
from policy.errors import CheckpointError
from tests.learner import crew
from tests.learner.windows import window

WAYS = ("replicas", "shares")
UPDATES = {"bc": 20, "iql": 20, "every": 8}
NORMALISED = {"normalise": True, "limit": 3.0}
EVERY = [Entry(name, batch=crew.BATCH, entropy=0.01) for name in OBJECTIVES]
EQUAL = {
    "bc": [Entry("bc", batch=crew.BATCH)],
    "iql": [Entry("iql", batch=crew.BATCH)],
    "every": [*EVERY, Entry("iql", batch=crew.BATCH, settings=NORMALISED)],
}
UNLIKE = ([Entry("bc", batch=crew.BATCH)], [Entry("iql", batch=crew.BATCH, settings=NORMALISED)])


def scenarios(workers: Workers, folder: Path) -> dict[str, dict[str, Any]]:
    """All that two workers do in these tests, one after the other: with all weights each, and with shares."""
    return {way: _scenarios(workers, folder / way, way == "shares") for way in WAYS}


def _scenarios(workers: Workers, folder: Path, sharded: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, entries in EQUAL.items():
        learner = crew.make(workers, entries, sharded, None if sharded else workers.rank)
        found[name] = crew.updates(learner, UPDATES[name]), crew.weights(learner)
    whole = learner.whole()
    found["whole"] = None if whole is None else copy.deepcopy(whole.state_dict())
    writing = threading.Thread(target=learner.snapshot().write, args=(folder / "state",))
    writing.start()
    crew.updates(learner, 3)  # which nothing of the checkpoint depends on
    writing.join()
    workers.gather("it is written")
    learner = crew.make(workers, EQUAL["every"], sharded, accumulation=2, checkpointing=True)
    found["parts"] = crew.updates(learner, UPDATES["every"]), crew.weights(learner)
    learner = crew.make(workers, UNLIKE[workers.rank], sharded)
    crew.updates(learner, 6)
    found["objectives"] = (crew.weights(learner),)
    for objective in ("bc", "iql", "awr"):
        learner = crew.make(workers, [Entry(objective, batch=crew.BATCH)], sharded)
        losses = [learner.update(lambda *_: crew.unlike(workers.rank)) for _ in range(3)]
        found[f"data of {objective}"] = crew.weights(learner), losses
    learner = crew.make(workers, [Entry("bc", batch=crew.BATCH)], sharded)
    before = crew.weights(learner)
    learner.update(lambda *_: [window(2, 4, burn_in=4)])
    found["nothing"] = before, crew.weights(learner)
    found["diverged"] = _diverged(workers, sharded)
    for way in ("one", "replicas/state"):
        learner = crew.make(workers, EQUAL["every"], sharded)
        learner.restore(folder.parent / way)
        found[f"resumed from {way}"] = crew.updates(learner, 8)
    return found


def _diverged(workers: Workers, sharded: bool) -> tuple[str, bool]:
    """What the error says when the second worker's loss is not finite, and whether the weights are those before."""
    learner = crew.make(workers, [Entry("awr", batch=crew.BATCH)], sharded)
    before = crew.weights(learner)
    bad = window(4)
    bad.rewards[2] = float("nan")
    with pytest.raises(DivergedError) as error:
        learner.update(lambda *_: [bad if workers.rank else window(1)] * 3)
    after = crew.weights(learner)
    return str(error.value), all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[dict[str, Any]]], Path]:
    """What each of two workers found in either way, and the folder in which they left checkpoints."""
    folder = tmp_path_factory.mktemp("workers")
    learner = crew.make(Alone(), EQUAL["every"])
    crew.updates(learner, 8)
    learner.save(folder / "one")
    found = crew.together(scenarios, folder)
    return {way: [each[way] for each in found] for way in WAYS}, folder


@pytest.fixture(scope="module")
def one() -> dict[str, tuple[list[dict[str, float]], dict[str, torch.Tensor]]]:
    """What one worker finds with the whole batch; of all objectives in turn, for twice as long."""
    return {name: crew.alone(EQUAL[name], UPDATES[name]) for name in ("bc", "iql", "every")} | {
        "longer": crew.alone(EQUAL["every"], 16)
    }


@pytest.mark.timeout(175)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*EQUAL, "parts"])
def test_two_workers_equal_one_at_the_same_global_batch(two, one, name, way):
    expected, weights = one["every" if name == "parts" else name]
    for found, own in (result[name] for result in two[0][way]):
        for mine, theirs in zip(found, expected, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-9, nan_ok=True)
        for parameter, value in weights.items():
            torch.testing.assert_close(own[parameter], value, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*EQUAL, "parts", "objectives", "data of bc", "data of iql", "data of awr"])
def test_all_workers_have_the_same_weights_to_the_bit(two, name, way):
    first, second = (result[name] for result in two[0][way])
    at = 1 if name in (*EQUAL, "parts") else 0
    assert all(torch.equal(value, second[at][parameter]) for parameter, value in first[at].items())


@pytest.mark.parametrize("name", ["objectives", "data of bc", "data of iql", "data of awr"])
def test_shares_learn_what_replicas_learn_from_unlike_batches(two, name):
    for parameter, value in two[0]["replicas"][0][name][0].items():
        torch.testing.assert_close(two[0]["shares"][0][name][0][parameter], value, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_without_a_loss_learns_what_the_others_do(two, way):
    for objective in ("bc", "iql", "awr"):
        first, second = (result[f"data of {objective}"][1] for result in two[0][way])
        assert first == second
        assert all(update[f"{objective}/gradient_norm"] > 0 for update in second)


@pytest.mark.parametrize("way", WAYS)
def test_an_update_in_which_nobody_has_a_loss_changes_nothing(two, way):
    for before, after in (result["nothing"] for result in two[0][way]):
        assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("way", WAYS)
def test_all_workers_stop_at_one_workers_loss_that_is_not_finite(two, way):
    for message, unchanged in (result["diverged"] for result in two[0][way]):
        assert "gym/A episode 4 of actor 0" in message
        assert unchanged


@pytest.mark.parametrize("way", WAYS)
def test_one_worker_goes_on_where_two_stopped(two, one, way):
    learner = crew.make(Alone(), EQUAL["every"])
    learner.restore(two[1] / way / "state")
    for mine, theirs in zip(crew.updates(learner, 8), one["longer"][0][8:], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", ["one", "replicas/state"])
def test_two_workers_go_on_where_others_stopped(two, one, before, way):
    for found in (result[f"resumed from {before}"] for result in two[0][way]):
        for mine, theirs in zip(found, one["longer"][0][8:], strict=True):
            assert mine == pytest.approx(theirs, abs=1e-9, nan_ok=True)


def test_shares_are_put_together_for_acting(two):
    first, second = (result["whole"] for result in two[0]["shares"])
    assert second is None
    assert first.keys() == crew.make(Alone(), EQUAL["bc"]).policy.state_dict().keys()
    for name, value in two[0]["replicas"][0]["whole"].items():
        torch.testing.assert_close(first[name], value, rtol=0.0, atol=1e-9)


def test_shares_of_another_policy_are_named(two):
    learner = crew.make(Alone(), EQUAL["bc"])
    learner.policy.register_parameter("more", torch.nn.Parameter(torch.zeros(3)))
    with pytest.raises(CheckpointError, match="shares/state: training state of another policy: policy/more differs"):
        learner.restore(two[1] / "shares" / "state")


def test_damaged_shares_are_named(two, tmp_path):
    shutil.copytree(two[1] / "shares" / "state", tmp_path / "state")
    for file in (tmp_path / "state" / "shards").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        crew.make(Alone(), EQUAL["every"]).restore(tmp_path / "state")


def test_a_batch_that_workers_cannot_share_is_refused():
    class Four(Alone):
        size = 4

    with pytest.raises(ScheduleError, match=r"4 workers cannot share a batch of 6 windows evenly; set batch to 4 or 8"):
        crew.make(Four(), EVERY)
