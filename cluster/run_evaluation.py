"""Evaluations of a run's own checkpoints, into its evaluations.jsonl and TensorBoard."""

import logging
from pathlib import Path

import yaml

from cluster.board import Board
from cluster.config import FinetuneConfig, PretrainConfig
from cluster.evaluate import Row, evaluate_checkpoint
from cluster.filming.clip import Clip
from cluster.rundir import RunDirectory, find_checkpoint
from cluster.scores import scalars

LOG = logging.getLogger("ocelot")


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

    rows = measured_before(config, checkpoint) if update == 0 and isinstance(config, FinetuneConfig) else []
    if {(row["task"], row["temperature"]) for row in rows} != wanted:
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


def measured_before(config: FinetuneConfig, checkpoint: Path) -> list[Row]:
    """What the run that this one starts from has measured of the very weights on the very episodes, as rows of its own.

    Args:
        checkpoint: of this run before any update.
    """
    wanted, rows = config.evaluation, []
    if config.checkpoint is None or config.actors.with_return or wanted.clips:  # it played without, and shows no clips
        return []
    start = find_checkpoint(config.checkpoint)
    run = RunDirectory(start.parent.parent)
    settings = run.path / "config.yaml"
    if not settings.is_file() or yaml.safe_load(settings.read_text())["server"]["dtype"] != config.server.dtype:
        return []
    own = {"arm": config.run.arm or config.run.name, "env_steps": 0, "updates": 0, "training_seconds": 0.0}
    tasks = [task.name for task in config.tasks]
    for line in run.evaluations():
        same = Path(line["checkpoint"]).name == start.name and line["seed"] == wanted.seed and "prompt" not in line
        asked = line["task"] in tasks and line["temperature"] in wanted.temperatures
        if same and asked and len(line["returns"]) == wanted.episodes:
            rows.append(line | own | {"checkpoint": str(checkpoint)})
    LOG.info("%d evaluations before any update are those of %s: the same weights and episodes", len(rows), start)
    return rows
