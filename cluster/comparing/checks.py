"""Whether arms are comparable: a line for each thing that differs and should not."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from cluster.comparing.aggregates import scored, tasks
from cluster.comparing.arms import PLAYERS, baseline
from cluster.comparing.comparison import References, Row, Run
from cluster.config_files import flatten
from cluster.environment import machine_name
from cluster.rundir import SIZES


def warnings(rows: Sequence[Row], runs: Sequence[Run], references: References) -> list[str]:
    """What keeps a comparison from being fair, each line naming who differs and in what.

    Same start (by the weights themselves, seed by seed), same budget, same seeds, same versions of the environments and
    of everything else that was noted, same evaluation.
    """
    chosen = [run for run in runs if run.online] or list(runs)
    return [
        *_unfinished(chosen),
        *_starts(chosen),
        *_same("budget: learner updates", chosen, [run.updates for run in chosen]),
        *_same("budget: environment steps", chosen, [run.config.get("actors", {}).get("steps") for run in chosen]),
        *_seeds(rows),
        *_same(
            "evaluation: tasks", chosen, [", ".join(task["name"] for task in run.config["tasks"]) for run in chosen]
        ),
        *_evaluations(chosen),
        *_sizes(chosen),
        *_versions(chosen),
        *_same("commit of Ocelot", chosen, [(run.environment.get("commit") or "unknown")[:10] for run in chosen]),
        *_same("hardware (matters to curves over time)", chosen, [_hardware(run) for run in chosen]),
        *_unscored(rows, references),
        *_published(rows, references),
    ]


def _unfinished(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        planned = run.config["run"]["updates"]
        if run.updates < planned:
            yield f"{run.folder} is not done: its last evaluation is at update {run.updates} of {planned}"


def _starts(runs: Sequence[Run]) -> Iterator[str]:
    for seed in sorted({run.seed for run in runs}):
        own = [run for run in runs if run.seed == seed]
        yield from _same(f"start of seed {seed}", own, [_start(run) for run in own])


def _start(run: Run) -> str:
    start = run.environment.get("start")
    if start is not None:
        return f"{start['checkpoint']} (weights {start['weights_sha256'][:8]})"
    given = run.config.get("checkpoint")
    return "fresh weights" if given is None else f"{given} (which weights it held was not noted)"


def _seeds(rows: Sequence[Row]) -> Iterator[str]:
    """Every arm is held against one, so their seeds must be its seeds."""
    by_arm: dict[str, set] = defaultdict(set)
    for row in rows:
        if row.arm not in PLAYERS:
            by_arm[row.arm].add(row.seed)
    held = baseline(list(by_arm))
    for arm, seeds in by_arm.items():
        if held is not None and seeds != by_arm[held]:
            yield f"seeds: {arm} has {_list(seeds)}, {held} has {_list(by_arm[held])}; differences by seed are left out"


def _evaluations(runs: Sequence[Run]) -> Iterator[str]:
    for key in ("episodes", "temperatures", "seed"):
        yield from _same(f"evaluation: {key}", runs, [run.config["evaluation"][key] for run in runs])


def _sizes(runs: Sequence[Run]) -> Iterator[str]:
    """What fits a run to its machines makes no other arm, but may matter."""
    flat = [flatten(run.config) for run in runs]
    for key in SIZES:
        yield from _same(key, runs, [settings.get(key, "not set") for settings in flat])


def _versions(runs: Sequence[Run]) -> Iterator[str]:
    packages = [run.environment.get("packages", {}) for run in runs]
    for name in sorted({name for known in packages for name in known}):
        yield from _same(f"version of {name}", runs, [known.get(name, "none") for known in packages])
    yield from _same("version of Python", runs, [run.environment.get("python") for run in runs])


def _hardware(run: Run) -> str:
    return machine_name(run.environment.get("hardware", {}))


def _unscored(rows: Sequence[Row], references: References) -> Iterator[str]:
    known = tasks(rows)
    if without := [task for task in known if task not in scored(known, references)]:
        yield (
            f"no reference scores for {', '.join(without)}: shown in returns, and left out of all figures over tasks "
            f"(`ocelot experts measure TASK` measures them; an expert no better than random actions gives none)"
        )


def _published(rows: Sequence[Row], references: References) -> Iterator[str]:
    for task in tasks(rows):
        reference = references.get(task)
        if reference is not None and reference.published is not None:
            yield f"the scale of {task} is published, under another protocol, not measured: {reference.published}"


def _same(what: str, runs: Sequence[Run], values: Sequence[Any]) -> Iterator[str]:
    """A line when the runs' values differ: each value with the arms that have it (and seeds, where not all have)."""
    having: dict[str, list[Run]] = defaultdict(list)
    for run, value in zip(runs, values, strict=True):
        having[str(value)].append(run)
    if len(having) > 1:
        yield f"{what} differs: " + "; ".join(f"{value} in {_who(those, runs)}" for value, those in having.items())


def _who(those: Sequence[Run], everyone: Sequence[Run]) -> str:
    names = []
    for arm in dict.fromkeys(run.arm for run in those):
        seeds = {run.seed for run in those if run.arm == arm}
        whole = seeds == {run.seed for run in everyone if run.arm == arm}
        names.append(arm if whole else f"{arm} (seed {_list(seeds)})")
    return ", ".join(names)


def _list(seeds: set) -> str:
    return ", ".join(map(str, sorted(seeds, key=str)))
