"""What a run tells TensorBoard once, when it begins."""

from collections.abc import Mapping

from cluster.board import Board
from cluster.config import FinetuneConfig, PretrainConfig
from cluster.reference_scores import find
from cluster.rundir import RunDirectory
from cluster.scores import acting_name
from cluster.watching import charts
from cluster.watching.cards import config_card, environment_card, task_card
from policy.layout import Layout


def introduce(
    board: Board, config: PretrainConfig | FinetuneConfig, run: RunDirectory, layouts: Mapping[str, Layout]
) -> None:
    """Hyperparameters with the scores beside them, the page of charts, and cards of configuration, tasks, machine."""
    tasks = [task.name for task in config.tasks]
    acting = [acting_name(temperature) for temperature in config.evaluation.temperatures]
    metrics = [f"eval/interquartile_mean/{name}" for name in acting if any(find(task) for task in tasks)]
    metrics += [f"eval/{'score' if find(task) else 'return'}/{task}/{name}" for task in tasks for name in acting]
    board.hyperparameters(config.model_dump(mode="json"), metrics)
    board.charts((charts.offline if isinstance(config, PretrainConfig) else charts.online)(tasks))
    board.card("config", config_card(run))
    board.card("tasks", task_card(config.tasks, layouts))
    board.card("environment", environment_card(run))
