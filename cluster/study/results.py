"""The results of a study as far as it goes: a comparison of each group, and the page that says how they were made."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster.comparing import files as comparison_files
from cluster.comparing.aggregates import matrix, paired, scored, stacked, temperatures
from cluster.comparing.comparison import Comparison, Row, Run
from cluster.comparing.intervals import Estimate, mean_of_means
from cluster.comparing.tables import acting, piped
from cluster.environment import machine_name
from cluster.players import player_returns
from cluster.rundir import writing
from cluster.study.config import GroupConfig, StudyConfig
from cluster.study.jobs import DONE, FAILED, PRETRAINED, Job

Figures = Callable[[float], dict[str, Estimate]]
"""What a temperature has to tell, by name."""

ALL = "all tasks"
BASELINES = ("cloning", "filtered_cloning", "offline_rl")


def write(config: StudyConfig, every: Sequence[Job], command: str) -> None:
    """Writes RESULTS/GROUP (comparison.json, .md, .html, figures) for each group with results, and the page."""
    sections, runs = [], []
    for group, own in config.groups.items():
        done = [job for job in every if job.group == group and _status(job) == DONE]
        if done:
            comparison = _comparison(config, own, done)
            comparison_files.write(comparison, Path(config.results) / group)
            sections.append(_section(group, comparison))
            runs += comparison.runs
    with writing(Path(config.results)):
        Path(config.results).mkdir(parents=True, exist_ok=True)
        (Path(config.results) / "README.md").write_text(_page(every, command, runs, sections))


def _comparison(config: StudyConfig, group: GroupConfig, done: Sequence[Job]) -> Comparison:
    gathered = comparison_files.gather([job.row_folder for job in done])
    players = []
    for wanted in group.demonstrations:
        played = player_returns(
            wanted.task, wanted.quality, config.player_episodes, config.player_seed, Path(config.folder)
        )
        reference = gathered.references.get(wanted.task)
        players += [Row.make(wanted.task, arm, returns, reference) for arm, returns in played.items()]
    return comparison_files.complete(replace(gathered, rows=[*players, *gathered.rows]))


def pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Which arm is held against which baseline: each against all of them, baselines against those before them."""
    return [
        (arm, other)
        for place, other in enumerate(BASELINES)
        for arm in arms
        if other in arms and arm not in BASELINES[: place + 1]
    ]


def difference(comparison: Comparison, arm: str, other: str, temperature: float) -> Estimate | None:
    """Mean over scored tasks of arm - other, paired by seed; None where they have no seed in common."""
    mine, theirs = paired(*(matrix(comparison.rows, name, temperature) for name in (arm, other)))
    names = scored(sorted(mine.keys() & theirs.keys()), comparison.references)
    if not names:
        return None
    found = (stacked(mine, names) - stacked(theirs, names)).mean(axis=1)  # [seeds]
    return _over_seeds([float(value) for value in found])


def after_switch(comparison: Comparison, arm: str, temperature: float) -> dict[str, Estimate]:
    """By task: the score at an arm's first evaluation after its updates began, minus that before them, paired by seed.

    Tasks whose runs were not evaluated at both are left out. Where several have scores, ALL is the mean over them.
    """
    found: dict[str, dict[int, float]] = {}
    for task in sorted({point.task for point in comparison.points}):
        own = [p for p in comparison.points if (p.task, p.arm, p.temperature) == (task, arm, temperature)]
        for seed in sorted({point.seed for point in own}):
            way = sorted((point for point in own if point.seed == seed), key=lambda point: point.updates)
            last = max(point.updates for point in way)
            if len(way) > 2 and way[0].updates == 0 and way[1].updates < last:
                found.setdefault(task, {})[seed] = way[1].value - way[0].value
    names = scored(sorted(found), comparison.references)
    if len(names) > 1:
        common = set.intersection(*(set(found[task]) for task in names))
        found |= {ALL: {seed: float(np.mean([found[task][seed] for task in names])) for seed in common}}
    return {task: _over_seeds(list(values.values())) for task, values in found.items() if values}


def kept(comparison: Comparison, arm: str, temperature: float) -> dict[str, Estimate]:
    """By task that an arm left alone (`online: false`): its final score as a share of the pretrained policy's, paired
    by seed. Tasks without a score, or where the pretrained policy has none above 0, are left out."""
    ended, began = (matrix(comparison.rows, name, temperature) for name in (arm, PRETRAINED))
    alone = {
        task["name"]
        for run in comparison.runs
        if run.arm == arm
        for task in run.config["tasks"]
        if not task.get("online", True)
    }
    shares = {
        task: [
            ended[task][seed] / began[task][seed] for seed in sorted(ended[task].keys() & began[task].keys(), key=str)
        ]
        for task in scored(sorted(alone & ended.keys() & began.keys()), comparison.references)
        if min(began[task].values()) > 0
    }
    return {task: _over_seeds(values) for task, values in shares.items() if values}


