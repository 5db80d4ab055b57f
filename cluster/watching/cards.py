"""Texts about a run, in Markdown, for TensorBoard's page TEXT."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.config import TaskConfig
from cluster.reference_scores import find
from cluster.rundir import RunDirectory
from policy.layout import Layout


def config_card(run: RunDirectory) -> str:
    """The run's configuration, as it can be given to the command again."""
    return _code((run.path / "config.yaml").read_text(), "yaml")


def environment_card(run: RunDirectory) -> str:
    """Commit, versions, hardware."""
    return _code(json.dumps(json.loads((run.path / "environment.json").read_text()), indent=1), "json")


def task_card(tasks: Sequence[TaskConfig], layouts: Mapping[str, Layout]) -> str:
    """One row a task: its tokens, its demonstrations, and the returns that score 0 and 1."""
    rows = []
    for task in tasks:
        layout, reference = layouts[task.name], find(task.name)
        rows.append(
            [
                task.name,
                f"{layout.step_tokens} ({layout.observation_tokens} + 1 + {layout.action_tokens})",
                f"{task.weight:g}",
                f"{task.discount:g}",
                ", ".join(task.datasets) or "none",
                f"{reference.random:.1f}" if reference else "not measured",
                f"{reference.expert:.1f}" if reference else "not measured",
            ]
        )
    head = [
        "task",
        "tokens a step (observation + separator + action)",
        "weight",
        "discount",
        "demonstrations",
        "return of random (score 0)",
        "return of the expert (score 1)",
    ]
    return table(head, rows)


def timing_card(tree: str) -> str:
    """A timing tree in its own columns."""
    return _code(tree, "")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _code(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
