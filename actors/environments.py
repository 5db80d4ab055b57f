"""Environments of one task, stepped in a Python loop in this process; those that fail are rebuilt."""

import logging
import traceback
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from actors import domains
from actors.errors import ActionError, EnvironmentFailed, TaskError
from actors.nesting import Observations, Parts, unstack
from actors.spaces import describe
from policy.layout import Layout
from policy.spaces import difference, pick

log = logging.getLogger(__name__)

FAULTS_IN_A_ROW = 5


@dataclass
class StepResult:
    """What happened to n environments in one step."""

    observation: Any
    """Leaves stacked along n, nested as the space: what to act on next, so after a reset where an episode ended."""
    rewards: np.ndarray
    """float32 [n]; 0 where faulted."""
    terminated: np.ndarray
    """bool [n]."""
    truncated: np.ndarray
    """bool [n]; never together with terminated, which wins."""
    final_observation: Any
    """As `observation`, but before any reset: where an episode ended, its last observation."""
    faulted: np.ndarray
    """bool [n]: failed in this step; its episode was cut off, and the step is to be forgotten."""
    returns: np.ndarray
    """float64 [n]: sum of the episode's rewards up to and with this step."""
    lengths: np.ndarray
    """int64 [n]: steps of the episode up to and with this one."""

    @property
    def ended(self) -> np.ndarray:
        """bool [n]: an episode was finished."""
        return self.terminated | self.truncated


