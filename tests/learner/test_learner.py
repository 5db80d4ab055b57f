"""The learner as a whole: it learns, it stops at what is not finite, it resumes to the bit."""

import dataclasses

import numpy as np
import pytest
import torch

from learner.config import LearnerConfig
from learner.learner import Learner
from learner.optimiser import learning_rate
from learner.schedule import Entry, Schedule
from learner.types import DivergedError, ScheduleError, TaskInfo
from learner.view import View
from policy.config import PolicyConfig
from policy.errors import CheckpointError
from policy.model import Policy
from policy.returns import ReturnScale
from replay.batch import collate
from replay.trajectory import Trajectory
from tests.learner.windows import mixed, window

TASKS = {name: TaskInfo(0.9, ReturnScale(-5.0, 5.0)) for name in ("gym/A", "gym/B")}
EVERY = ("bc", "awr", "iql", "return_conditioned", "crr", "cql", "pac")
ALL = [Entry(name, batch=6, entropy=0.01) for name in EVERY]
SMALL = PolicyConfig(layers=1, width=32, heads=2, feedforward=64, context=64, action_bins=64)


def make(entries=ALL, tasks=TASKS, **config) -> Learner:
    torch.manual_seed(1)
    return Learner(Policy(SMALL), tasks, LearnerConfig(warmup_updates=2, **config), Schedule(entries), seed=3)


def fetch(table: str, count: int):
    return (mixed(6) * 3)[:count]


def test_cloning_learns_a_batch_by_heart():
    subject = make([Entry("bc", batch=6)], learning_rate=1e-2)
    losses = [subject.update(fetch)["bc/loss"] for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]


def test_each_objective_takes_its_turn_and_reports():
    subject = make()
    keys = [next(iter(subject.update(fetch))).split("/")[0] for _ in range(2 * len(EVERY))]
    assert keys == [*EVERY] * 2
    assert subject.version == (0, 2 * len(EVERY))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_run_equals_an_undisturbed_one_to_the_bit(tmp_path, precision):
    whole = make(precision=precision)
    for _ in range(10):
        whole.update(fetch)
    first = make(precision=precision)
    for _ in range(5):
        first.update(fetch)
    first.save(tmp_path)
    second = make(precision=precision)
    second.restore(tmp_path, incarnation=7)
    assert second.version == (7, 5)
    for _ in range(5):
        second.update(fetch)
    for name, value in whole.policy.state_dict().items():
        assert torch.equal(value, second.policy.state_dict()[name]), name
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name


def test_an_entropy_bonus_raises_entropy():
    entropies = []
    for bonus in (0.0, 1.0):
        subject = make([Entry("bc", batch=6, entropy=bonus)], learning_rate=1e-2)
        for _ in range(30):
            subject.update(fetch)
        with torch.no_grad():
            entropies.append(float(View(subject.policy, collate(fetch("expert", 6))).entropy))
    assert entropies[1] > 1.2 * entropies[0]


def test_returns_outside_their_tokens_are_counted():
    subject = make(
        [Entry("return_conditioned", batch=6)], tasks={name: TaskInfo(0.9, ReturnScale(-0.1, 0.1)) for name in TASKS}
    )
    windows = fetch("expert", 6)
    expected = sum(int((np.abs(w.returns_to_go[w.burn_in :]) > np.float32(0.1)).sum()) for w in windows)
    assert subject.update(fetch)["return_conditioned/clipped_returns"] == expected > 0


@pytest.mark.parametrize("objective", ["awr", "iql"])
def test_a_task_whose_returns_leave_the_value_bins_is_told_of_once_by_name(objective):
    subject = make([Entry(objective, batch=6)])
    high = [replace_rewards(each, 9000.0) if each.task == "gym/B" else each for each in fetch("expert", 6)]
    steps = sum(len(each) - each.burn_in for each in high if each.task == "gym/B")
    assert subject.update(fetch)[f"{objective}/clipped_targets"] == 0
    assert subject.clipping.take() == []
    assert subject.update(lambda table, count: high)[f"{objective}/clipped_targets"] == steps > 0
    (warning,) = subject.clipping.take()
    assert warning.startswith("gym/B: ")
    assert "8102" in warning
    assert "policy.value_limit (now 9)" in warning
    assert subject.update(lambda table, count: high)[f"{objective}/clipped_targets"] == steps
    assert subject.clipping.take() == []


