"""A comparison in tables: on the terminal and as Markdown; the page takes its cells from here too."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from cluster.comparing.aggregates import of_metric, scored, tasks, temperatures
from cluster.comparing.arms import arms, baseline
from cluster.comparing.arms import differences as settings_that_differ
from cluster.comparing.comparison import Aggregate, Comparison

OVERALL = "all tasks"
WIDEST = 5  # columns of scores
ENDS = ("score", "return", "iqm")
"""Metrics of where an arm ended: on a task, or over all."""
NUMBERS = re.compile(r"[-+\d.\[\] ]*")
NO_INTERVAL = (
    "One seed an arm: no interval can be had, so none is given. Another seed: `--set run.seed=1 --name NEW_NAME`."
)


def terminal(comparison: Comparison) -> Table:
    """Scores with their intervals, one line an arm, for rich to print."""
    lines = cells(comparison)
    # Two tasks fit into 80 columns.
    result = Table(title=title(comparison), box=None, padding=(0, 1, 0, 0))
    for name, number in zip(lines[0], numeric(lines), strict=True):
        result.add_column(name, justify="right" if number else "left", no_wrap=not number)
    for line in lines[1:]:
        result.add_row(*line)
    return result


def markdown(comparison: Comparison, drawn: Sequence[Path] = ()) -> str:
    """Warnings, tables, differences and figures in Markdown.

    Args:
        drawn: image files, relative to where the Markdown will lie.
    """
    lines = ["# Comparison", "", title(comparison) + ". " + caption(comparison), "", *piped(cells(comparison))]
    if comparison.warnings:
        lines += ["", "## Not the same in all arms", "", *(f"- {text}" for text in comparison.warnings)]
    if found := list(differences(comparison)):
        lines += ["", "## Differences", "", *(f"- {text}" for text in found)]
    for heading, table in (
        ("Before and after", before_after(comparison)),
        ("Over all tasks", overall(comparison)),
        ("What differs between the arms", settings(comparison)),
    ):
        if len(table) > 1:
            lines += ["", f"## {heading}", "", *piped(table)]
    for file in drawn:
        lines += ["", f"![{file.stem.replace('_', ' ')}]({file.as_posix()})"]
    return "\n".join(lines) + "\n"


def title(comparison: Comparison) -> str:
    """What the figures are."""
    known = tasks(comparison.rows)
    with_score = scored(known, comparison.references)
    if not with_score:
        return "Mean return"
    without = [task for task in known if task not in with_score]
    return "Normalised score (0 random, 1 expert)" + (f"; {', '.join(without)}: mean return" if without else "")


def cells(comparison: Comparison) -> list[list[str]]:
    """Head and body: a line for each arm and way of acting, a column for each task and one over all; the other way
    round where that would be wider than a page."""
    known: list[str | None] = [*tasks(comparison.rows)]
    if len(scored(tasks(comparison.rows), comparison.references)) > 1:
        known.append(None)
    shown = {(a.arm, a.task, a.temperature): a for a in comparison.aggregates if a.metric in ENDS}
    body = [
        [arm, acting(temperature), *(figure(shown.get((arm, task, temperature))) for task in known)]
        for arm in arms(comparison.rows)
        for temperature in temperatures(comparison.rows, arm)
    ]
    if len(known) <= WIDEST:
        return [["arm", "actions", *(task or OVERALL for task in known)], *body]
    columns = [[f"{arm}, {way}", *values] for arm, way, *values in body]
    return [list(line) for line in zip(["task", *(task or OVERALL for task in known)], *columns, strict=True)]


def before_after(comparison: Comparison) -> list[list[str]]:
    """By task: where an arm began, where it ended, what came of it."""
    before = of_metric(comparison.aggregates, "before")
    lines = [["arm", "actions", "task", "before", "after", "change"]]
    ends = {(a.arm, a.task, a.temperature): a for a in comparison.aggregates if a.metric in ENDS}
    several = len(scored(tasks(comparison.rows), comparison.references)) > 1
    for (arm, task, temperature), begun in before.items():
        if task is None and not several:
            continue
        ended = ends[arm, task, temperature]
        change = f"{round(ended.value - begun.value, digits(ended)) + 0.0:+.{digits(ended)}f}"  # no -0.00
        lines.append([arm, acting(temperature), task or OVERALL, figure(begun), figure(ended), change])
    return lines


def overall(comparison: Comparison) -> list[list[str]]:
    """Figures over all tasks that have scores."""
    by_metric = {
        metric: of_metric(comparison.aggregates, metric)
        for metric in ("iqm", "improvement", "regret", "above_half", "above_expert")
    }
    held = baseline(arms(comparison.rows))
    count = len(scored(tasks(comparison.rows), comparison.references))
    counts = [f"tasks (of {count}) {above}" for above in ("at 50% of the expert", "at 100%")]
    lines = [["arm", "actions", "interquartile mean", f"P(better than {held})", "regret", *counts]]
    for arm, _, temperature in by_metric["iqm"]:
        key = (arm, None, temperature)
        lines.append(
            [
                arm,
                acting(temperature),
                figure(by_metric["iqm"][key]),
                figure(by_metric["improvement"].get((f"{arm} - {held}", None, temperature))),
                figure(by_metric["regret"].get(key)),
                f"{by_metric['above_half'][key].value:.0f}",
                f"{by_metric['above_expert'][key].value:.0f}",
            ]
        )
    used = [column for column in range(len(lines[0])) if any(line[column] for line in lines[1:])]
    return [[line[column] for column in used] for line in lines] if used else lines[:1]


def settings(comparison: Comparison) -> list[list[str]]:
    """What differs in the arms' configurations: a line a setting, a column an arm."""
    found = settings_that_differ(comparison.runs)
    names = [arm for arm in arms(comparison.rows) if any(arm in values for values in found.values())]
    return [["setting", *names], *([key, *(values[arm] for arm in names)] for key, values in found.items())]


