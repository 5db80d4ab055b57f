"""What a benchmark reports: figures with what they are held against, hardware and versions."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One row of a benchmark."""

    name: str
    value: float
    """Median of the repeats."""
    unit: str
    baseline: float | None = None
    """What it is held against; None: nothing."""
    ratio: float | None = None
    """value / baseline."""
    low: float | None = None
    """Least of the repeats."""
    high: float | None = None
    """Greatest of the repeats."""
    repeats: int = 1

    @classmethod
    def of(cls, name: str, values: Sequence[float], unit: str, baseline: float | None = None) -> "Figure":
        """From the values of all repeats."""
        value = statistics.median(values)
        ratio = None if baseline is None else value / baseline
        return cls(name, value, unit, baseline, ratio, min(values), max(values), len(values))


def repeat(measure: Callable[[], float], repeats: int) -> list[float]:
    """So many measurements in a row."""
    return [measure() for _ in range(repeats)]


def result(figures: Sequence[Figure]) -> dict[str, Any]:
    """Figures with the time, the machine and the versions that they were measured on, as plain JSON."""
    from cluster.environment import describe_environment

    measured = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "measured": measured,
        "rows": [asdict(figure) for figure in figures],
        "environment": describe_environment(),
    }


def show(figures: Sequence[Figure]) -> None:
    """A table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "value", "least", "greatest", "unit", "of baseline", box=None)
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        low, high = (number(bound) for bound in (figure.low, figure.high))
        table.add_row(figure.name, number(figure.value), low, high, figure.unit, ratio)
    Console().print(table)


def number(value: float | None) -> str:
    """As a person reads it; "" for None."""
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
