"""Scores on the way, over environment steps and over training time."""

from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from cluster.comparing.aggregates import scored, tasks, temperatures
from cluster.comparing.arms import arms
from cluster.comparing.comparison import Comparison
from cluster.comparing.curves import Curve, curve
from cluster.comparing.figures.style import Palette, color, grid_of_panels, heading, legend, line, marker
from cluster.comparing.tables import OVERALL, acting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = 5  # with more, only all together are shown


def over_steps(comparison: Comparison, palette: Palette) -> "Figure | None":
    """Sample efficiency."""
    return _curves(comparison, palette, "steps")


def over_time(comparison: Comparison, palette: Palette) -> "Figure | None":
    """Speed, on the hardware that it was measured on."""
    return _curves(comparison, palette, "time")


def _curves(comparison: Comparison, palette: Palette, axis: Literal["steps", "time"]) -> "Figure | None":
    """One panel for all tasks and one a task, for each way of acting; None where no run was evaluated on its way."""
    names, known = arms(comparison.rows), tasks(comparison.rows)
    together = scored(known, comparison.references)
    groups = {OVERALL: together} if len(together) > 1 else {}
    if len(known) <= TASKS or not groups:
        groups |= {task: [task] for task in known}
    found: dict[tuple[str, float], dict[str, Curve]] = {}
    ways = [temperature for temperature in temperatures(comparison.rows) if temperature is not None]
    for temperature, (group, members) in product(ways, groups.items()):
        drawn = {arm: curve(comparison.points, arm, temperature, members) for arm in names}
        usable = {arm: own for arm, own in drawn.items() if own and (axis == "steps" or own.seconds is not None)}
        if usable:
            found[group, temperature] = usable
    if not found:
        return None
    figure, panels = grid_of_panels(len(found), 2.3, palette, share_y=False)
    for panel, ((group, temperature), by_arm) in zip(panels, found.items(), strict=True):
        for arm, own in by_arm.items():
            paint = color(arm, names, palette)
            x = own.env_steps / 1000 if axis == "steps" or own.seconds is None else own.seconds / 60
            style: dict[str, Any] = {"linestyle": line(arm, names), "marker": marker(arm, names), "markersize": 4}
            panel.plot(x, own.band.value, color=paint, label=arm, **style)
            if own.band.low is not None and own.band.high is not None:
                panel.fill_between(x, own.band.low, own.band.high, color=paint, alpha=0.18, linewidth=0)
        label = "thousand environment steps" if axis == "steps" else "minutes of training"
        heading(panel, f"{group}, {acting(temperature)}", palette, label)
    legend(figure, max(panels, key=lambda panel: len(panel.lines)), palette)
    return figure
