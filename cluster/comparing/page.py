"""A comparison as one HTML page that needs nothing else: for the screen, light and dark, and for paper."""

import re
from datetime import date
from pathlib import Path
from typing import Any

from cluster.comparing import figures, tables
from cluster.comparing.aggregates import of_metric, scored, tasks, temperatures
from cluster.comparing.arms import PLAYERS, arms, baseline
from cluster.comparing.comparison import Comparison
from cluster.comparing.figures.style import DARK, LIGHT, arm_index, variables

DATA = Path(__file__).parent / "data"


def render(comparison: Comparison) -> str:
    """The page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DATA), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    names = arms(comparison.rows)
    environment.globals["arm_class"] = lambda text: _arm_class(text, names)
    environment.filters["with_code"] = _with_code
    environment.globals["numeric"] = tables.numeric
    return environment.get_template("page.html").render(
        light=variables(LIGHT),
        dark=variables(DARK),
        css=(DATA / "page.css").read_text(),
        title=_title(names),
        summary=_summary(comparison),
        headlines=_headlines(comparison),
        unscored_task=_unscored_task(comparison),
        warnings=comparison.warnings,
        caption=tables.caption(comparison),
        scale=tables.title(comparison),
        held=baseline(names),
        scores=tables.cells(comparison),
        overall=tables.overall(comparison),
        before_after=tables.before_after(comparison),
        settings=tables.settings(comparison),
        differences=_differences(comparison),
        figures=figures.inline(comparison),
        runs=comparison.runs,
        references=comparison.references,
        environment=comparison.environment,
        today=date.today().isoformat(),
    )


def _title(names: list[str]) -> str:
    learned = [arm for arm in names if arm not in (*PLAYERS, "pretrained")] or names
    return learned[0] if len(learned) == 1 else f"{', '.join(learned[:-1])} and {learned[-1]} compared"


def _summary(comparison: Comparison) -> str:
    """How much was compared, in a sentence."""
    seeds = {row.seed for row in comparison.rows if row.arm not in PLAYERS}
    known = tasks(comparison.rows)
    parts = [_count(len(known), "task"), _count(len(seeds), "seed")]
    episodes = {row.episodes for row in comparison.rows if row.arm not in PLAYERS}
    if len(episodes) == 1:
        parts.append(f"{episodes.pop()} episodes a task and way of acting")
    online = [run for run in comparison.runs if run.online]
    if len({run.updates for run in online}) == 1:
        parts.append(f"{online[0].updates:,} updates")
    if len(steps := {run.config["actors"]["steps"] for run in online}) == 1 and (planned := steps.pop()):
        parts.append(f"{planned:,} environment steps an arm")
    return ", ".join(parts)


def _headlines(comparison: Comparison) -> list[dict[str, Any]]:
    """A large figure for each arm that learned: over all tasks, or the return of the only task where that has no score;
    greedily where it was evaluated so."""
    names = arms(comparison.rows)
    overall = of_metric(comparison.aggregates, "iqm") or of_metric(comparison.aggregates, "return")
    improvement = of_metric(comparison.aggregates, "improvement")
    task = _unscored_task(comparison)
    found = []
    for arm in names:
        ways = [way for way in temperatures(comparison.rows, arm) if way is not None]
        if arm in PLAYERS or not ways or (arm, task, ways[0]) not in overall:
            continue
        own = overall[arm, task, ways[0]]
        better = improvement.get((f"{arm} - {baseline(names)}", None, ways[0]))
        sure = better is not None and better.low is not None and arm != "pretrained"  # one seed makes nothing likely
        note = f"{better.value:.0%} likely to beat {baseline(names)}" if better and sure else ""
        value, *interval = tables.figure(own).split(" ", 1)
        found.append(
            {"arm": arm, "value": value, "interval": "".join(interval), "acting": tables.acting(ways[0]), "note": note}
        )
    return found


def _unscored_task(comparison: Comparison) -> str | None:
    """The only task, if it has no score."""
    known = tasks(comparison.rows)
    return known[0] if len(known) == 1 and not scored(known, comparison.references) else None


def _differences(comparison: Comparison) -> list[list[str]]:
    lines = [["difference", "actions", "task", "of scores"]]
    for found in comparison.aggregates:
        if found.metric == "difference":
            unscored = found.task is not None and found.task not in scored([found.task], comparison.references)
            task = (found.task or tables.OVERALL) + (" (return)" if unscored else "")
            lines.append([found.arm, tables.acting(found.temperature), task, tables.figure(found)])
    return lines


def _arm_class(text: str, names: list[str]) -> str:
    """The CSS class that colours an arm's name; "" for what is none."""
    if text not in names:
        return ""
    index = arm_index(text, names)
    return "arm grey" if index is None else f"arm arm-{index % len(LIGHT.arms)}"


def _with_code(text: str) -> Any:
    """What stands in backticks set as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
