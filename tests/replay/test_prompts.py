"""Prompts in training: whose they are, which part, how often, and that what stands behind them fits."""

import json

import numpy as np
import pytest
from gymnasium import spaces

from replay.batch import collate
from replay.demonstrations import Recorder
from replay.errors import DatasetError, ReplayError
from replay.memory_backend import MemoryReplay, MemoryStore
from replay.pretraining import DemonstrationStream
from replay.prompts import ActingPrompts, Prompt, PromptWindows, TablePrompts, prompt_steps, training_prompt
from replay.tables import TableConfig
from replay.trajectory import cut
from tests.replay.samples import episode, same
from tests.replay.test_demonstrations import layout, play, record

TASK, CONTEXT = "gym/Prompted-v0", 80
OBSERVATION = spaces.Dict({"image": spaces.Box(0, 255, (16, 32), np.uint8), "x": spaces.Box(-1.0, 1.0, (3,))})
IDS = ["test/first-v0", "test/second-v0"]


@pytest.fixture
def made(minari_home):
    """Layout, and the episodes of two datasets."""
    action = spaces.Discrete(3)
    given = {"task": TASK, "quality": "medium", "expert": "none", "seed": 0}
    for number, name in enumerate(IDS):
        with Recorder(name, OBSERVATION, action, **given) as recorder:
            for at, steps in enumerate([40 + number, 25, 7, 31]):
                recorder.add(*play(OBSERVATION, action, steps, seed=10 * number + at), True, False)
    return layout(OBSERVATION, action, TASK)


def stream(made, share=0.25, **others) -> DemonstrationStream:
    return DemonstrationStream({TASK: IDS}, {TASK: made}, CONTEXT, prompts=share, **others)


def found(prompt, episodes) -> list[tuple[int, int]]:
    """(episode, first step) wherever the prompt's steps occur."""
    count = len(prompt)
    return [
        (number, start)
        for number, each in enumerate(episodes)
        for start in range(len(each) - count + 1)
        if np.array_equal(each.tokens[start : start + count], prompt)
    ]


