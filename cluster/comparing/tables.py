"""A comparison for people: a table on the terminal, and the same as Markdown."""

from collections.abc import Iterator

from rich.table import Table

from cluster.comparing.aggregates import arms, tasks, temperatures
from cluster.comparing.comparison import Aggregate, Comparison

OVERALL = "all tasks"


def table(comparison: Comparison) -> Table:
    """Normalised scores with their intervals, one line an arm, for rich to print."""
    head, *body = cells(comparison)
    # Two tasks fit into 80 columns.
    result = Table(
        title="Normalised score (0 random, 1 expert)", caption=caption(comparison), box=None, padding=(0, 1, 0, 0)
    )
    for index, name in enumerate(head):
        result.add_column(name, justify="left" if index < 2 else "right", no_wrap=index < 2)
    for line in body:
        result.add_row(*line)
    return result


def markdown(comparison: Comparison) -> str:
    """The same table in Markdown, followed by the paired differences."""
    head, *body = cells(comparison)
    lines = [
        "Normalised score (0 random, 1 expert).",
        "",
        _line(head),
        _line(["---", "---"] + ["---:"] * (len(head) - 2)),
    ]
    lines += [_line(line) for line in body]
    lines += ["", caption(comparison)]
    found = list(differences(comparison))
    if found:
        lines += ["", "Paired differences of scores:", "", *(f"- {text}" for text in found)]
    return "\n".join(lines) + "\n"


def cells(comparison: Comparison) -> list[list[str]]:
    """Head and body of the table: a line for each arm and way of acting, a column for each task and one over all."""
    known: list[str | None] = [*tasks(comparison.rows)]
    if len(known) > 1:
        known.append(None)
    figures = {(a.arm, a.temperature, a.task): a for a in comparison.aggregates if a.metric != "difference"}
    body = [
        [arm, acting(temperature), *(_figure(figures.get((arm, temperature, task))) for task in known)]
        for arm in arms(comparison.rows)
        for temperature in temperatures(comparison.rows, arm)
    ]
    return [["arm", "actions", *(task or OVERALL for task in known)], *body]


def caption(comparison: Comparison) -> str:
    """What the intervals are over."""
    return "Intervals: " + "; ".join(sorted({a.interval for a in comparison.aggregates})) + "."


def differences(comparison: Comparison) -> Iterator[str]:
    """Paired differences, in words."""
    for figure in comparison.aggregates:
        if figure.metric == "difference":
            yield f"{figure.arm}, {figure.task or OVERALL}, {acting(figure.temperature)}: {_figure(figure)}"


def acting(temperature: float | None) -> str:
    """How actions were drawn: greedily, at a temperature, or in a way of the player's own."""
    if temperature is None:
        return "own"
    return "greedy" if temperature == 0 else f"t = {temperature:g}"


def _figure(figure: Aggregate | None) -> str:
    if figure is None:
        return ""
    value, low, high = (round(number, 2) + 0.0 for number in (figure.value, figure.low, figure.high))  # no -0.00
    return f"{value:.2f} [{low:.2f} {high:.2f}]"


def _line(parts: list[str]) -> str:
    return "| " + " | ".join(parts) + " |"
