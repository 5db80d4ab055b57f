from collections import defaultdict

import numpy as np
import pytest

from actors.domains import task_layout
from actors.environments import Environments
from actors.recorder import EPISODE_BITS, Recorder
from policy.context import fitting_steps, next_start
from policy.types import ActReply, Version
from replay.trajectory import ONLINE
from tests.actors.toys import PREFIX

RUN_ID = 12345


class Log:
    """Plays random actions, tells a recorder, and keeps every step of every episode on its own."""

    def __init__(self, task, slots, context, steps, limit=1000, seed=0, abandon_at=None):
        self.layout = layout = task_layout(task)
        self.fit = fitting_steps(context, layout.step_tokens)
        envs = Environments(layout, slots, seed, max_faults=100)
        recorder = Recorder(layout, 4, slots, context, 0.7, RUN_ID, limit)
        generator = np.random.default_rng(seed)
        low, high = layout.legal.T
        self.windows, self.episodes, self.ends, self.tails = [], defaultdict(list), {}, {}
        names = list(range(slots))  # our own number of each slot's episode
        following = slots
        step, start = np.zeros(slots, dtype=int), np.zeros(slots, dtype=int)
        observation = layout.encode_observation(envs.reset())
        for turn in range(steps):
            if turn == abandon_at:
                self.windows += recorder.abandoned(np.array([0]), observation[:1])
                self.tails[names[0]] = observation[0].copy()
                observation[:1] = layout.encode_observation(envs.restart(np.array([0])))
                names[0], following, step[0], start[0] = following, following + 1, 0, 0
            # Slots act in two halves, in any order.
            for rows in np.array_split(generator.permutation(slots), 2):
                start[rows] = [next_start(int(start[row]), int(step[row]), self.fit) for row in rows]
                tokens = generator.integers(low, high, size=(len(rows), layout.action_tokens), dtype=np.int32)
                log_probs = generator.random((len(rows), layout.action_tokens), dtype=np.float32)
                versions = np.tile(np.array(Version(2, turn), dtype=np.int32), (len(rows), 1))
                returns = generator.integers(34048, 34304, len(rows)).astype(np.int32)
                reply = ActReply(tokens, log_probs, versions, start[rows].astype(np.int32), returns)
                seen = observation[rows].copy()
                self.windows += recorder.acted(rows, seen, reply)
                result = envs.step(layout.decode_action(tokens), rows)
                final = layout.encode_observation(result.final_observation)
                observation[rows] = layout.encode_observation(result.observation)
                self.windows += recorder.stepped(
                    rows, result.rewards, result.terminated, result.truncated, result.faulted, final
                )
                step[rows] += 1
                for row, slot in enumerate(rows):
                    name = names[slot]
                    if result.faulted[row]:
                        self.tails[name] = seen[row]
                    else:
                        self.episodes[name].append(
                            (
                                seen[row],
                                tokens[row],
                                log_probs[row],
                                Version(2, turn),
                                returns[row],
                                result.rewards[row],
                            )
                        )
                    if result.ended[row]:
                        self.ends[name] = bool(result.terminated[row])
                        self.tails[name] = final[row]
                    if result.ended[row] or result.faulted[row]:
                        names[slot], following = following, following + 1
                        step[slot] = start[slot] = 0
        self.faults = envs.faults

    def by_episode(self):
        """Windows of each recorded episode in order, keyed by our own number (found by its first observations)."""
        groups = defaultdict(list)
        for window in self.windows:
            groups[window.episode].append(window)
        first = {tuple(np.concatenate(steps[0][:3])): name for name, steps in self.episodes.items() if steps}
        found = {}
        for windows in groups.values():
            w = windows[0]
            observed = self.layout.observation_tokens
            key = tuple(np.concatenate([w.tokens[0, :observed], w.tokens[0, observed + 1 :], w.log_probs[0]]))
            found[first[key]] = windows
        assert len(found) == len(groups)
        return found


