import json
from collections import Counter

import numpy as np
import pytest
from gymnasium import spaces

from replay.errors import DatasetError
from replay.pretraining import DemonstrationStream
from replay.trajectory import PER_STEP, cut
from tests.replay.samples import same
from tests.replay.test_demonstrations import BOX, layout, record

TASKS = ("gym/Left-v0", "gym/Right-v0")
IDS = {TASKS[0]: ["test/left-v0", "test/more-v0"], TASKS[1]: ["test/right-v0"]}
WIDE = spaces.Box(-1.0, 1.0, (6,), np.float32)
CONTEXT = 40


@pytest.fixture
def stream(minari_home):
    action = spaces.Discrete(3)
    record("test/left-v0", BOX, action, lengths=range(5, 25))
    record("test/more-v0", BOX, action, lengths=[30] * 5)
    record("test/right-v0", WIDE, action, lengths=[11] * 8)
    layouts = {TASKS[0]: layout(BOX, action, TASKS[0]), TASKS[1]: layout(WIDE, action, TASKS[1])}

    def make(ids=IDS, seed=0, cached_steps=120, weights=None, **others):
        return DemonstrationStream(ids, layouts, CONTEXT, weights, seed, cached_steps, **others)

    return make


@pytest.mark.parametrize("cached_steps", [1, 120, 10**6])
def test_an_epoch_holds_every_window_once(stream, cached_steps):
    single = {TASKS[0]: IDS[TASKS[0]]}
    windows = stream(single, cached_steps=cached_steps)
    task = windows._tasks[TASKS[0]]
    expected = [
        window.tokens.tobytes()
        for source in task._sources
        for index in range(len(source))
        for window in cut(source.episode(index), CONTEXT)
    ]
    for _ in range(2):
        epoch = [window.tokens.tobytes() for window in windows.windows(len(expected))]
        assert Counter(epoch) == Counter(expected)
        assert epoch != expected


def test_the_seed_decides_the_order(stream):
    def tokens(seed):
        return [window.tokens.tobytes() for window in stream(seed=seed).windows(60)]

    assert tokens(1) == tokens(1)
    assert tokens(1) != tokens(2)


@pytest.mark.parametrize("taken", [0, 1, 37, 400])
def test_a_restored_stream_goes_on_to_the_bit(stream, taken):
    first = stream(seed=4)
    first.windows(taken)
    state = json.loads(json.dumps(first.state()))
    second = stream(seed=4)
    second.windows(11)
    second.restore(state)
    assert all(same(left, right) for left, right in zip(first.windows(300), second.windows(300), strict=True))


def test_tasks_come_in_proportion_to_their_weights(stream):
    drawn = Counter(window.task for window in stream(weights={TASKS[0]: 3.0, TASKS[1]: 1.0}).windows(2000))
    assert drawn[TASKS[0]] / 2000 == pytest.approx(0.75, abs=0.05)
    only = stream(weights={TASKS[0]: 0.0, TASKS[1]: 1.0})
    assert {window.task for window in only.windows(200)} == {TASKS[1]}


def test_memory_stays_within_the_cache(stream):
    windows = stream(cached_steps=100)
    for _ in range(300):
        next(windows)
        held = sum(
            len(window) - window.burn_in
            for task in windows._tasks.values()
            for cached in task._cache.values()
            for window in cached
        )
        assert held <= 100


def test_memory_is_counted_in_bytes_too(stream):
    windows = stream(cached_steps=10**6, cached_bytes=20_000)
    largest = 0
    for _ in range(300):
        next(windows)
        held = sum(
            array.nbytes
            for task in windows._tasks.values()
            for cached in task._cache.values()
            for window in cached
            for name, array in window.to_arrays().items()
            if name in PER_STEP
        )
        largest = max(largest, held)
    assert 5_000 < largest <= 20_000


def test_a_position_of_other_data_is_refused(stream):
    state = stream().state()
    with pytest.raises(DatasetError, match=r"with seed 0, this stream has .* with seed 9"):
        stream(seed=9).restore(state)
    fewer = {TASKS[0]: IDS[TASKS[0]][:1], TASKS[1]: IDS[TASKS[1]]}
    with pytest.raises(DatasetError, match="the datasets of gym/Left-v0 have changed"):
        stream(fewer).restore(state)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ids": {TASKS[0]: []}}, "no datasets are named for gym/Left-v0"),
        ({"weights": {TASKS[0]: -1.0, TASKS[1]: 1.0}}, "at least 0"),
        ({"weights": {TASKS[0]: 0.0, TASKS[1]: 0.0}}, "one of them above"),
    ],
)
def test_settings_that_cannot_work_are_refused(stream, settings, message):
    with pytest.raises(DatasetError, match=message):
        stream(**settings)
