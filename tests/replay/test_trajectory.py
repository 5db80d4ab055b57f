import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.context import fitting_steps
from policy.errors import SpaceError
from replay.packing import decode, encode, pack, unpack
from replay.trajectory import PER_STEP, Trajectory, cut
from tests.replay.samples import episode, same

shapes = st.tuples(st.integers(1, 70), st.integers(1, 5), st.integers(1, 4), st.integers(0, 40), st.booleans())


def build(shape: tuple[int, int, int, int, bool]) -> tuple[Trajectory, int]:
    steps, observed, acting, spare, online = shape
    context = observed + 1 + acting + spare
    return episode(steps, observed, acting, context=context if online else None), context


@given(shapes)
@settings(deadline=None)
def test_every_step_has_a_loss_exactly_once_and_every_window_fits(shape):
    whole, context = build(shape)
    trained = []
    for window in cut(whole, context):
        window.check()
        assert window.tokens.size <= context
        assert 0 <= window.burn_in < len(window)
        trained += range(window.first_step + window.burn_in, window.first_step + len(window))
    assert trained == list(range(len(whole)))


@given(shapes)
@settings(deadline=None)
def test_windows_hold_the_episodes_own_steps_and_what_follows_them(shape):
    whole, context = build(shape)
    windows = cut(whole, context)
    for window in windows:
        first, stop = window.first_step, window.first_step + len(window)
        for name in PER_STEP:
            np.testing.assert_array_equal(getattr(window, name), getattr(whole, name)[first:stop])
        last = stop == len(whole)
        following = whole.tail if last else whole.tokens[stop, : len(whole.tail)]
        np.testing.assert_array_equal(window.tail, following)
        assert window.terminated == (whole.terminated and last)
        assert window.truncated == (whole.truncated and last)


@given(shapes)
@settings(deadline=None)
def test_each_step_is_trained_in_the_context_that_acted(shape):
    steps, observed, acting, spare, _ = shape
    whole, context = build((steps, observed, acting, spare, True))
    for window in cut(whole, context):
        assert (window.context_start[window.burn_in :] == window.first_step).all()


@given(shapes)
@settings(deadline=None)
def test_demonstrations_are_cut_as_if_the_policy_had_acted(shape):
    acted, context = build((*shape[:4], True))
    shown, _ = build((*shape[:4], False))
    cuts = [[(w.first_step, len(w), w.burn_in) for w in cut(whole, context)] for whole in (acted, shown)]
    assert cuts[0] == cuts[1]


@given(shapes)
@settings(deadline=None)
def test_rewards_sum_to_the_first_return_to_go(shape):
    whole, context = build(shape)
    trained = [reward for window in cut(whole, context) for reward in window.rewards[window.burn_in :]]
    assert sum(trained) == whole.returns_to_go[0]
    np.testing.assert_array_equal(whole.returns_to_go[:-1], whole.rewards[:-1] + whole.returns_to_go[1:])


def test_a_record_that_begins_at_a_slide_is_cut_like_the_whole_episode():
    whole = episode(40, context=60)  # 6 tokens a step, 10 steps fit
    slide = cut(whole, 60)[1]
    piece = whole.slice(slide.first_step, len(whole), burn_in=slide.burn_in)
    for left, right in zip(cut(whole, 60)[1:], cut(piece, 60), strict=True):
        assert same(left, right)


def test_a_context_below_one_step_is_refused():
    with pytest.raises(SpaceError, match=r"policy\.context to at least 6"):
        cut(episode(), 5)
    assert fitting_steps(6, 6) == 1


@given(shapes)
@settings(deadline=None)
def test_arrays_and_bytes_give_the_same_window_back(shape):
    whole, context = build(shape)
    assert same(Trajectory.from_arrays(whole.to_arrays()), whole)
    windows = cut(whole, context)
    assert all(same(decode(encode(window)), window) for window in windows)
    assert all(same(left, right) for left, right in zip(unpack(pack(windows)), windows, strict=True))


def test_windows_of_different_tasks_pack_together():
    mixed = [episode(5, 2, 1, task="a"), episode(9, 4, 3, task="a/longer-name"), episode(1, 1, 1, context=32)]
    assert all(same(left, right) for left, right in zip(unpack(pack(mixed)), mixed, strict=True))
    assert unpack(pack([])) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rewards.__setitem__(3, np.nan), "episode 7: reward at step 3 is not finite"),
        (lambda t: setattr(t, "rewards", t.rewards[:-1]), "rewards has 11 of 12 steps"),
        (lambda t: setattr(t, "tail", t.tail[:-1]), "tail of 3 tokens"),
    ],
)
def test_check_names_what_is_wrong(change, message):
    broken = episode(number=7)
    change(broken)
    with pytest.raises(ValueError, match=message):
        broken.check()


def test_core_modules_load_without_simulators_or_servers():
    program = (
        "import json, sys, replay.batch, replay.trajectory, replay.memory_backend, replay.stream, replay.server, "
        "replay.demonstrations, replay.pretraining, replay.feeder; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not {"reverb", "tensorflow", "ray", "minari", "gymnasium"} & set(json.loads(done.stdout))