def _over_seeds(values: Sequence[float]) -> Estimate:
    """Their mean; without an interval where there is one."""
    return mean_of_means([np.array(values)]) if len(values) > 1 else Estimate(values[0], None, None)


def _section(group: str, comparison: Comparison) -> list[str]:
    """What a group shows, in lines of Markdown."""
    lines = [f"## {group}", "", f"[All figures, tables and curves]({group}/comparison.md)", ""]
    lines += [f"![{group}]({group}/comparison.png)", ""]
    learned = sorted({run.arm for run in comparison.runs if run.online})

    def differences(temperature: float) -> dict[str, Estimate]:
        found = {f"{arm} - {other}": difference(comparison, arm, other, temperature) for arm, other in pairs(learned)}
        return {name: estimate for name, estimate in found.items() if estimate is not None}

    def of_arms(figures: Callable[[Comparison, str, float], dict[str, Estimate]]) -> Figures:
        return lambda temperature: {
            f"{arm}, {task}": estimate
            for arm in learned
            for task, estimate in figures(comparison, arm, temperature).items()
        }

    known = [temperature for temperature in temperatures(comparison.rows) if temperature is not None]
    return [
        *lines,
        *_told("difference over all tasks, paired by seed", known, differences),
        *_told("first evaluation online minus before", known, of_arms(after_switch)),
        *_told("share that is kept of the pretrained score", known, of_arms(kept), sign=""),
    ]


def _told(heading: str, known: Sequence[float], figures: Figures, sign: str = "+") -> list[str]:
    """A table with a column for each temperature; no lines where there are no figures."""
    columns = [figures(temperature) for temperature in known]
    body = [
        [name, *(_shown(column[name], sign) if name in column else "" for column in columns)]
        for name in dict.fromkeys(name for column in columns for name in column)
    ]
    return [*piped([[heading, *map(acting, known)], *body]), ""] if body else []


def _page(every: Sequence[Job], command: str, runs: Sequence[Run], sections: Sequence[list[str]]) -> str:
    rows = [(job, row) for job in every if (row := job.row()) is not None]
    hours = sum(row.hours for _, row in rows)
    done = sum(row.status == DONE for _, row in rows)
    lines = [
        "# Study",
        "",
        f"Made by `{command}`: {done} of {len(every)} runs done, {hours:.1f} hours of runs. "
        "Normalised scores: 0 is the random player, 1 the expert; intervals are 95% over seeds.",
        "",
        *made_with([run.environment for run in runs]),
        "",
    ]
    failed = [(job, row) for job, row in rows if row.status == FAILED]
    lines += [f"- failed: {job.name}: {(row.error or '').splitlines()[0]}" for job, row in failed]
    lines += [""] if failed else []
    return "\n".join([*lines, *(line for section in sections for line in section)])


def made_with(environments: Sequence[dict[str, Any]]) -> list[str]:
    """Machines and commits, with how many runs each made, and versions: a study may take days and several of them."""
    if not environments:
        return []
    machines = Counter(_machine(each["hardware"]) for each in environments)
    commits = Counter(_commit(each) for each in environments)
    versions: dict[str, list[str]] = {}
    for each in environments:
        for name, version in {"Python": each["python"], **each["packages"]}.items():
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    return [
        *(f"- {count} on {machine}" for machine, count in machines.most_common()),
        *(f"- {count} at {commit}" for commit, count in commits.most_common()),
        "- " + ", ".join(f"{name} {' and '.join(found)}" for name, found in versions.items()),
    ]


def _machine(hardware: dict[str, Any]) -> str:
    return f"{machine_name(hardware)}, {hardware['memory_gb']} GB"


def _commit(environment: dict[str, Any]) -> str:
    changed = ", with changes that are not in it" if environment["changed_files"] else ""
    return f"commit {environment['commit']}{changed}"


def _status(job: Job) -> str | None:
    row = job.row()
    return None if row is None else row.status


def _shown(estimate: Estimate, sign: str) -> str:
    value = format(estimate.value, f"{sign}.2f")
    if estimate.low is None or estimate.high is None:
        return f"{value} (one seed)"
    return f"{value} [{estimate.low:{sign}.2f} {estimate.high:{sign}.2f}]"
