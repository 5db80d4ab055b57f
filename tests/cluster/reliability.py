"""The tables of docs/reliability.md: of tests that inject faults (`make reliability`), and of a soak (`make soak`)."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SOAK_BEGIN, SOAK_END = "<!-- soak: begin -->", "<!-- soak: end -->"
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
WRITE = "OCELOT_RELIABILITY"  # environment variable that asks for the page to be written


@dataclass(frozen=True)
class Fault:
    """One fault that was injected and survived."""

    name: str
    detected: float | None
    """Seconds until the run knew; None: there was nothing to know."""
    back: float
    """Seconds until it had gone on: a checkpoint begun after the fault, or the process at work again."""
    lost: str
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Of the machine, when this was noted: processes that wanted a core, of all users."""

    @property
    def row(self) -> str:
        detected = "-" if self.detected is None else f"{self.detected:.1f} s"
        return f"| {self.name} | {detected} | {self.back:.1f} s | {self.lost} | {self.load:.0f} |"


def write(faults: list[Fault]) -> None:
    """Puts a table into the page, if the environment asks for it; rows of tests that did not run stay."""
    if not faults or WRITE not in os.environ:
        return
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    rows = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("|")}
    for heading in ("fault", "---"):
        rows.pop(heading, None)
    rows |= {fault.name: fault.row for fault in faults}
    table = [
        "| fault | detected after | back after | lost | load |",
        "|---|---:|---:|---|---:|",
        *rows.values(),
    ]
    PAGE.write_text(f"{head}{BEGIN}\n" + "\n".join(table) + f"\n{END}{tail}")


def with_soak(page: str, result: Mapping[str, Any]) -> str:
    """A page with the table of a soak's result, as `tests.cluster.soak.soak` gives it."""
    head, rest = page.split(SOAK_BEGIN)
    tail = rest.split(SOAK_END)[1]
    counted = Counter(fault["name"] for fault in result["faults"])
    cores = result["environment"]["hardware"]["cores"]
    wrong = "; ".join(each.splitlines()[0] for each in result["wrong"]) or "nothing"  # a log may follow
    lines = [
        f"{result['minutes']:.0f} minutes on {cores} core{'s' if cores > 1 else ''}, {counted.total()} faults: "
        + "; ".join(f"{name} ({count})" for name, count in sorted(counted.items()))
        + f". What went wrong: {wrong}.",
        "",
        "| process | judged | minutes of them | mean, MiB | most, MiB | growth, MiB an hour |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for each in sorted(result["growth"], key=lambda each: -each["mean"]):
        sizes = f"{each['mean']:.0f} | {each['most']:.0f} | {each['slope']:+.1f}"
        lines.append(f"| {each['name']} | {each['lives']} | {each['minutes']:.0f} | {sizes} |")
    return f"{head}{SOAK_BEGIN}\n" + "\n".join(lines) + f"\n{SOAK_END}{tail}"
