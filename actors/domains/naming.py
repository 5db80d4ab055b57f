"""Tasks that are unknown, named with the nearest that are known."""

import difflib
from collections.abc import Sequence

from actors.errors import TaskError


def check(domain: str, name: str, known: Sequence[str]) -> None:
    """Raises TaskError unless `name` is one of the domain's names."""
    if name not in known:
        hint = nearest(domain, name, known) or f"there are {len(known)}, such as {domain}/{known[0]}"
        raise TaskError(f"unknown task '{domain}/{name}': {hint}; `ocelot domains` lists them")


def nearest(domain: str, name: str, known: Sequence[str]) -> str:
    """The known names that are most like `name`, in words; empty where none is."""
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(f'{domain}/{other}' for other in near)}?" if near else ""
