"""How scores are distributed: performance profiles over seeds and tasks, and the threshold figure of Gato's paper."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.comparing.aggregates import matrix, scored, stacked, temperatures
from cluster.comparing.arms import PLAYERS, arms
from cluster.comparing.comparison import Comparison
from cluster.comparing.figures.style import Palette, color, grid_of_panels, heading, legend, line
from cluster.comparing.intervals import performance_profile
from cluster.comparing.tables import acting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[["Axes", np.ndarray, str, dict[str, Any]], None]
"""Draws scores [seeds, tasks] of an arm into a panel, in its colour and style."""

THRESHOLDS = np.linspace(0.0, 1.2, 121)


def profile(comparison: Comparison, palette: Palette) -> "Figure | None":
    """The share of seeds and tasks that score above each threshold (arXiv 2108.13264, section 4.2)."""

    def draw(panel: "Axes", scores: np.ndarray, paint: str, style: dict[str, Any]) -> None:
        band = performance_profile(scores, THRESHOLDS)
        panel.plot(100 * THRESHOLDS, 100 * band.value, **style)
        if band.low is not None and band.high is not None:
            panel.fill_between(100 * THRESHOLDS, 100 * band.low, 100 * band.high, color=paint, alpha=0.15, linewidth=0)

    return _figure(comparison, palette, "% of runs and tasks above it", draw)


def thresholds(comparison: Comparison, palette: Palette) -> "Figure | None":
    """The number of tasks whose mean score is above each share of the expert's (arXiv 2205.06175, figure 5)."""

    from matplotlib.ticker import MaxNLocator

    def draw(panel: "Axes", scores: np.ndarray, paint: str, style: dict[str, Any]) -> None:
        count = (scores.mean(axis=0)[:, None] > THRESHOLDS).sum(axis=0)
        panel.plot(100 * THRESHOLDS, count, drawstyle="steps-post", **style)
        panel.yaxis.set_major_locator(MaxNLocator(integer=True))

    return _figure(comparison, palette, "tasks above it", draw)


def _figure(comparison: Comparison, palette: Palette, y_label: str, draw: Draw) -> "Figure | None":
    """One panel a way of acting; None where no task has scores."""
    names = arms(comparison.rows)
    ways = [temperature for temperature in temperatures(comparison.rows) if temperature is not None]
    if not scored([row.task for row in comparison.rows], comparison.references) or not ways:
        return None
    figure, panels = grid_of_panels(len(ways), 2.6, palette)
    for panel, temperature in zip(panels, ways, strict=True):
        for arm in names:
            own = matrix(comparison.rows, arm, temperature)
            together = scored(list(own), comparison.references)
            if arm in PLAYERS or not together:
                continue
            paint = color(arm, names, palette)
            style = {"color": paint, "linestyle": line(arm, names), "linewidth": 1.8, "label": arm}
            draw(panel, stacked(own, together), paint, style)
        heading(panel, acting(temperature), palette, "% of the expert's score")
        panel.set_ylim(bottom=0)
    panels[0].set_ylabel(y_label, fontsize=8.5, color=palette.muted)
    legend(figure, panels[0], palette)
    return figure
