"""The figures of a comparison. Adding one is a function and its line in FIGURES."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.comparing.comparison import Comparison
from cluster.comparing.figures.curves import over_steps, over_time
from cluster.comparing.figures.improvement import improvement
from cluster.comparing.figures.profiles import profile, thresholds
from cluster.comparing.figures.scores import scores
from cluster.comparing.figures.style import LIGHT, STAND_INS, Palette, png, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[Comparison, Palette], "Figure | None"]] = {
    "scores": scores,
    "over_steps": over_steps,
    "over_time": over_time,
    "thresholds": thresholds,
    "profile": profile,
    "improvement": improvement,
}
MAIN = Path("comparison.png")


def draw(comparison: Comparison, out: Path) -> list[Path]:
    """Writes every figure that there are data for as PNG: the first as comparison.png, the others into figures/.

    Returns:
        The files, relative to `out`.
    """
    written = []
    for name, make in FIGURES.items():
        file = MAIN if make is scores else Path("figures") / f"{name}.png"
        if (figure := make(comparison, LIGHT)) is not None:
            (out / file).write_bytes(png(figure))
            written.append(file)
    return written


def inline(comparison: Comparison) -> dict[str, str]:
    """Every figure that there are data for, by name, as an SVG element for the page."""
    made = {name: make(comparison, STAND_INS) for name, make in FIGURES.items()}
    return {name: svg(figure, name) for name, figure in made.items() if figure is not None}
