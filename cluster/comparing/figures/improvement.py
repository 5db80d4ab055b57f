"""How likely an arm is better than the one that all are held against."""

from typing import TYPE_CHECKING

from cluster.comparing.aggregates import of_metric, temperatures
from cluster.comparing.arms import arms, baseline
from cluster.comparing.comparison import Comparison
from cluster.comparing.figures.style import Palette, color, grid_of_panels, heading
from cluster.comparing.tables import acting

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def improvement(comparison: Comparison, palette: Palette) -> "Figure | None":
    """The probability of improvement with its interval, one line an arm; None where there is nobody to hold against."""
    names = arms(comparison.rows)
    held = baseline(names)
    found = of_metric(comparison.aggregates, "improvement")
    if not found:
        return None
    others = [arm for arm in names if any(key[0] == f"{arm} - {held}" for key in found)]
    ways = [temperature for temperature in temperatures(comparison.rows) if temperature is not None]
    figure, panels = grid_of_panels(len(ways), 0.8 + 0.28 * len(others), palette)
    for panel, temperature in zip(panels, ways, strict=True):
        panel.grid(axis="y", visible=False)
        panel.axvline(50, color=palette.muted, linewidth=1, linestyle=(0, (2, 2)))
        for height, arm in enumerate(others):
            if (own := found.get((f"{arm} - {held}", None, temperature))) is None:
                continue
            paint = color(arm, names, palette)
            if own.low is not None and own.high is not None:
                panel.plot([100 * own.low, 100 * own.high], [height] * 2, color=paint, linewidth=3.5, alpha=0.45)
            panel.plot(100 * own.value, height, "o", color=paint, markersize=6)
        panel.set_xlim(-4, 104)
        heading(panel, acting(temperature), palette, f"% probability that a run is better than one of {held}")
    panels[0].set_yticks(range(len(others)), others, color=palette.ink, fontsize=9)
    panels[0].set_ylim(len(others) - 0.5, -0.5)
    return figure
