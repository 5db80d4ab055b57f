"""How fast tasks step through our wrappers, tokens and patches included, against their simulators alone."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from cluster.bench.figures import Figure
from policy.errors import OcelotError

TASKS = (
    "gym/Acrobot-v1",
    "gym/HalfCheetah-v5",
    "gym/Humanoid-v5",
    "control/cartpole-swingup",
    "control/cheetah-run",
    "control/humanoid-walk",
    "control-random/walker-walk-small",
    "metaworld/reach-v3",
    "modular/walker2d-right3-left1",
    "manipulation/reach_site_features",
    "babyai/GoToLocal",
    "sokoban/10x10-4",
    "atari/boxing",
    "atari/breakout",
    "atari/breakout-grey",
)
ENVIRONMENTS = 16  # of each kind, as an actor has
SLICE = 0.25  # seconds after which the other kind has its turn, so that a busy machine slows both


def measure_all(tasks: Sequence[str], seconds: float, repeats: int, file: Path | None = None) -> Iterator[Figure]:
    """`measure` of one task after the other, but for those that a file has already.

    Args:
        file: what an interrupted benchmark wrote, perhaps. Its rows count where repeats, commit, versions and machine
            are these.

    Raises:
        OcelotError: the file holds something else.
    """
    known: dict[str, Figure] = {} if file is None or not file.exists() else _rows(file, repeats)
    for task in tasks:
        yield known[task] if task in known else measure(task, seconds, repeats)


def _rows(file: Path, repeats: int) -> dict[str, Figure]:
    from cluster.environment import describe_environment

    try:
        before = json.loads(file.read_text())
        figures = [Figure(**row) for row in before["rows"]]
        same = before["environment"] == describe_environment()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OcelotError(f"{file}: no result of a benchmark ({error!r}); delete it, or name another file") from None
    return {figure.name: figure for figure in figures if same and figure.repeats == repeats}


def measure(task: str, seconds: float, repeats: int) -> Figure:
    """Environment steps a second, held against as many simulators stepped in turn with the same actions.

    The seconds are of this process's processor time, which for work in one thread are those of a machine that does
    nothing else.

    Ours is what an actor does but for asking the policy and writing to replay: half of the environments at a time,
    action tokens to actions, a step, resets, observations to tokens and patches. Tasks that draw with GL are not for
    this comparison: their simulators alone draw nothing.

    Raises:
        TaskError, SpaceError: an unknown task, or one that cannot be made here.
    """
    from actors import domains
    from actors.environments import Environments
    from policy.text import TextTokenizer

    layout = domains.task_layout(task, text=TextTokenizer.default())
    random = np.random.default_rng(0)
    low, high = layout.legal.T
    half = ENVIRONMENTS // 2
    tokens = random.integers(low, high, size=(256, half, len(low)))
    with closing(Environments(layout, ENVIRONMENTS, seed=0)) as environments:
        environments.reset()
        halves = np.split(np.arange(ENVIRONMENTS), 2)

        def ours(turn: int) -> int:
            result = environments.step(layout.decode_action(tokens[turn % len(tokens)]), halves[turn % 2])
            layout.encode_observation(result.observation)
            layout.encode_images(result.observation)
            return half

        actions = [layout.decode_action(batch) for batch in tokens]
        simulators = [Simulator(task, seed) for seed in range(ENVIRONMENTS)]

        def alone(turn: int) -> int:
            batch = actions[turn % len(actions)]
            for row in range(half):
                simulators[turn % 2 * half + row].step(batch[row])
            return half

        rates = [_interleaved((ours, alone), seconds) for _ in range(repeats)]
        for simulator in simulators:
            simulator.close()
    mine, theirs = zip(*rates, strict=True)
    return Figure.of(task, mine, "env steps/s", float(np.median(theirs)))


class Simulator:
    """A task's simulator as its own package makes it: stepped, and reset where an episode ends."""

    def __init__(self, task: str, seed: int):
        import gymnasium

        from actors import domains
        from actors.dm_environment import DmEnvironment

        env = domains.make(task)
        self._env: Any = env.unwrapped
        domain, _, name = task.partition("/")
        if isinstance(env, DmEnvironment):
            self._env = env.env
            env.reset(seed=seed)
            self.step = self._step_dm
        else:
            if domain == "atari":
                game = name.removesuffix("-grey")
                self._env = gymnasium.make(f"ALE/{game.title().replace('_', '')}-v5").unwrapped
            env.reset(seed=seed)
            self._env.reset(seed=seed)
            self.step = self._step_gymnasium

    def close(self) -> None:
        self._env.close()

    def _step_dm(self, action: Any) -> None:
        if self._env.step(action).last():
            self._env.reset()

    def _step_gymnasium(self, action: Any) -> None:
        _, _, terminated, truncated, _ = self._env.step(action)
        if terminated or truncated:
            self._env.reset()


def _interleaved(kinds: Sequence[Callable[[int], int]], seconds: float) -> list[float]:
    """Steps a second of each kind, which have turns of `SLICE` until each has had its seconds."""
    spent, steps, turns = [0.0] * len(kinds), [0] * len(kinds), [0] * len(kinds)
    while min(spent) < seconds:
        for index, kind in enumerate(kinds):
            began = time.process_time()
            while (now := time.process_time()) - began < SLICE:
                steps[index] += kind(turns[index])
                turns[index] += 1
            spent[index] += now - began
    return [count / lasted for count, lasted in zip(steps, spent, strict=True)]