class Environments:
    """`count` environments of the layout's task. They reset by themselves when an episode ends.

    The k-th episode of environment i starts from a seed made of (seed, i + k * count), so runs repeat, and every
    division of the same episodes among environments plays the same starts. An environment that raises, or returns
    something that is not finite or not in the shape of its space, is closed, built anew and reset.

    Args:
        layout: of the task, as the policy knows it.
        count: environments.
        seed: of all episodes.
        max_faults: an environment that fails so often in a row without finishing an episode is given up.
        render: they will be asked for frames.

    Raises:
        TaskError: when the task cannot be made, or its spaces are not the layout's.
    """

    def __init__(self, layout: Layout, count: int, seed: int, max_faults: int = FAULTS_IN_A_ROW, render: bool = False):
        self.layout = layout
        self.count = count
        self.seed = seed
        self.max_faults = max_faults
        self.faults = 0
        """Times that an environment failed."""
        self.seeds = np.zeros(count, dtype=np.int64)
        """With which the episode that each plays was reset."""
        self._render = render
        self._envs: list[gymnasium.Env] = []
        self._episodes = np.arange(count)  # number of the episode that each plays
        self._attempts = np.zeros(count, dtype=np.int64)  # faults in a row; part of the seed, so that each try differs
        self._returns = np.zeros(count, dtype=np.float64)
        self._lengths = np.zeros(count, dtype=np.int64)
        self._observations = Observations(layout.observation)
        for _ in range(count):
            self._envs.append(domains.make(layout.task, render))
        self._check_spaces()
        self._spaces = [(env.observation_space, env.action_space) for env in self._envs]  # as last compared

    def reset(self) -> Any:
        """Begins the first episode of every environment. Observations, leaves stacked along count.

        Raises:
            EnvironmentFailed: when one cannot be reset.
        """
        batch = self._observations.empty(self.count)
        for index in range(self.count):
            self._reset(index, batch, index)
        return self._observations.nest(batch)

    def restart(self, rows: np.ndarray) -> Any:
        """Leaves the episodes of the environments `rows` (int [n]) and begins their next ones.

        Returns:
            Observations, leaves stacked along n.

        Raises:
            EnvironmentFailed: when one cannot be reset.
        """
        batch = self._observations.empty(len(rows))
        for row, index in enumerate(rows):
            self._episodes[index] += self.count
            self._reset(index, batch, row)
        return self._observations.nest(batch)

    def step(self, actions: Any, rows: np.ndarray | None = None) -> StepResult:
        """One step of the environments `rows` (int [n]; all of them if None).

        Args:
            actions: nested as the action space, leaves stacked along n.
            rows: which environments, each at most once.

        Raises:
            ActionError: for an action outside its space; no environment has been stepped then.
            EnvironmentFailed: when one has failed too often: task, number, what it raised and what to change.
        """
        rows = np.arange(self.count) if rows is None else rows
        n = len(rows)
        self._check_actions(actions, rows)
        final = self._observations.empty(n)
        result = StepResult(
            observation=None,
            rewards=np.zeros(n, dtype=np.float32),
            terminated=np.zeros(n, dtype=bool),
            truncated=np.zeros(n, dtype=bool),
            final_observation=self._observations.nest(final),
            faulted=np.zeros(n, dtype=bool),
            returns=np.zeros(n, dtype=np.float64),
            lengths=np.zeros(n, dtype=np.int64),
        )
        rewards = np.zeros(n, dtype=np.float64)
        store = self._observations.store
        for row, (index, action) in enumerate(zip(rows.tolist(), unstack(self.layout.action, actions, n), strict=True)):
            try:
                observation, reward, terminated, truncated, _ = self._envs[index].step(action)
                store(final, row, observation)
            except Exception as error:
                self._fault(index, error)
                result.faulted[row] = True
                continue
            rewards[row] = reward
            result.terminated[row] = terminated
            result.truncated[row] = truncated and not terminated
        self._check_finite(rows, rewards, final, result)
        result.rewards[:] = rewards
        self._returns[rows] += rewards
        self._lengths[rows] += ~result.faulted
        result.returns[:] = self._returns[rows]
        result.lengths[:] = self._lengths[rows]
        result.observation = self._begin_again(rows, result, final)
        return result

    def at(self, rows: np.ndarray) -> list[gymnasium.Env]:
        """The environments `rows` themselves, for experts and films that look into them; they are not to be stepped."""
        return [self._envs[index] for index in rows]

    def close(self) -> None:
        """Closes every environment."""
        for env in self._envs:
            env.close()

    def _begin_again(self, rows: np.ndarray, result: StepResult, final: Parts) -> Any:
        """Resets what ended or failed; the observations to act on next."""
        over = np.flatnonzero(result.ended | result.faulted)
        if not len(over):
            return result.final_observation
        batch = {name: part.copy() for name, part in final.items()}
        for row in over:
            if not result.faulted[row]:
                self._episodes[rows[row]] += self.count
                self._attempts[rows[row]] = 0
            self._reset(rows[row], batch, row)
            if result.faulted[row]:  # whatever it returned cannot be encoded
                for name, part in final.items():
                    part[row] = batch[name][row]
        return self._observations.nest(batch)

    def _reset(self, index: int, batch: Parts, row: int) -> None:
        """Begins an episode of environment `index`, trying anew until it works or is given up."""
        self._returns[index] = 0.0
        self._lengths[index] = 0
        while True:
            entropy = (self.seed, int(self._episodes[index]), int(self._attempts[index]))
            try:
                self.seeds[index] = np.random.SeedSequence(entropy).generate_state(1)[0]
                observation, _ = self._envs[index].reset(seed=int(self.seeds[index]))
                self._observations.store(batch, row, observation)
                name = self._observations.not_finite({key: part[row : row + 1] for key, part in batch.items()})
                if name:
                    raise ValueError(_broken(name[0]))
                self._check_unchanged(index)
                return
            except Exception as error:
                self._fault(index, error)

    def _fault(self, index: int, error: Exception) -> None:
        """Counts a failure and rebuilds the environment, or gives up."""
        self.faults += 1
        self._attempts[index] += 1
        where = f"{self.layout.task}: environment {index}"
        # Only the environment's own frames: the first is ours.
        lines = traceback.format_exception(type(error), error, error.__traceback__, limit=-3)
        if self._attempts[index] >= self.max_faults:
            raise EnvironmentFailed(
                f"{where} failed {self._attempts[index]} times in a row without finishing an episode, at last with "
                f"{type(error).__name__}: {error}\n{''.join(lines).rstrip()}\n"
                "Repair the environment; if its failures are rare and harmless, allow more of them (max_faults)."
            ) from error
        log.warning("%s failed and is rebuilt (%d faults so far): %s", where, self.faults, "".join(lines).rstrip())
        try:
            self._envs[index].close()
        except Exception as closing:  # a broken environment may not even close; the new one does not depend on it
            log.warning("%s did not close: %s", where, closing)
        self._envs[index] = domains.make(self.layout.task, self._render)

    def _check_actions(self, actions: Any, rows: np.ndarray) -> None:
        for leaf in self.layout.action_leaves:
            flat = np.asarray(pick(actions, leaf.name)).reshape(len(rows), -1)  # [n, size]
            high = leaf.high if leaf.kind == "continuous" else leaf.high - 1
            legal = (flat >= leaf.low) & (flat <= high)
            if not legal.all():
                row, element = np.argwhere(~legal)[0]
                where = f"element {element} of {leaf.name!r}" if leaf.name else f"element {element}"
                raise ActionError(
                    f"{self.layout.task}: environment {rows[row]} was given the action "
                    f"{flat[row, element]} at {where}, "
                    f"its space goes from {leaf.low[element]:g} to {high[element]:g}; clip actions to their space"
                )

    def _check_finite(self, rows: np.ndarray, rewards: np.ndarray, final: Parts, result: StepResult) -> None:
        """Faults environments that returned NaN or infinity, and takes back what they returned."""
        broken = {row: _broken(name) for row, name in self._observations.not_finite(final).items()}
        finite = np.isfinite(rewards)
        if not broken and finite.all():
            return
        broken |= {int(row): f"reward {rewards[row]}" for row in np.flatnonzero(~finite)}
        for row, why in broken.items():
            if not result.faulted[row]:
                self._fault(rows[row], ValueError(why))
            result.faulted[row] = True
            rewards[row] = 0.0
            result.terminated[row] = result.truncated[row] = False

    def _check_unchanged(self, index: int) -> None:
        """Raises ValueError where an environment's spaces are no longer those of the layout."""
        spaces, known = (self._envs[index].observation_space, self._envs[index].action_space), self._spaces[index]
        for kind, space, before in zip(("observations", "actions"), spaces, known, strict=True):
            if space is not before and space != before:  # to compare boxes takes as long as many a reset
                raise ValueError(f"its {kind} changed with a reset: {_short(str(before))}, now {_short(str(space))}")
        self._spaces[index] = spaces

    def _check_spaces(self) -> None:
        task, env = self.layout.task, self._envs[0]
        for kind, space, known in (
            ("observations", env.observation_space, self.layout.observation),
            ("actions", env.action_space, self.layout.action),
        ):
            found = describe(space, task)
            if found != known:
                raise TaskError(
                    f"{task}: its {kind} are not those that the policy was made for: {difference(known, found)}; "
                    "install the versions of the environment and of ocelot that it was trained with, or pretrain anew"
                )


def _broken(name: str) -> str:
    return f"observation {name!r} is not finite" if name else "the observation is not finite"


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
