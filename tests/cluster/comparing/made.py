"""Comparisons made by hand: what two tasks, two arms and some seeds returned, and the runs behind them."""

from typing import Any

import numpy as np

from cluster.comparing.comparison import Point, Reference, Row, Run
from tests.cluster.small import changed

A, B = "gym/A-v0", "gym/B-v0"
REFERENCES: dict[str, Reference | None] = {A: Reference(0.0, 100.0), B: Reference(-200.0, 0.0)}
CONFIG: dict[str, Any] = {
    "run": {"name": "cloning", "folder": "runs", "arm": None, "seed": 0, "updates": 100, "log_every": 10},
    "tasks": [{"name": A, "datasets": ["a-v0"]}, {"name": B, "datasets": ["b-v0"]}],
    "checkpoint": "runs/pretrained",
    "learner": {"learning_rate": 1e-3},
    "schedule": [{"objective": "bc", "repeat": 1, "batch": 16, "data": {"expert": 1.0}, "settings": {"best": 1.0}}],
    "actors": {"steps": 1000},
    "evaluation": {"episodes": 4, "temperatures": [0.0], "seed": 7},
}
ENVIRONMENT: dict[str, Any] = {
    "commit": "c0ffee" * 6,
    "python": "3.11.7",
    "packages": {"gymnasium": "1.2.2", "torch": "2.13.0"},
    "hardware": {"cores": 2, "processor": "abacus", "memory_gb": 1.0, "gpus": []},
    "start": {"checkpoint": "runs/pretrained/checkpoints/step_000012", "weights_sha256": "a" * 64},
}


def row(task, arm, returns, seed=0, temperature: float | None = 0.0, run=None, references=REFERENCES):
    return Row.make(task, arm, returns, references[task], seed, f"runs/{arm}", temperature, run)


def run(folder: str, environment: dict[str, Any] = ENVIRONMENT, **changes: Any) -> Run:
    """A run whose name is its folder's, with settings changed as by `changed`."""
    config = changed(CONFIG, run__name=folder.rsplit("/", 1)[-1], **changes)
    return Run(
        folder, config["run"]["arm"] or config["run"]["name"], config, environment, config["run"]["updates"], 1000
    )


def way(of: Run, task: str, scores: list[float], seconds: float | None = 10.0) -> list[Point]:
    """Evaluations of a run, evenly spread over its steps, that had these scores."""
    reference = REFERENCES[task]
    assert reference is not None
    found = []
    for index, share in enumerate(np.linspace(0.0, 1.0, len(scores))):
        returned = reference.random + scores[index] * (reference.expert - reference.random)
        passed = None if seconds is None else seconds * share
        at = int(share * of.updates), int(share * of.env_steps)
        found.append(Point(task, of.arm, of.seed, 0.0, *at, passed, returned, scores[index], of.folder))
    return found
