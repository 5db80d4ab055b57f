"""Evaluations of a run's own checkpoints, into its evaluations.jsonl and TensorBoard."""

from pathlib import Path

from cluster.board import Board
from cluster.config import FinetuneConfig, PretrainConfig
from cluster.evaluate import evaluate_checkpoint
from cluster.filming.clip import Clip
from cluster.rundir import RunDirectory
from cluster.scores import scalars


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
