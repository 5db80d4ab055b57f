"""The history of benchmarks as one HTML page that needs nothing else: every figure over time, and what became worse."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.bench.history import Change, Measurement, changes, in_words, series
from cluster.comparing.figures.style import DARK, LIGHT, STAND_INS, Palette, grid_of_panels, svg, variables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).parent / "data"
STYLE = Path(__file__).parents[1] / "comparing" / "data" / "page.css"
SHOWN = 20  # newest measurements of a machine
TITLE = 34  # characters of a panel's line
WORSE, OTHER = 1, 0  # places in the palette


def render(measurements: Sequence[Measurement]) -> str:
    """The page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    found = changes(measurements)
    return environment.get_template("history.html").render(
        light=variables(LIGHT),
        dark=variables(DARK),
        css=STYLE.read_text(),
        changes=list(in_words(found)),
        held=len(found),
        sections=[_section(at, own, found) for at, own in enumerate(series(measurements).values())],
    )


def _section(at: int, own: list[Measurement], found: Sequence[Change]) -> dict[str, Any]:
    bench, machine = own[0].bench, own[0].machine
    worse = {each.figure for each in found if each.worse and (each.bench, each.machine) == (bench, machine)}
    shown = own[-SHOWN:]
    return {
        "bench": bench,
        "machine": machine,
        "drawing": svg(_draw(shown, worse, STAND_INS), f"section-{at}"),
        "measurements": [
            {"measured": now.about["measured"][:10], "commit": now.commit, "versions": _versions(now, before)}
            for now, before in reversed([*zip(shown, [None, *shown], strict=False)])
        ],
    }


def _versions(now: Measurement, before: Measurement | None) -> str:
    """Those that differ from the measurement before."""
    own, other = ({"Python": each.about["python"], **each.about["packages"]} if each else {} for each in (now, before))
    changed = [f"{name} {version}" for name, version in own.items() if other.get(name) != version]
    gone = [f"no {name}" for name in other if name not in own]
    return ", ".join(changed + gone) or "the same"


def _draw(own: Sequence[Measurement], worse: set[str], palette: Palette) -> "Figure":
    """A panel for each figure of the newest measurement: its values in time, and what they were held against."""
    names = list(own[-1].figures)
    figure, panels = grid_of_panels(len(names), 1.7, palette, share_y=False)
    for panel, name in zip(panels, names, strict=True):
        _panel(panel, own, name, palette, palette.arms[WORSE if name in worse else OTHER])
    return figure


def _panel(panel: "Axes", own: Sequence[Measurement], name: str, palette: Palette, paint: str) -> None:
    having = [(at, each.figures[name]) for at, each in enumerate(own) if name in each.figures]
    places = [at for at, _ in having]
    for at, figure in having:
        if figure.low is not None and figure.high is not None:
            panel.plot([at, at], [figure.low, figure.high], color=paint, linewidth=3.5, alpha=0.45)
    panel.plot(places, [figure.value for _, figure in having], "-o", color=paint, linewidth=1.2, markersize=4)
    against = [(at, figure.baseline) for at, figure in having if figure.baseline]
    if against:
        panel.plot(*zip(*against, strict=True), "_--", color=palette.muted, linewidth=1, markersize=9)
    panel.set_xlim(-0.5, len(own) - 0.5)
    if panel.dataLim.y1 > 0:  # a difference may be none, or below
        panel.set_ylim(min(0.0, 1.1 * panel.dataLim.y0), 1.1 * panel.dataLim.y1)
    panel.set_xticks(range(len(own)), [each.commit for each in own], rotation=90 if len(own) > 3 else 0, fontsize=7)
    title = "\n".join(textwrap.wrap(f"{name}, {having[-1][1].unit}", TITLE))
    panel.set_title(title, fontsize=8.5, loc="left", color=palette.ink)
