"""Scores by task: where each arm began, and where it ended with its interval."""

from typing import TYPE_CHECKING

from cluster.comparing.aggregates import of_metric, scored, tasks
from cluster.comparing.arms import arms
from cluster.comparing.comparison import Comparison
from cluster.comparing.figures.style import Palette, color, grid_of_panels, heading
from cluster.comparing.tables import ENDS, OVERALL, acting

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def scores(comparison: Comparison, palette: Palette) -> "Figure":
    """One panel a task and one over all; one line an arm and way of acting."""
    names, known = arms(comparison.rows), tasks(comparison.rows)
    with_score = scored(known, comparison.references)
    panels_of: list[str | None] = [*known, *([None] if len(with_score) > 1 else [])]
    lines = list(dict.fromkeys((row.arm, row.temperature) for row in comparison.rows))
    lines.sort(key=lambda entry: (names.index(entry[0]), entry[1] is None, entry[1]))
    found = {(a.arm, a.task, a.temperature): a for a in comparison.aggregates if a.metric in ENDS}
    before = of_metric(comparison.aggregates, "before")
    figure, panels = grid_of_panels(len(panels_of), 0.7 + 0.24 * len(lines), palette)
    for panel, task in zip(panels, panels_of, strict=True):
        panel.grid(axis="y", visible=False)
        in_score = task is None or task in with_score
        if in_score:
            for reference in (0.0, 1.0):
                panel.axvline(reference, color=palette.muted, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        for height, (arm, temperature) in enumerate(lines):
            if (ended := found.get((arm, task, temperature))) is None:
                continue
            paint = color(arm, names, palette)
            if begun := before.get((arm, task, temperature)):
                panel.plot([begun.value, ended.value], [height] * 2, color=paint, linewidth=1, alpha=0.5, zorder=2)
                panel.plot(begun.value, height, "o", color=paint, mfc=palette.surface, markersize=5, zorder=5)
            if ended.low is not None and ended.high is not None:
                panel.plot([ended.low, ended.high], [height] * 2, color=paint, linewidth=3.5, alpha=0.45, zorder=4)
            panel.plot(ended.value, height, "o", color=paint, markersize=6, zorder=5)
        heading(panel, task or OVERALL, palette, "score (0 random, 1 expert)" if in_score else "mean return")
    with_scale = [panel for panel, task in zip(panels, panels_of, strict=True) if task is None or task in with_score]
    for panel in with_scale:  # one scale for all of them
        panel.set_xlim(min(p.dataLim.x0 for p in with_scale) - 0.05, max(p.dataLim.x1 for p in with_scale) + 0.05)
    labels = [arm if temperature is None else f"{arm}, {acting(temperature)}" for arm, temperature in lines]
    for panel in panels[:: len(panels) if len(panels) <= 3 else 3]:
        panel.set_yticks(range(len(lines)), labels, color=palette.ink, fontsize=9)
        panel.set_ylim(len(lines) - 0.5, -0.5)
    return figure
