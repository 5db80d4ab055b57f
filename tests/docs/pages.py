"""The pages that people read: their files, their commands, and how a test may shorten them.

A fenced block with a title is a file. A line of a console block that begins with "$ " is a command. A comment before a
console block says what a test does with it:

    <!-- tiny: OPTIONS -->   added to `ocelot pretrain` and `ocelot finetune`, so that it takes seconds
    <!-- long: REASON -->    not run, but read by the command line to the last option
    <!-- after: PAGE -->     run in the folder that the commands of that page leave
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"(?:<!-- (tiny|long|after): ([^\n]*?) -->\n)?```(\w*)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Command:
    """One command of a page."""

    page: str
    text: str
    tiny: str = ""
    """Options that shorten it."""
    long: str | None = None
    """Why it is not run."""
    after: str | None = None
    """The page in whose folder it runs."""

    @property
    def shortened(self) -> str:
        """As a test runs it."""
        return f"{self.text} {self.tiny}" if re.match(r"ocelot (pretrain|finetune) ", self.text) else self.text


def blocks(page: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """Of each fenced block: marker, its text, language, what follows the language, content."""
    for found in FENCE.finditer(page.read_text()):
        yield tuple(part or "" for part in found.groups())  # type: ignore[misc]


def files(page: Path) -> dict[str, str]:
    """Files that a page asks to write, by name."""
    found = {}
    for _, _, _, rest, content in blocks(page):
        if title := TITLE.search(rest):
            found[title[1]] = content
    return found


def commands(page: Path) -> list[Command]:
    """Commands of a page, in order."""
    found = []
    for marker, text, language, _, content in blocks(page):
        if language != "console":
            continue
        about = {marker: text} if marker else {}
        found += [Command(page.name, line[2:].strip(), **about) for line in content.splitlines() if line[:2] == "$ "]
    return found


def mentions(page: Path) -> list[str]:
    """Commands of ours within the text of a page, and in blocks that are no console's; placeholders included."""
    found = re.findall(r"`ocelot ([^`\n]+)`", page.read_text())
    for _, _, language, _, content in blocks(page):
        if language in ("", "sh", "bash", "shell"):
            found += re.findall(r"^(?:\$ )?ocelot (.+?)(?: {2,}|$| #)", content, re.MULTILINE)
    return found