def test_a_quarter_of_the_windows_have_a_prompt_of_another_episode_of_their_dataset(made):
    windows = stream(made)
    datasets = [[source.episode(index) for index in range(len(source))] for source in windows._tasks[TASK]._sources]
    prompted, at_end, drawn = 0, 0, 1200
    fit = CONTEXT // made.step_tokens
    for window in windows.windows(drawn):
        if not len(window.prompt):
            continue
        prompted += 1
        window.check()
        assert len(window.prompt) + len(window) <= fit
        assert len(window.prompt) == min(fit // 2, 7 if len(window.prompt) == 7 else fit // 2)
        (episodes,) = [episodes for episodes in datasets if found(window.tokens, episodes)]
        number, start = found(window.prompt, episodes)[0]
        assert number != window.episode
        np.testing.assert_array_equal(window.prompt_patches, episodes[number].patches[start : start + fit // 2])
        at_end += start + len(window.prompt) == len(episodes[number])
    assert prompted / drawn == pytest.approx(0.25, abs=0.04)
    # Half are an end; of the rest some are one by chance, and the shortest episode is its own end often.
    assert 0.45 < at_end / prompted < 0.75


def test_without_a_share_the_stream_is_what_it_was(made):
    plain = DemonstrationStream({TASK: IDS}, {TASK: made}, CONTEXT)
    assert all(same(*pair) for pair in zip(stream(made, 0.0).windows(100), plain.windows(100), strict=True))


@pytest.mark.parametrize("taken", [0, 45, 300])
def test_a_restored_stream_draws_the_same_prompts(made, taken):
    first, second = (stream(made, 0.5, seed=3, cached_steps=70) for _ in range(2))
    first.windows(taken)
    second.windows(9)
    second.restore(json.loads(json.dumps(first.state())))
    pairs = list(zip(first.windows(200), second.windows(200), strict=True))
    assert any(len(left.prompt) for left, _ in pairs)
    assert all(same(left, right) for left, right in pairs)


def test_every_step_can_have_a_loss_behind_a_prompt(made):
    """Of a prompted window one piece is taken; the pieces together hold each loss step once."""
    whole = episode(30, 3, 1)
    for window in cut(whole, 60):
        prompted = window.slice(0, len(window), window.burn_in)
        prompted.prompt, prompted.prompt_patches = whole.tokens[:5], whole.patches[:5]
        steps = [
            step
            for piece in cut(prompted, 60)
            for step in range(piece.first_step + piece.burn_in, piece.first_step + len(piece))
        ]
        assert steps == list(range(window.first_step + window.burn_in, window.first_step + len(window)))


def test_a_prompt_is_put_together_from_windows():
    whole = episode(40, 3, 1, context=60)
    windows = cut(whole, 60)
    assert len(windows) > 3
    for start, stop in ((0, 5), (13, 29), (35, 40)):
        np.testing.assert_array_equal(Prompt.of(windows, start, stop).tokens, whole.tokens[start:stop])
    random = np.random.default_rng(0)
    starts = [found(training_prompt(windows, 6, random).tokens, [whole])[0][1] for _ in range(2000)]
    counts = np.bincount(starts, minlength=35)
    assert len(counts) == 35
    assert counts[34] / 2000 == pytest.approx(0.5 + 0.5 / 35, abs=0.05)
    expected = 1000 / 35
    assert ((counts[:34] - expected) ** 2 / expected).sum() < 66  # chi-square, 33 degrees, once in 1,000


def test_a_prompt_leaves_room_for_a_step():
    assert [prompt_steps(100, 10), prompt_steps(100, 10, 30), prompt_steps(20, 10), prompt_steps(10, 10)] == [
        5,
        9,
        1,
        0,
    ]


def test_prompts_for_acting_are_of_the_best_episodes(made):
    best = [
        max((source.episode(i) for i in range(len(source))), key=lambda each: each.episode_return)
        for source in stream(made)._tasks[TASK]._sources
    ]
    most = CONTEXT // made.step_tokens // 2
    for kind in ("demonstration", "goal"):
        prompts = ActingPrompts(IDS, made, CONTEXT, kind)
        seen = set()
        for _ in range(20):
            prompt = prompts.draw()
            number, start = found(prompt.tokens, best)[0]
            assert len(prompt.tokens) == most
            assert start == (0 if kind == "demonstration" else len(best[number]) - most)
            assert prompt.patches.shape == (most, 2, 16, 16, 3)
            seen.add(number)
        assert seen == {0, 1}
    with pytest.raises(DatasetError, match=f"{TASK}: prompts are taken from demonstrations"):
        ActingPrompts([], made, CONTEXT)
    with pytest.raises(DatasetError, match="for a prompt; act without"):
        ActingPrompts(IDS, made, made.step_tokens)


def test_windows_for_the_table_of_prompts(made):
    windows, again = (PromptWindows({TASK: IDS}, {TASK: made}, CONTEXT, seed=1) for _ in range(2))
    for _ in range(30):
        window = next(windows)
        window.check()
        assert 1 <= len(window) <= CONTEXT // made.step_tokens // 2
        assert same(window, next(again))


def test_a_window_without_another_episode_stays_as_it_is(minari_home, made):
    record("test/single-v0", OBSERVATION, spaces.Discrete(3), lengths=[9])
    windows = DemonstrationStream({TASK: ["test/single-v0"]}, {TASK: made}, CONTEXT, prompts=1.0)
    assert not any(len(window.prompt) for window in windows.windows(20))


def test_prompts_stand_in_front_and_have_a_loss_where_wanted(made):
    (window,) = [w for w in stream(made, 1.0).windows(1)]
    k, n, size = len(window.prompt), len(window), made.step_tokens
    plain, with_loss = collate([window]), collate([window], prompt_loss=True)
    for batch in (plain, with_loss):
        assert batch.prompt.tolist() == [k]
        np.testing.assert_array_equal(batch.tokens[0, : k * size], window.prompt.reshape(-1))
        np.testing.assert_array_equal(batch.tokens[0, k * size : (k + n) * size], window.tokens.reshape(-1))
        assert batch.timestep[0].tolist() == [at // size for at in range(batch.tokens.shape[1])]
        assert batch.separator.tolist() == [[(k + step + 1) * size - 2 for step in range(n + 1)]]
        assert batch.last_action.tolist() == [[(k + step + 1) * size - 1 for step in range(n)]]
        assert batch.rewards.shape == (1, n)  # prompt steps are no steps of values
        images = np.concatenate([window.prompt_patches, window.patches, window.tail_patches[None]])
        np.testing.assert_array_equal(batch.patches.pixels, images.reshape(-1, 16, 16, 3))
        flat = batch.tokens.reshape(-1)
        assert (flat[batch.patches.at] == made.vocabulary.patch).all()
        assert int((flat == made.vocabulary.patch).sum()) == len(batch.patches.at)
        assert (flat[batch.action_at + 1] == batch.action_token).all()
    assert len(with_loss.action_at) == len(plain.action_at) + k
    assert with_loss.action_at[:k].tolist() == [(step + 1) * size - 2 for step in range(k)]
    assert with_loss.action_step[:k].tolist() == [window.burn_in] * k
    assert with_loss.action_step[k:].tolist() == plain.action_step.tolist()


def test_actors_find_the_prompts_of_their_task_in_the_table(made):
    store = MemoryReplay(MemoryStore({"prompts": TableConfig(max_size=50)}))
    others = [episode(4, 3, 1, task="gym/Other-v0", number=number) for number in range(10)]
    windows = PromptWindows({TASK: IDS}, {TASK: made}, CONTEXT, seed=1)
    own = [next(windows) for _ in range(10)]
    store.writer("prompts").write([window for pair in zip(others, own, strict=True) for window in pair])
    table = TablePrompts(store, TASK, patience=5.0)
    for count in (1, 3, 8):
        drawn = table.draw(count)
        assert len({len(prompt.tokens) for prompt in drawn}) == 1
        for prompt in drawn:
            steps = len(prompt.tokens)
            assert any(np.array_equal(prompt.tokens, window.tokens[-steps:]) for window in own)
            assert prompt.patches.shape == (steps, 2, 16, 16, 3)
    with pytest.raises(ReplayError, match=r"gave 0 of 1 prompts of gym/Third-v0 in 0\.2 s"):
        TablePrompts(store, "gym/Third-v0", patience=0.2).draw(1)
