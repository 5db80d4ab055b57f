"""Evaluations of a run's own checkpoints, into its evaluations.jsonl and TensorBoard."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cluster.board import Board
from cluster.config import FinetuneConfig, PretrainConfig
from cluster.evaluate import Row, evaluate_checkpoint
from cluster.filming.clip import Clip
from cluster.reference_scores import find
from cluster.rundir import RunDirectory


def evaluate_run(
    config: PretrainConfig | FinetuneConfig, run: RunDirectory, checkpoint: Path, update: int, board: Board, step: int
) -> dict[str, float]:
    """Evaluates a checkpoint of the run and notes each evaluation, unless that was done before.

    Args:
        update: of the checkpoint.
        board: gets the scores, and clips of the tasks that can be drawn.
        step: the board's.

    Returns:
        The scalars; none when there was nothing to do.
    """
    wanted = {(task.name, temperature) for task in config.tasks for temperature in config.evaluation.temperatures}
    done = {(line["task"], line["temperature"]) for line in run.evaluations() if line["updates"] == update}
    if config.evaluation.episodes == 0 or wanted <= done:
        return {}

    def show(clip: Clip) -> None:
        board.image(f"eval/clip/{clip.task}", clip.moving, clip.size, step)
        board.image(f"eval/stills/{clip.task}", clip.strip, clip.strip_size, step)

    rows = evaluate_checkpoint(
        checkpoint,
        [task.name for task in config.tasks],
        config.evaluation.episodes,
        config.evaluation.temperatures,
        config.evaluation.seed,
        dtype=config.server.dtype,
        clips=show if config.evaluation.clips else None,
    )
    for row in rows:
        run.add_evaluation(row)
    values = scalars(rows)
    board.scalars(values, step)
    return values


def scalars(rows: Sequence[Row]) -> dict[str, float]:
    """Mean return and normalised score of each task, and the interquartile mean of all scores, by temperature."""
    values: dict[str, float] = {}
    scores: dict[str, list[float]] = {}
    for row in rows:
        acting = acting_name(row["temperature"])
        values[f"eval/return/{row['task']}/{acting}"] = float(np.mean(row["returns"]))
        reference = find(row["task"])
        if reference is not None:
            each = reference.score(np.asarray(row["returns"]))
            values[f"eval/score/{row['task']}/{acting}"] = float(each.mean())
            scores.setdefault(acting, []).extend(each.tolist())
    for acting, all_scores in scores.items():
        values[f"eval/interquartile_mean/{acting}"] = interquartile_mean(all_scores)
    return values


def acting_name(temperature: float) -> str:
    """How tags call a temperature: greedy, temperature_1."""
    return "greedy" if temperature == 0 else f"temperature_{temperature:g}"


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of what is left without the lowest and the highest quarter."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())
