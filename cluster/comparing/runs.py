"""Run directories as comparisons read them: settings, the last evaluations, and those on the way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cluster.comparing.comparison import ComparisonError, Point, Reference, Row, Run
from cluster.config_files import read_yaml
from cluster.reference_scores import find
from cluster.rundir import RunDirectory, RunError

References = dict[str, Reference | None]


def read_run(directory: RunDirectory, references: References) -> tuple[Run, list[Row], list[Point]]:
    """A run, its last evaluation of each task at each temperature, and all of them; adds the references that it needs.

    Raises:
        ComparisonError: when the run has no evaluations.
    """
    lines = directory.evaluations()
    if not lines:
        raise ComparisonError(
            f"{directory.path} has no evaluations; let the run end with evaluation.episodes above 0: "
            "they are made at its end, so that one that still runs has none unless evaluation.every is set"
        )
    config = read_yaml(directory.path / "config.yaml")
    environment = json.loads((directory.path / "environment.json").read_text())
    for line in lines:
        if line["task"] not in references:
            references[line["task"]] = find(line["task"])
    folder, arm = str(directory.path), config["run"]["arm"] or config["run"]["name"]
    run = Run(folder, arm, config, environment, lines[-1]["updates"], lines[-1].get("env_steps", 0))
    last = {(line["task"], line["temperature"]): line for line in lines}
    rows = [
        Row.make(task, arm, line["returns"], references[task], run.seed, line["checkpoint"], temperature, folder)
        for (task, temperature), line in last.items()
    ]
    points = {(line["task"], line["temperature"], line["updates"]): _point(run, line, references) for line in lines}
    for point in _beginnings(run, references):
        points.setdefault((point.task, point.temperature, 0), point)
    return run, rows, sorted(points.values(), key=lambda point: (point.task, point.temperature, point.updates))


def _point(run: Run, line: dict[str, Any], references: References) -> Point:
    reference = references.get(line["task"])
    return Point(
        line["task"],
        run.arm,
        run.seed,
        line["temperature"],
        line["updates"],
        line.get("env_steps", 0),
        line.get("training_seconds"),
        float(np.mean(line["returns"])),
        None if reference is None else float(reference.score(np.asarray(line["returns"])).mean()),
        run.folder,
    )


def _beginnings(run: Run, references: References) -> Iterator[Point]:
    """Where a run that was not evaluated at its beginning began: evaluations of its start, in the run that made it."""
    start = run.environment.get("start")
    if start is None:
        return
    checkpoint = Path(start["checkpoint"])
    try:
        lines = RunDirectory.open(checkpoint.parents[1]).evaluations()
    except (RunError, IndexError):
        return
    for line in lines:
        if Path(line["checkpoint"]).name == checkpoint.name and line["task"] in references:
            yield _point(run, line | {"updates": 0, "env_steps": 0, "training_seconds": 0.0}, references)
