"""A comparison as a picture: normalised score by task and arm with 95% intervals."""

from pathlib import Path

from cluster.comparing.aggregates import arms, tasks, temperatures
from cluster.comparing.comparison import Comparison
from cluster.comparing.tables import acting, caption
from cluster.rundir import writing


def plot(comparison: Comparison, file: Path) -> None:
    """Writes a PNG: one panel a task, one line an arm, one marker a temperature."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, known = arms(comparison.rows), tasks(comparison.rows)
    shown = temperatures(comparison.rows)
    drawn = [temperature for temperature in shown if temperature is not None]
    figure = Figure(figsize=(1.6 + 3.4 * len(known), 1.4 + 0.42 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
    for panel, task in zip(panels, known, strict=True):
        for index, temperature in enumerate(shown):
            own = [
                a
                for a in comparison.aggregates
                if a.metric == "score" and (a.task, a.temperature) == (task, temperature)
            ]
            # Players that act in their own way have one marker, in the middle of their line.
            shift = 0.0 if temperature is None else (drawn.index(temperature) - (len(drawn) - 1) / 2) * 0.24
            panel.errorbar(
                [a.value for a in own],
                [names.index(a.arm) + shift for a in own],
                xerr=[[a.value - a.low for a in own], [a.high - a.value for a in own]],
                fmt="os^Dv"[index % 5],
                color="black" if temperature is None else f"C{index}",
                capsize=3,
                markersize=5,
                label=acting(temperature),
            )
        for reference in (0.0, 1.0):
            panel.axvline(reference, color="0.8", linewidth=1, zorder=0)
        panel.set_title(task, fontsize=10)
        panel.set_xlabel("normalised score (0 random, 1 expert)", fontsize=8)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(shown), fontsize=8, title=caption(comparison))
    with writing(file):
        figure.savefig(file, dpi=150)
