"""What one check of a machine says."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """One line of `ocelot doctor`."""

    check: str
    """What was looked at."""
    state: State
    """ok; warning: Ocelot runs, with less than it could have; failed: something does not run."""
    found: str
    """What is here."""
    cure: str = ""
    """What to do, unless all is well."""
    seconds: float = 0.0
    """How long looking took."""
