"""How figures look: one palette, safe for the colour-blind, the same colour and marker for an arm in every figure.

A figure is drawn twice: for PNG with the light palette, and for the page with stand-ins that become CSS variables, so
that one drawing is right in light, in dark and on paper.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.comparing.arms import PLAYERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.6  # inches
PANELS = 3  # side by side at most
# Nine markers and seven lines beside eight colours, so that no two arms look the same where there are more than eight.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "*")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (7, 2)), (0, (2, 2)), (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Palette:
    """Colours, as "#rrggbb"."""

    ink: str
    muted: str
    """Captions, axes, players, the policy that all began from."""
    grid: str
    surface: str
    """What figures lie on."""
    arms: tuple[str, ...]


# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), without their yellow, which white swallows; then a brown
# and an indigo.
LIGHT = Palette(
    "#1c2128",
    "#6a737d",
    "#dfe3e8",
    "#ffffff",
    ("#0072b2", "#d55e00", "#009e73", "#b0568f", "#b87f00", "#3a9bd6", "#6b2d1f", "#3d3a8c"),
)
# The same hues, lighter.
DARK = Palette(
    "#e6e9ee",
    "#9aa4b0",
    "#333a44",
    "#14171c",
    ("#4aa8e0", "#ff8a4c", "#2fc796", "#e09ac6", "#f0b93f", "#8fd0f7", "#b0563a", "#7f78e6"),
)
STAND_INS = Palette(
    "#000101", "#000102", "#000103", "#000104", tuple(f"#0002{index:02d}" for index in range(len(LIGHT.arms)))
)


def variables(palette: Palette) -> dict[str, str]:
    """CSS variables and their values."""
    named = {"--ink": palette.ink, "--muted": palette.muted, "--grid": palette.grid, "--surface": palette.surface}
    return named | {f"--arm-{index}": color for index, color in enumerate(palette.arms)}


def arm_index(arm: str, names: Sequence[str]) -> int | None:
    """An arm's place among those that have a colour; None for those that are grey."""
    learned = [name for name in names if name not in (*PLAYERS, "pretrained")]
    return learned.index(arm) if arm in learned else None


def color(arm: str, names: Sequence[str], palette: Palette) -> str:
    """An arm's colour."""
    index = arm_index(arm, names)
    return palette.muted if index is None else palette.arms[index % len(palette.arms)]


def marker(arm: str, names: Sequence[str]) -> str:
    """An arm's marker."""
    return MARKERS[(arm_index(arm, names) or 0) % len(MARKERS)]


def line(arm: str, names: Sequence[str]) -> str | tuple:
    """An arm's line style."""
    return LINES[(arm_index(arm, names) or 0) % len(LINES)]


def grid_of_panels(
    count: int, height: float, palette: Palette, share_y: bool = True, columns: int = PANELS
) -> tuple["Figure", list["Axes"]]:
    """A figure with so many panels, and the panels.

    Args:
        height: of one panel, in inches.
        share_y: whether panels have one vertical axis.
        columns: side by side at most.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, 0.5 + height * rows), layout="constrained", facecolor=palette.surface)
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=share_y).flat)
    for panel in panels[count:]:
        panel.set_visible(False)
    for panel in panels[:count]:
        panel.set_facecolor(palette.surface)
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(palette.grid)
        panel.tick_params(colors=palette.muted, labelsize=8.5, length=0)
        panel.grid(color=palette.grid, linewidth=0.8)
        panel.set_axisbelow(True)
    return figure, panels[:count]


def heading(panel: "Axes", text: str, palette: Palette, x_label: str) -> None:
    """A panel's heading, and what its horizontal axis shows."""
    panel.set_title(text, fontsize=9.5, loc="left", color=palette.ink)
    panel.set_xlabel(x_label, fontsize=8.5, color=palette.muted)


def legend(figure: "Figure", panel: "Axes", palette: Palette) -> None:
    """One legend for all panels, below them."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(4, len(handles)),
        fontsize=8.5,
        frameon=False,
        labelcolor=palette.ink,
        handlelength=2.4,
    )


def png(figure: "Figure") -> bytes:
    """The figure as a PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=160)
    return file.getvalue()


def svg(figure: "Figure", prefix: str) -> str:
    """A figure that was drawn with STAND_INS as an SVG element for the page, in the colours and type of the page.

    Args:
        prefix: of all ids in it; another one for each figure on a page.
    """
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", text)
    for name, stand_in in variables(STAND_INS).items():
        text = text.replace(stand_in, f"var({name})")
    return text
