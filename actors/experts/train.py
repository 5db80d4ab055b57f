"""Trains an expert's network: to the end, or half way for a medium one."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actors import domains, rendering
from actors.experts import cem, dagger, files
from actors.experts.judging import STOPPING_EPISODES, Progress, Stopped, episodes_of, not_reached, returns_of
from actors.experts.network import Network
from actors.experts.players import image_shape, network_sizes
from actors.experts.types import EXPERT, MEDIUM, ExpertError
from actors.experts.versions import versions
from policy.layout import Layout

if TYPE_CHECKING:
    from ray.rllib.algorithms import Algorithm

MEASURED_EPISODES = 100
UPDATES_A_CHECKPOINT = 10
UPDATES_AN_EVALUATION = 10
EVALUATED_EPISODES = 5

ALGORITHMS = ("ppo", "sac", "dqn", "cem", "dagger")
NETWORKS = ("nature2015", "nips2013")
"""Of DQN, for images."""
SEARCHES = {cem.NAME: cem.search, dagger.NAME: dagger.search}
"""What does not go through RLlib."""


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
        until_return: stop when the present policy's mean return, over 20 sampled episodes, is at least this. It is
            played so often that this takes no longer than twice the training.
        max_env_steps: stop after so many steps at the latest.
        seed: of environments, first weights and exploration.
        folder: where to write; the person's own folder of experts if None.
        progress: called after every update.
        algorithm: of `ALGORITHMS`; if None, `default_algorithm`. `cem` is a search for a linear player of numbers,
            `dagger` learns from the scripted expert.
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
    state = path.with_suffix(f".{name}-training")  # another algorithm could not go on from it
    trained, env_steps = _run(layout, name, options, until_return, max_env_steps, seed, state, progress, stop)
    returns = returns_of(trained, layout, MEASURED_EPISODES, seed + 1)  # not the episodes that decided when to stop
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
    if (algorithm, kind) in (("sac", "discrete"), ("cem", "discrete"), ("dqn", "box")):
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
    if name in SEARCHES:
        return SEARCHES[name](layout, until_return, max_env_steps, seed, state, progress, stop)
    # RLlib imports dm_control, which without this looks for a display and warns that there is none.
    with rendering.unneeded():
        from actors.experts import rllib

    export = rllib.KINDS[name].export
    with rllib.running(name, layout, seed, **options) as algorithm:
        if state.exists():
            algorithm.restore_from_path(str(state.resolve()))
        mean, env_steps, updates = -math.inf, 0, 0
        judged, took = 0, 0  # when the present policy was last played, and how many steps that took
        while not (until_return is not None and mean >= until_return):
            if env_steps >= max_env_steps:
                if until_return is None:
                    break
                raise not_reached(layout, mean, until_return, env_steps)
            result = algorithm.train()
            sampled = result["env_runners"]
            env_steps = int(sampled["num_env_steps_sampled_lifetime"])
            if until_return is None:
                mean = float(sampled.get("episode_return_mean", math.nan))
            elif env_steps - judged >= took / 2:  # where episodes are long, playing would take longer than training
                # What training episodes returned is what policies of some updates ago returned.
                played = episodes_of(export(algorithm), layout, STOPPING_EPISODES, seed)
                mean = float(np.mean([episode.total for episode in played]))
                judged, took = env_steps, sum(len(episode.rewards) for episode in played)
            updates += 1
            metrics = _metrics(layout.task, result, mean)
            if updates % UPDATES_AN_EVALUATION == 0:
                returns = returns_of(export(algorithm), layout, EVALUATED_EPISODES, seed + 2)
                metrics[f"eval/return/{layout.task}"] = float(np.mean(returns))
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
