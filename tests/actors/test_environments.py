import numpy as np
import pytest

from actors.domains import task_layout
from actors.environments import Environments
from actors.errors import ActionError, EnvironmentFailed, TaskError
from policy.layout import Layout
from tests.actors.toys import PREFIX


def actions(n, value=1):
    return np.full(n, value, dtype=np.int64)


def test_episodes_end_and_begin_again():
    envs = Environments(task_layout(PREFIX + "Toy-v0"), 3, seed=0)
    first = envs.reset()
    assert first.shape == (3, 2)
    for step in range(1, 25):
        result = envs.step(actions(3, 2))
        within = (step - 1) % 10 + 1
        assert (result.terminated == (within == 10)).all()
        assert not result.truncated.any()
        assert not result.faulted.any()
        assert (result.final_observation[:, 0] == within).all()
        assert (result.observation[:, 0] == within % 10).all()
        assert (result.returns == 2.0 * within).all()
        assert (result.lengths == within).all()
        assert result.rewards.dtype == np.float32


def test_rows_step_alone():
    envs = Environments(task_layout(PREFIX + "Toy-v0"), 4, seed=0)
    envs.reset()
    assert envs.step(actions(2), np.array([1, 3])).observation[:, 0].tolist() == [1, 1]
    assert envs.step(actions(4)).observation[:, 0].tolist() == [1, 2, 1, 2]


def test_truncation_is_kept_apart():
    envs = Environments(task_layout(PREFIX + "Long-v0"), 1, seed=0)
    envs.reset()
    for _ in range(60):
        result = envs.step(actions(1))
    assert result.truncated.all()
    assert not result.terminated.any()
    assert result.ended.all()


def test_starts_do_not_depend_on_the_number_of_environments():
    layout = task_layout(PREFIX + "Toy-v0")

    def starts(count):
        envs = Environments(layout, count, seed=3)
        marks = {index: mark for index, mark in enumerate(envs.reset()[:, 1])}
        for turn in range(1, 12 // count):
            for _ in range(10):
                result = envs.step(actions(count))
            marks.update({turn * count + index: mark for index, mark in enumerate(result.observation[:, 1])})
        return marks

    assert starts(2) == starts(6)
    assert len(set(starts(6).values())) == 12


def test_restart_leaves_an_episode_for_the_next():
    envs = Environments(task_layout(PREFIX + "Toy-v0"), 2, seed=0)
    first = envs.reset()
    envs.step(actions(2))
    after = envs.restart(np.array([1]))
    assert after[0, 0] == 0
    assert after[0, 1] != first[1, 1]
    assert envs.step(actions(2)).lengths.tolist() == [2, 1]


@pytest.mark.parametrize("fault", ["Step", "Nan", "Reward", "Shape", "Reset"])
def test_faulty_environments_are_rebuilt_and_counted(fault):
    envs = Environments(task_layout(f"{PREFIX}Faulty{fault}-v0"), 8, seed=1, max_faults=50)
    observation = envs.reset()
    assert np.isfinite(observation).all()
    faulted, ended = 0, 0
    for _ in range(100):
        result = envs.step(actions(8))
        assert np.isfinite(result.observation).all()
        assert np.isfinite(result.final_observation).all()
        assert np.isfinite(result.rewards).all()
        assert not (result.faulted & result.ended).any()
        assert (result.observation[result.faulted, 0] == 0).all()  # begun again
        faulted += result.faulted.sum()
        ended += result.ended.sum()
    assert envs.faults >= faulted
    assert envs.faults > 0
    assert ended > 0
    if fault != "Reset":
        assert envs.faults == faulted


def test_an_environment_that_keeps_failing_is_given_up():
    envs = Environments(task_layout(PREFIX + "Broken-v0"), 2, seed=0, max_faults=3)
    envs.reset()
    envs.step(actions(2))
    envs.step(actions(2))
    with pytest.raises(EnvironmentFailed) as error:
        envs.step(actions(2))
    message = str(error.value)
    for word in [PREFIX + "Broken-v0", "environment 0", "3 times", "the toy broke in step", "toys.py", "max_faults"]:
        assert word in message


def test_an_environment_that_cannot_reset_is_given_up():
    with pytest.raises(EnvironmentFailed, match="the toy broke in reset"):
        Environments(task_layout(PREFIX + "BrokenReset-v0"), 1, seed=0).reset()


def test_spaces_that_change_with_a_reset_are_named():
    envs = Environments(task_layout(PREFIX + "Changing-v0"), 1, seed=0, max_faults=2)
    with pytest.raises(EnvironmentFailed, match=r"observations changed with a reset: Box.*-1000.*now Box\(-1.0"):
        envs.reset()
    assert envs.faults == 2


@pytest.mark.parametrize("wrong", [-1, 3, np.nan])
def test_an_action_out_of_bounds_is_refused_by_name(wrong):
    envs = Environments(task_layout(PREFIX + "Toy-v0"), 3, seed=0)
    envs.reset()
    with pytest.raises(ActionError, match=rf"Toy-v0: environment 2 was given the action {wrong}.*from 0 to 2"):
        envs.step(np.array([0, wrong]), np.array([1, 2]))
    assert envs.step(actions(3)).lengths.tolist() == [1, 1, 1]  # nothing had been stepped
    assert envs.faults == 0


def test_a_continuous_action_out_of_bounds_is_refused_by_name():
    envs = Environments(task_layout("gym/Pendulum-v1"), 1, seed=0)
    envs.reset()
    with pytest.raises(ActionError, match=r"gym/Pendulum-v1.*2\.5.*from -2 to 2"):
        envs.step(np.array([[2.5]]))
    envs.step(np.array([[2.0]], dtype=np.float32))


def test_a_policy_made_for_other_spaces_is_refused():
    layout = task_layout("gym/CartPole-v1")
    other = Layout("gym/CartPole-v1", layout.observation, {"kind": "discrete", "n": 3, "start": 0})
    with pytest.raises(
        TaskError, match=r"actions are not those .*: it was one of 3, is now one of 2; .* or pretrain anew"
    ):
        Environments(other, 1, seed=0)
