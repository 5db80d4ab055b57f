"""The tables of docs/scaling.md, from the benchmark's JSON:

python -m cluster.bench.scale.page benchmarks/results/scale.json docs/scaling.md
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.bench.scale.extrapolate import checks, parts
from cluster.bench.scale.points import Point
from cluster.environment import machine_name

ACTORS = 10_000
SLOW = 1.0  # seconds of a step that is foretold beside those measured
FULL = 0.9  # actors that do less than this part of what they could do unhindered are held up
TITLES = {
    "replay": "Reverb through its socket, written to",
    "gate": "Reverb through the gate, written to",
    "learner": "learner alone",
    "server": "policy server alone",
    "loop": "all together",
}


def main() -> None:
    """Puts the tables into the page, between the lines that mark where each begins and ends."""
    source, page = (Path(argument) for argument in sys.argv[1:3])
    page.write_text(filled(page.read_text(), json.loads(source.read_text())))


def filled(text: str, result: dict[str, Any]) -> str:
    """A page whose tables are those of a result."""
    points = [Point(**point) for point in result["points"]]
    tables = {"machine": _machine(result["environment"]), "loads": _loads(points)}
    tables |= {"checks": _checks(points), "actors": _actors(points)}
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{table}\n{end}{rest.split(end)[1]}"
    return text


def _machine(environment: dict[str, Any]) -> str:
    hardware = environment["hardware"]
    return (
        f"Measured on {machine_name(hardware)}, {hardware['memory_gb']:.0f} GB; "
        f"Ray {environment['packages']['ray']}, Reverb {environment['packages']['dm-reverb']}, PyTorch "
        f"{environment['packages']['torch']}."
    )


def _loads(points: Sequence[Point]) -> str:
    rows = []
    for point in points:
        unhindered = 1000.0 * point.actors / point.step_ms if point.step_ms else 0.0
        share = f"{point.steps_per_second / unhindered:.2f}" if unhindered else ""
        if share and point.steps_per_second < FULL * unhindered:
            share = f"**{share}**"
        moved = point.call_bytes_per_second + point.item_bytes_per_second
        cores = ", ".join(f"{name} {cores:.2f}" for name, cores in sorted(point.cores.items()) if cores >= 0.05)
        rows.append(
            [
                TITLES[point.sweep],
                f"{point.step_ms:g}" if point.step_ms else "",
                _number(point.actors),
                _number(point.steps_per_second),
                share,
                _number(point.calls_per_second),
                _number(point.call_ms),
                _number(point.items_per_second),
                _number(moved / 1000.0),
                _number(point.updates_per_second),
                cores,
            ]
        )
    return _table(
        "what|step, ms|actors|env steps/s|of unhindered|calls/s|ms of a call|windows/s|kB/s|updates/s|cores", rows
    )


def _checks(points: Sequence[Point]) -> str:
    rows = [
        [
            TITLES[check.sweep],
            f"{check.step_ms:g}",
            str(check.fitted),
            str(check.actors),
            check.what,
            _number(check.foretold),
            _number(check.measured),
            f"{check.error:+.0%}",
        ]
        for check in checks(points)
    ]
    return _table("what|step, ms|fitted on up to|actors|of|foretold|measured|error", rows)


def _actors(points: Sequence[Point]) -> str:
    step = max(point.step_ms for point in points) / 1000.0
    rows = []
    for part in sorted(parts(points), key=lambda part: part.breaks_at(step)):
        cells = [part.name, f"{_number(part.carries)} {part.unit}"]
        for each in (step, SLOW):
            asked = part.asked(ACTORS, each)
            cells += [_number(part.breaks_at(each)), f"{_number(asked)} ({_number(asked / part.carries)} of them)"]
        rows.append([*cells, part.split])
    columns = [f"actors, {each:g} s|asked by {ACTORS:,}, {each:g} s" for each in (step, SLOW)]
    return _table(f"part|one carries|{'|'.join(columns)}|what splits it", rows)


def _table(columns: str, rows: Sequence[Sequence[str]]) -> str:
    heads = columns.split("|")
    lines = [" | ".join(heads), "|".join("---" if index == 0 else "---:" for index in range(len(heads)))]
    return "\n".join(f"| {line} |" for line in [*lines, *(" | ".join(row) for row in rows)])


def _number(value: float) -> str:
    if value == 0:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