def replace_rewards(given: Trajectory, reward: float) -> Trajectory:
    return dataclasses.replace(given, rewards=np.full(len(given), reward, dtype=np.float32))


def test_a_damaged_training_state_is_named(tmp_path):
    subject = make()
    subject.update(fetch)
    subject.save(tmp_path)
    (tmp_path / "state.safetensors").write_bytes((tmp_path / "state.safetensors").read_bytes()[:500])
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        make().restore(tmp_path)


def test_a_training_state_of_another_policy_is_named(tmp_path):
    subject = make()
    subject.save(tmp_path)
    other = Learner(Policy(dataclasses.replace(SMALL, layers=2)), TASKS, LearnerConfig(), Schedule(ALL))
    with pytest.raises(CheckpointError, match="another policy"):
        other.restore(tmp_path)


def test_a_loss_that_is_not_finite_stops_and_names_the_episode():
    subject = make([Entry("awr", batch=2)])
    bad = window(4)
    bad.rewards[2] = np.nan
    before = {name: value.clone() for name, value in subject.policy.state_dict().items()}
    with pytest.raises(DivergedError, match=r"gym/A episode 4 of actor 0, steps 0\.\.4"):
        subject.update(lambda table, count: [window(1), bad][:count])
    for name, value in subject.policy.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_moving_average_follows():
    subject = make([Entry("bc", batch=6)], average=0.5)
    name = "transformer.norm.weight"
    before = subject.average.state_dict()[name].clone()
    subject.update(fetch)
    expected = 0.5 * before + 0.5 * subject.policy.state_dict()[name]
    torch.testing.assert_close(subject.average.state_dict()[name], expected)


def test_published_weights_are_a_copy():
    subject = make()
    weights = subject.weights()
    kept = weights["value.bias"].copy()
    subject.update(fetch)
    subject.update(fetch)
    np.testing.assert_array_equal(weights["value.bias"], kept)


def test_step_sizes_follow_warm_up_and_cosine():
    config = LearnerConfig(learning_rate=1.0, warmup_updates=10, decay_updates=110)
    assert learning_rate(config, 0) == pytest.approx(0.1)
    assert learning_rate(config, 9) == pytest.approx(1.0)
    assert learning_rate(config, 60) == pytest.approx(0.55)
    assert learning_rate(config, 500) == pytest.approx(0.1)


def test_the_warm_up_begins_where_the_paper_begins():
    config = LearnerConfig(learning_rate=1e-4, warmup_updates=15_000, decay_updates=1_000_000)
    assert learning_rate(config, 0) == pytest.approx(1e-7, rel=0.1)
    assert learning_rate(config, 7_499) == pytest.approx((1e-7 + 1e-4) / 2, rel=1e-3)
    assert learning_rate(config, 14_999) == pytest.approx(1e-4)
    assert learning_rate(config, 1_000_000) == pytest.approx(1e-5)


def test_moments_that_are_kept_need_no_warm_up(tmp_path):
    first = make(learning_rate=1.0)
    assert first.update(fetch)["learning_rate"] < 0.6
    first.save(tmp_path)
    kept = make(learning_rate=1.0)
    kept.restore_optimiser(tmp_path)
    assert kept.updates == 0
    kept.save(tmp_path / "again")
    resumed = make(learning_rate=1.0)
    resumed.restore(tmp_path / "again")
    for subject in (kept, resumed):
        assert subject.update(fetch)["learning_rate"] == 1.0


def test_returns_need_a_scale():
    with pytest.raises(ScheduleError, match="return scale for gym/A"):
        make([Entry("return_conditioned")], tasks={"gym/A": TaskInfo()})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"objective": "irl"}, "unknown objective 'irl'; did you mean 'iql'"),
        ({"objective": "awr", "settings": {"temprature": 1}}, "did you mean 'temperature'"),
        ({"objective": "bc", "data": {"expert": 0.5, "online": 0.4}}, "sum to 1"),
        ({"objective": "bc", "repeat": 0}, "at least 1"),
    ],
)
def test_bad_entries_are_refused_by_name(entry, message):
    with pytest.raises(ScheduleError, match=message):
        Entry(**entry)


def test_shares_are_rounded_to_the_whole_batch():
    assert Entry("bc", batch=8, data={"expert": 0.25, "online": 0.75}).counts() == {"expert": 2, "online": 6}
    assert sum(Entry("bc", batch=7, data={"expert": 1 / 3, "online": 2 / 3}).counts().values()) == 7
