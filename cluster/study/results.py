"""The results of a study as far as it goes: a comparison of each group, and the page that says how they were made."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cluster.comparing import files as comparison_files
from cluster.comparing.aggregates import matrix, scored, stacked, temperatures
from cluster.comparing.comparison import Comparison, Row
from cluster.comparing.intervals import Estimate, mean_of_means
from cluster.environment import describe_environment
from cluster.players import player_returns
from cluster.rundir import writing
from cluster.study.config import GroupConfig, StudyConfig
from cluster.study.jobs import DONE, FAILED, Job


def write(config: StudyConfig, every: Sequence[Job], command: str) -> None:
    """Writes RESULTS/GROUP (comparison.json, .md, .html, figures) for each group with results, and the page."""
    sections = []
    for group, own in config.groups.items():
        done = [job for job in every if job.group == group and _status(job) == DONE]
        if done:
            comparison = _comparison(config, own, done)
            comparison_files.write(comparison, Path(config.results) / group)
            sections.append(_section(group, comparison))
    with writing(Path(config.results)):
        Path(config.results).mkdir(parents=True, exist_ok=True)
        (Path(config.results) / "README.md").write_text(_page(every, command, sections))


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


def paired(comparison: Comparison, arm: str, other: str, temperature: float) -> Estimate | None:
    """Mean over scored tasks of arm - other, paired by seed; None where they have no two seeds in common."""
    mine, theirs = (matrix(comparison.rows, name, temperature) for name in (arm, other))
    names = scored(sorted(mine.keys() & theirs.keys()), comparison.references)
    if not names or any(mine[task].keys() != theirs[task].keys() for task in names):
        return None
    difference = (stacked(mine, names) - stacked(theirs, names)).mean(axis=1)  # [seeds]
    return mean_of_means([difference]) if len(difference) > 1 else Estimate(float(difference[0]), None, None)


def after_switch(comparison: Comparison, arm: str, temperature: float) -> dict[str, Estimate]:
    """By task: the score at an arm's first evaluation after its updates began, minus that before them, paired by seed.

    Tasks whose runs were not evaluated at both are left out.
    """
    found: dict[str, list[float]] = {}
    for task in sorted({point.task for point in comparison.points}):
        own = [p for p in comparison.points if (p.task, p.arm, p.temperature) == (task, arm, temperature)]
        for seed in sorted({point.seed for point in own}):
            way = sorted((point for point in own if point.seed == seed), key=lambda point: point.updates)
            last = max(point.updates for point in way)
            if len(way) > 2 and way[0].updates == 0 and way[1].updates < last:
                found.setdefault(task, []).append(way[1].value - way[0].value)
    return {
        task: mean_of_means([np.array(values)]) if len(values) > 1 else Estimate(values[0], None, None)
        for task, values in found.items()
    }


def _section(group: str, comparison: Comparison) -> list[str]:
    """What a group shows, in lines of Markdown."""
    lines = [f"## {group}", "", f"[All figures, tables and curves]({group}/comparison.md)", ""]
    lines += [f"![{group}]({group}/comparison.png)", ""]
    learned = sorted({run.arm for run in comparison.runs if run.online})
    pairs = [
        (arm, other)
        for arm in learned
        for other in ("cloning", "filtered_cloning")
        if arm != other and other in learned
    ]
    known = [temperature for temperature in temperatures(comparison.rows) if temperature is not None]
    for temperature in known:
        acting = "greedy" if temperature == 0 else f"temperature {temperature:g}"
        for arm, other in pairs:
            if (difference := paired(comparison, arm, other, temperature)) is not None:
                lines.append(f"- {arm} - {other}, {acting}, paired by seed over all tasks: {_shown(difference)}")
        for arm in learned:
            changes = after_switch(comparison, arm, temperature)
            if changes:
                told = ", ".join(f"{task} {_shown(change)}" for task, change in changes.items())
                lines.append(f"- {arm}, {acting}, first evaluation online minus before: {told}")
    return [*lines, ""]


def _page(every: Sequence[Job], command: str, sections: Sequence[list[str]]) -> str:
    environment = describe_environment()
    hardware = environment["hardware"]
    rows = [(job, row) for job in every if (row := job.row()) is not None]
    hours = sum(row.hours for _, row in rows)
    done = sum(row.status == DONE for _, row in rows)
    lines = [
        "# Study",
        "",
        f"Made by `{command}`: {done} of {len(every)} runs done, {hours:.1f} hours of runs on {hardware['cores']} "
        f"cores of {hardware['processor']} ({hardware['memory_gb']} GB, {', '.join(hardware['gpus']) or 'no GPU'}). "
        "Normalised scores: 0 is the random player, 1 the expert; intervals are 95% over seeds.",
        "",
        f"Python {environment['python']}, "
        + ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
        + f"; commit {environment['commit']}.",
        "",
    ]
    failed = [(job, row) for job, row in rows if row.status == FAILED]
    lines += [f"- failed: {job.name}: {(row.error or '').splitlines()[0]}" for job, row in failed]
    lines += [""] if failed else []
    return "\n".join([*lines, *(line for section in sections for line in section)])


def _status(job: Job) -> str | None:
    row = job.row()
    return None if row is None else row.status


def _shown(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.2f} (one seed)"
    return f"{estimate.value:+.2f} [{estimate.low:+.2f} {estimate.high:+.2f}]"
