"""Evaluating a checkpoint with the serving path that actors use."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cluster.evaluation_pool import Job, play, slots
from cluster.local_ray import get, kill, local_ray
from cluster.progress import Progress
from cluster.rundir import find_checkpoint
from cluster.serving import put_weights, serve, weight_bytes
from policy import checkpoint as files
from policy.errors import CheckpointError
from policy.types import Version
from replay.prompts import NO_PROMPT, ActingPrompts, Kind, Prompt

if TYPE_CHECKING:
    from actors.evaluation import Evaluation
    from cluster.filming.clip import Clip

Row = dict[str, Any]
"""One line of evaluations.jsonl."""


def evaluate_checkpoint(
    checkpoint: str | Path,
    tasks: Sequence[str] | None = None,
    episodes: int = 20,
    temperatures: Sequence[float] = (0.0, 1.0),
    seed: int = 10_000,
    processes: int = 2,
    dtype: str = "float32",
    with_return: bool | None = None,
    return_kappa: float | None = None,
    arm: str | None = None,
    clips: Callable[["Clip"], None] | None = None,
    prompt: Kind | None = None,
    datasets: Sequence[str] | None = None,
) -> list[Row]:
    """Plays episodes with a checkpoint's policy, under one version throughout.

    Args:
        checkpoint: a checkpoint folder, or a run directory (its newest).
        tasks: which of the tasks that the policy knows; None takes all.
        episodes: a task and temperature.
        temperatures: of action sampling; 0 is greedy.
        seed: of the environments.
        processes: that play at the same time, beside the policy server.
        dtype: of weights and cache.
        with_return, return_kappa: act with return tokens; None takes what the checkpoint's run acted with.
        arm: name in the rows; None takes the one in the checkpoint.
        clips: told of a clip of each task that can be drawn, at the first temperature; None: nothing is drawn.
        prompt: what stands in front of every episode: the first steps of a successful demonstration, or its last ones
            ("goal"); one a task, drawn by the seed. None: nothing.
        datasets: Minari datasets with the demonstrations; None takes those of each task in the checkpoint's run.

    Returns:
        A row for each task and temperature: task, arm, version, env_steps, updates, training_seconds (None where no
        run online led to it), temperature, seed, checkpoint, returns and lengths of every episode, faults, seconds.

    Raises:
        RunError, CheckpointError: no such checkpoint, or a task that it does not know.
        DatasetError: a prompt for a task without demonstrations.
    """
    folder = find_checkpoint(checkpoint)
    loaded = files.load(folder)
    unknown = [task for task in tasks or () if task not in loaded.layouts]
    if unknown:
        raise CheckpointError(f"{folder} does not know the task {unknown[0]}; it knows {', '.join(loaded.layouts)}")
    acting = loaded.extra.get("acting", {})
    with_return = acting.get("with_return", False) if with_return is None else with_return
    kappa = acting.get("return_kappa", 10.0) if return_kappa is None else return_kappa
    names = list(tasks or loaded.layouts)
    prompts = {name: _prompt(loaded, folder, name, prompt, datasets, seed) for name in names}
    if prompt is not None:
        with_return = False  # return tokens and prompts do not go together
    jobs = [
        Job(
            loaded.layouts[task],
            episodes,
            temperature,
            seed,
            with_return,
            kappa,
            prompts[task],
            loaded.model.config.context if clips is not None and temperature == temperatures[0] else None,
        )
        for task in names
        for temperature in temperatures
    ]
    version = Version(*loaded.extra.get("version", (0, 0)))
    with (
        local_ray(weight_bytes(loaded.model)),
        Progress(f"Evaluating {folder.name}", len(jobs), "evaluations") as progress,
    ):
        weights = put_weights(loaded.model)
        server = serve(loaded.model.config, weights, version, slots(jobs, processes), dtype=dtype, seed=seed)
        try:
            get(server.pin.remote(version))
            played = play(server, jobs, processes, progress.update)
        finally:
            kill(server)
    for _, clip in played:
        if clips is not None and clip is not None:
            clips(clip)
    rows = [row(evaluation, loaded.extra, str(folder), arm) for evaluation, _ in played]
    return rows if prompt is None else [each | {"prompt": prompt} for each in rows]


def _prompt(
    loaded: files.Checkpoint, folder: Path, task: str, kind: Kind | None, datasets: Sequence[str] | None, seed: int
) -> Prompt:
    """The prompt of one task."""
    if kind is None:
        return NO_PROMPT
    named = _datasets(folder, task) if datasets is None else datasets
    return ActingPrompts(named, loaded.layouts[task], loaded.model.config.context, kind, seed=seed).draw()


def _datasets(folder: Path, task: str) -> list[str]:
    """The datasets of a task, as the configuration of the checkpoint's run names them; none where there is no run."""
    file = folder.parent.parent / "config.yaml"
    if not file.is_file():
        return []
    tasks = yaml.safe_load(file.read_text()).get("tasks", [])
    return [dataset for each in tasks if each["name"] == task for dataset in each.get("datasets", [])]


def row(evaluation: "Evaluation", extra: dict[str, Any], checkpoint: str, arm: str | None = None) -> Row:
    """The line of an evaluation. `extra` is what the checkpoint says of itself."""
    return {
        "task": evaluation.task,
        "arm": arm or extra.get("arm", "policy"),
        "version": list(evaluation.version),
        "env_steps": extra.get("env_steps", 0),
        "updates": extra.get("updates", 0),
        "training_seconds": extra.get("seconds"),
        "temperature": evaluation.temperature,
        "seed": evaluation.seed,
        "checkpoint": checkpoint,
        "returns": evaluation.returns,
        "lengths": evaluation.lengths,
        "faults": evaluation.faults,
        "seconds": evaluation.seconds,
    }
