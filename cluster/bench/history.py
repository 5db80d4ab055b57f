"""What benchmarks have measured over time: a file with a line for each measurement, and which figures became worse."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.bench.figures import Figure, number
from cluster.environment import machine_name
from cluster.rundir import writing
from policy.errors import OcelotError

KNOWN = ("measured", "commit", "changed_files", "python", "packages", "hardware")
"""What a line says of a measurement, beside its figures."""
LESS_IS_BETTER = ("MiB", "ms", "s")
MORE_IS_BETTER = ("/s", "times")
EARLIER = 5  # measurements that a new one is held against, at most
TOLERANCE = 0.1  # of the earlier median


class HistoryError(OcelotError):
    """Measurements that cannot be read, or added."""


@dataclass(frozen=True)
class Measurement:
    """One run of a benchmark."""

    bench: str
    """Its name; measurements of one name are held against each other."""
    about: dict[str, Any]
    """What KNOWN names: when, of which commit, with which versions, on which hardware."""
    machine: str
    """Cores, processor and GPUs; figures of one machine are held against each other."""
    figures: dict[str, Figure]
    """By name."""

    @property
    def commit(self) -> str:
        """Short; with + where files had been changed since."""
        return (self.about["commit"] or "unknown")[:7] + ("+" if self.about["changed_files"] else "")


@dataclass(frozen=True)
class Change:
    """The newest value of a figure against those before it."""

    bench: str
    machine: str
    figure: str
    unit: str
    before: float
    """Median of the earlier ones."""
    now: float
    worse: bool
    """Whether even the best repeat is worse than that median by more than TOLERANCE; of shares nobody can say."""


def add(history: Path, result: Path) -> Measurement:
    """Appends what a benchmark has written with --json, under the name of that file.

    Raises:
        HistoryError: it is no such file, is there already, or cannot be written.
    """
    content = _json(result, result.read_text() if result.is_file() else "")
    try:
        environment = content["environment"]
        about = {key: (content | environment)[key] for key in KNOWN}
        line = {"bench": result.stem, **about, "rows": content["rows"]}
        measurement = _measurement(line)
    except (KeyError, TypeError) as error:
        raise HistoryError(f"{result}: no result of `ocelot bench ... --json`: it lacks {error}") from None
    for known in read(history):
        if (known.bench, known.about["measured"]) == (measurement.bench, about["measured"]):
            raise HistoryError(f"{history} has {result} of {about['measured']} already; measure anew to add more")
    with writing(history):
        history.parent.mkdir(parents=True, exist_ok=True)
        with open(history, "a") as file:
            file.write(json.dumps(line) + "\n")
    return measurement


def read(history: Path) -> list[Measurement]:
    """Every measurement of a history, oldest first; none where there is no such file yet.

    Raises:
        HistoryError: a line is none.
    """
    found = []
    for place, line in enumerate(history.read_text().splitlines() if history.exists() else [], 1):
        try:
            found.append(_measurement(_json(history, line)))
        except (KeyError, TypeError, HistoryError):
            raise HistoryError(f"{history}, line {place}: no measurement; delete the line, or restore it") from None
    return sorted(found, key=lambda measurement: measurement.about["measured"])


def series(measurements: Sequence[Measurement]) -> dict[tuple[str, str], list[Measurement]]:
    """Measurements by benchmark and machine, each oldest first."""
    found: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        found[measurement.bench, measurement.machine].append(measurement)
    return dict(sorted(found.items()))


def changes(measurements: Sequence[Measurement]) -> list[Change]:
    """Of every figure of the newest measurements that an earlier one has too."""
    found = []
    for (bench, machine), own in series(measurements).items():
        newest, earlier = own[-1], own[:-1]
        for name, figure in newest.figures.items():
            before = [_judged(other.figures[name])[0] for other in earlier if name in other.figures][-EARLIER:]
            if before:
                now, *repeats = _judged(figure)
                median = statistics.median(before)
                unit = "of its baseline" if figure.baseline else figure.unit
                worse = _worse(figure.unit, median, *repeats)
                found.append(Change(bench, machine, name, unit, median, now, worse))
    return found


def in_words(found: Sequence[Change]) -> Iterator[str]:
    """A line for each that became worse."""
    for change in found:
        if change.worse:
            times = f"{change.now / change.before:.2f} times" if change.before else "from none"
            yield (
                f"{change.bench}, {change.figure}: {number(change.before)} before, {number(change.now)} now, "
                f"{change.unit} ({times}; {change.machine})"
            )


def _judged(figure: Figure) -> tuple[float, float, float]:
    """Value, least and greatest repeat; in parts of the baseline that was measured beside it, where there is one, for
    machines have better and worse days."""
    scale = figure.baseline or 1.0
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return figure.value / scale, low / scale, high / scale


def _worse(unit: str, median: float, low: float, high: float) -> bool:
    if unit in LESS_IS_BETTER:
        return low > median * (1.0 + TOLERANCE)
    return unit.endswith(MORE_IS_BETTER) and high < median * (1.0 - TOLERANCE)


def _measurement(line: dict[str, Any]) -> Measurement:
    figures = [Figure(**row) for row in line["rows"]]
    about = {key: line[key] for key in KNOWN}
    return Measurement(
        line["bench"], about, machine_name(line["hardware"]), {figure.name: figure for figure in figures}
    )


def _json(file: Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise HistoryError(f"{file}: no such file of results, or not whole: give what `ocelot bench ... --json` wrote")
    return content
