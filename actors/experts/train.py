"""Trains an expert's network with RLlib: to the end, or half way for a medium one."""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actors import domains, rendering
from actors.experts import files
from actors.experts.network import Network
from actors.experts.play import play
from actors.experts.players import NetworkExpert, image_shape, network_sizes
from actors.experts.types import EXPERT, MEDIUM, ExpertError
from actors.experts.versions import versions
from policy.layout import Layout

if TYPE_CHECKING:
    from ray.rllib.algorithms import Algorithm

MEASURED_EPISODES = 100
STOPPING_EPISODES = 20
UPDATES_A_CHECKPOINT = 10
UPDATES_AN_EVALUATION = 10
EVALUATED_EPISODES = 5

ALGORITHMS = ("ppo", "sac", "dqn")
NETWORKS = ("nature2015", "nips2013")
"""Of DQN, for images."""


class Stopped(Exception):
    """A training that was asked to stop, after it saved its state."""


@dataclass
class Progress:
    """Where a training stands after an update."""

    env_steps: int
    max_env_steps: int
    mean_return: float
    """Of the last training episodes (NaN before the first has ended), or of the present policy where it decides."""
    metrics: dict[str, float] = field(default_factory=dict)
    """For TensorBoard: charts/, losses/ and, after an evaluation, eval/."""


def train(
    task: str,
    quality: str = EXPERT,
    until_return: float | None = None,
    max_env_steps: int = 300_000,
    seed: int = 0,
    folder: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    algorithm: str | None = None,
    network: str = NETWORKS[0],
    stop: Callable[[], object] = lambda: False,
) -> Path:
    """Trains a network to play a task and writes it where `registry.expert` finds it.

    The state of an unfinished training stays beside the network's file, and the same call goes on from there; SAC and
    DQN fill their replay anew then. It is in RLlib's own format, which unpickles: resume only from folders that are
    yours. The network's file is safe to load.

    Args:
        task: with Box or Discrete observations and actions.
        quality: `expert`, or `medium`, which needs `until_return`.
        until_return: stop as soon as the present policy's mean return, over 20 sampled episodes, is at least this.
        max_env_steps: stop after so many steps at the latest.
        seed: of environments, first weights and exploration.
        folder: where to write; the person's own folder of experts if None.
        progress: called after every update.
        algorithm: of `ALGORITHMS`; if None, `default_algorithm`.
        network: of `NETWORKS`; DQN's, where it sees images.
        stop: asked after every update; true to stop there.

    Returns:
        The network's file. A JSON file of the same name says how it came about and what it returns.

    Raises:
        ExpertError: bad arguments, spaces that a network cannot play, or `until_return` not reached.
        Stopped: `stop` said so; the same call goes on.
        TaskError: unknown task.
    """
    if quality not in (MEDIUM, EXPERT):
        raise ExpertError(f"{task}: cannot train quality '{quality}'; it is '{MEDIUM}' or '{EXPERT}'")
    if quality == MEDIUM and until_return is None:
        raise ExpertError(f"{task}: a medium expert needs the return at which its training stops (until_return)")
    if max_env_steps < 1:
        raise ExpertError(f"{task}: cannot train for {max_env_steps} environment steps; allow at least 1")
    layout = domains.task_layout(task)
    network_sizes(layout)  # refuses what a network cannot play before anything is started
    name = algorithm or default_algorithm(layout)
    _check(layout, name, network)
    options = {"network": network} if name == "dqn" and image_shape(layout.observation) else {}
    path = files.network_path(folder or files.own_folder(), task, quality)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = path.with_suffix(".training")
    trained, env_steps = _run(layout, name, options, until_return, max_env_steps, seed, state, progress, stop)
    returns = _returns(trained, layout, MEASURED_EPISODES, seed + 1)  # not the episodes that decided when to stop
    command = f"ocelot experts train {task} --quality {quality} --max-env-steps {max_env_steps} --seed {seed}"
    command += f" --algorithm {name}{f' --network {network}' if options else ''}"
    if until_return is not None:
        command += f" --until-return {until_return:g}"
    files.save_network(
        path,
        trained,
        {
            "task": task,
            "quality": quality,
            "algorithm": name.upper(),
            "command": command,
            "seed": seed,
            "env_steps": env_steps,
            "mean_return": float(np.mean(returns)),
            "std_return": float(np.std(returns, ddof=1)),
            "episodes": len(returns),
            "versions": versions(task),
        },
    )
    shutil.rmtree(state, ignore_errors=True)
    return path


