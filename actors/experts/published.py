"""Returns of Atari games as papers published them: a scale where nobody measured one here."""

from dataclasses import dataclass
from functools import cache

from actors.domains import atari
from actors.experts import files


@dataclass(frozen=True)
class Published:
    """A row of a published table. None was measured here.

    The papers' games begin with up to 30 steps of doing nothing, end sooner, and have no sticky actions, which
    `actors.domains.atari` has. So these returns are near what would be measured, not equal to it.
    """

    random: float
    """Of random actions."""
    human: float
    """Of a professional games tester."""
    expert: float
    """Of the player."""
    player: str
    source: str


def find(task: str) -> Published | None:
    """The row of a game of Atari, in whichever form it is seen; None where no table has it."""
    return _rows().get(task.removesuffix(atari.SUFFIX))


@cache
def _rows() -> dict[str, Published]:
    content = files.read_json(files.SHIPPED / "published.json")
    return {task: Published(**row) for task, row in content.items()}