def check(log, pieces=False):
    """Every window holds exactly what was acted, and every step of a written episode is trained on once."""
    observed = log.layout.observation_tokens
    for name, windows in log.by_episode().items():
        steps, trained = log.episodes[name], 0
        for window in windows:
            window.check()
            assert (window.task, window.source, window.actor) == (log.layout.task, ONLINE, 4)
            assert window.temperature == 0.7
            assert window.episode >> EPISODE_BITS == RUN_ID
            assert len(window) <= log.fit
            assert window.first_step + window.burn_in == trained
            # A window begins where the context of its first loss step began.
            assert (window.context_start[window.burn_in :] == window.first_step).all()
            for index in range(len(window)):
                seen, tokens, log_probs, version, returned, reward = steps[window.first_step + index]
                np.testing.assert_array_equal(window.tokens[index, :observed], seen)
                assert window.tokens[index, observed] == log.layout.vocabulary.separator
                np.testing.assert_array_equal(window.tokens[index, observed + 1 :], tokens)
                np.testing.assert_array_equal(window.log_probs[index], log_probs)
                assert tuple(window.versions[index]) == version
                assert window.return_tokens[index] == returned
                assert window.rewards[index] == reward
            trained += len(window) - window.burn_in
            last = trained == len(steps)
            following = log.tails[name] if last else steps[trained][0]
            np.testing.assert_array_equal(window.tail[:-1], following)
            assert window.tail[-1] == log.layout.vocabulary.separator
            ended = last and name in log.ends
            assert window.terminated == (ended and log.ends[name])
            assert window.truncated == (ended and not log.ends[name])
            rewards = np.array([float(reward) for *_, reward in steps])
            if name in log.ends and not (pieces and np.isnan(window.returns_to_go).all()):
                expected = np.cumsum(rewards[::-1])[::-1][window.first_step : window.first_step + len(window)]
                np.testing.assert_allclose(window.returns_to_go, expected, rtol=1e-6)
            else:
                assert np.isnan(window.returns_to_go).all()
        assert trained == len(steps) or (pieces and name not in log.tails)


@pytest.mark.parametrize("context", [8, 32, 400])
@pytest.mark.parametrize("name", ["Toy", "Long", "RandomLength"])
def test_windows_are_what_was_acted(name, context):
    log = Log(f"{PREFIX}{name}-v0", slots=5, context=context, steps=130)
    assert {number for number in log.by_episode()} == set(log.ends)
    check(log)


def test_rewards_sum_to_the_first_return_to_go():
    log = Log(PREFIX + "Long-v0", slots=2, context=40, steps=130)
    for windows in log.by_episode().values():
        total = sum(window.rewards[window.burn_in :].sum() for window in windows)
        assert windows[0].returns_to_go[0] == total


def test_long_episodes_are_written_in_pieces():
    log = Log(PREFIX + "Long-v0", slots=3, context=28, steps=170, limit=20)
    check(log, pieces=True)
    for name, windows in log.by_episode().items():
        assert np.isnan(windows[0].returns_to_go).all()
        if name in log.ends:
            assert not np.isnan(windows[-1].returns_to_go).any()
    # Pieces of the episodes that still run were written too.
    assert set(log.by_episode()) > set(log.ends)


@pytest.mark.parametrize("fault", ["Step", "Nan", "Reset"])
def test_faulted_episodes_lose_their_last_step(fault):
    log = Log(f"{PREFIX}Faulty{fault}-v0", slots=6, context=20, steps=60, seed=3)
    assert log.faults > 0
    check(log)
    if fault != "Reset":
        assert any(name not in log.ends for name in log.by_episode())


def test_abandoned_episodes_are_unfinished():
    log = Log(PREFIX + "Long-v0", slots=2, context=28, steps=100, abandon_at=50)
    check(log)
    assert 0 in log.by_episode()
    assert 0 not in log.ends


def test_episode_numbers_differ_between_starts():
    layout = task_layout(PREFIX + "Toy-v0")
    largest = Recorder(layout, 0, 2, 64, 1.0, run_id=2**31 - 1)
    smallest = Recorder(layout, 0, 2, 64, 1.0, run_id=0)
    assert largest._next_episode() < 2**63
    assert smallest._next_episode() != largest._next_episode()