def default_algorithm(layout: Layout) -> str:
    """SAC for actions that are numbers; for a choice DQN where it sees an image, and PPO where it sees numbers."""
    if layout.action["kind"] == "box":
        return "sac"
    return "ppo" if image_shape(layout.observation) is None else "dqn"


def _check(layout: Layout, algorithm: str, network: str) -> None:
    if algorithm not in ALGORITHMS:
        raise ExpertError(f"unknown algorithm '{algorithm}': it is one of {', '.join(ALGORITHMS)}")
    if network not in NETWORKS:
        raise ExpertError(f"unknown network '{network}': it is one of {', '.join(NETWORKS)}")
    kind = layout.action["kind"]
    if (algorithm, kind) in (("sac", "discrete"), ("dqn", "box")):
        raise ExpertError(f"{layout.task}: its actions are a {kind}, which {algorithm.upper()} cannot learn here")
    if image_shape(layout.observation) is not None and algorithm != "dqn":
        raise ExpertError(f"{layout.task}: it is seen as an image, from which only DQN learns here")


def _run(
    layout: Layout,
    name: str,
    options: dict[str, str],
    until_return: float | None,
    max_env_steps: int,
    seed: int,
    state: Path,
    progress: Callable[[Progress], None],
    stop: Callable[[], object],
) -> tuple[Network, int]:
    """Trains until the return or the number of steps is reached; (network, environment steps)."""
    # RLlib imports dm_control, which without this looks for a display and warns that there is none.
    with rendering.unneeded():
        from actors.experts import rllib

    export = rllib.KINDS[name].export
    with rllib.running(name, layout, seed, **options) as algorithm:
        if state.exists():
            algorithm.restore_from_path(str(state.resolve()))
        mean, env_steps, updates = -math.inf, 0, 0
        while not (until_return is not None and mean >= until_return):
            if env_steps >= max_env_steps:
                if until_return is None:
                    break
                raise ExpertError(
                    f"{layout.task}: mean return {mean:.1f} after {env_steps} environment steps, not yet "
                    f"{until_return:g}; allow more steps (max_env_steps) and give the command again: it resumes"
                )
            result = algorithm.train()
            sampled = result["env_runners"]
            env_steps = int(sampled["num_env_steps_sampled_lifetime"])
            mean = float(sampled.get("episode_return_mean", math.nan))
            if until_return is not None:
                # What training episodes returned is what policies of some updates ago returned.
                mean = float(np.mean(_returns(export(algorithm), layout, STOPPING_EPISODES, seed)))
            updates += 1
            metrics = _metrics(layout.task, result, mean)
            if updates % UPDATES_AN_EVALUATION == 0:
                played = _returns(export(algorithm), layout, EVALUATED_EPISODES, seed + 2)
                metrics[f"eval/return/{layout.task}"] = float(np.mean(played))
            progress(Progress(env_steps, max_env_steps, mean, metrics))
            stopped = stop()
            if updates % UPDATES_A_CHECKPOINT == 0 or env_steps >= max_env_steps or stopped:
                _save(algorithm, state)
            if stopped:
                raise Stopped
        return export(algorithm), env_steps


def _metrics(task: str, result: dict[str, Any], mean: float) -> dict[str, float]:
    """What TensorBoard shows of an update: returns and lengths of training episodes, and RLlib's losses."""
    length = float(result["env_runners"].get("episode_len_mean", math.nan))
    metrics = {f"charts/episodic_return/{task}": mean, f"charts/episodic_length/{task}": length}
    learned = result.get("learners", {}).get("default_policy", {})
    return metrics | {
        f"losses/{name}": float(value)
        for name, value in learned.items()
        if ("loss" in name or name == "entropy") and np.ndim(value) == 0
    }


def _returns(network: Network, layout: Layout, episodes: int, seed: int) -> list[float]:
    expert = NetworkExpert("network", network, layout, seed)
    return [episode.total for episode in play(expert, layout, episodes, seed)]


def _save(algorithm: "Algorithm", state: Path) -> None:
    """Replaces the kept state of a training; an interruption leaves the old one or the new one."""
    partial, old = state.with_suffix(".partial"), state.with_suffix(".old")
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    algorithm.save_to_path(str(partial.resolve()))
    if state.exists():
        state.rename(old)
    partial.rename(state)
    shutil.rmtree(old, ignore_errors=True)
