"""The table of docs/reliability.md, written by the tests that inject the faults: `make reliability`."""

import os
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
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