def caption(comparison: Comparison) -> str:
    """What the intervals are over, or why there are none."""
    own = [a for a in comparison.aggregates if a.metric in ("score", "return") and a.temperature is not None]
    kinds = {a.interval for a in own}
    return " ".join(f"Intervals: {kind}." if not kind.startswith("none") else NO_INTERVAL for kind in sorted(kinds))


def differences(comparison: Comparison) -> Iterator[str]:
    """Paired differences, in words."""
    for found in comparison.aggregates:
        if found.metric == "difference":
            yield f"{found.arm}, {found.task or OVERALL}, {acting(found.temperature)}: {figure(found)}"


def acting(temperature: float | None) -> str:
    """How actions were drawn: greedily, at a temperature, or in a way of the player's own."""
    if temperature is None:
        return "own"
    return "greedy" if temperature == 0 else f"t = {temperature:g}"


def figure(found: Aggregate | None) -> str:
    """A figure with its interval, where it has one."""
    if found is None:
        return ""
    places = digits(found)
    values = [value for value in (found.value, found.low, found.high) if value is not None]
    shown = [f"{round(value, places) + 0.0:.{places}f}" for value in values]  # no -0.00
    return shown[0] if found.low is None else f"{shown[0]} [{shown[1]} {shown[2]}]"


def digits(found: Aggregate) -> int:
    """Decimals that are shown: scores need two, returns of hundreds none."""
    return 2 if abs(found.value) < 10 else 1 if abs(found.value) < 1000 else 0


def numeric(lines: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold numbers, and so are set to the right."""
    return [all(NUMBERS.fullmatch(line[column]) for line in lines[1:]) for column in range(len(lines[0]))]


def piped(lines: Sequence[Sequence[str]]) -> list[str]:
    """Head and body as the lines of a table in Markdown."""
    head, *body = lines
    rule = ["---:" if number else "---" for number in numeric(lines)]
    return ["| " + " | ".join(line) + " |" for line in (head, rule, *body)]
