"""What goes wrong when checkpoints are given away and taken in."""

from policy.errors import OcelotError


class SharingError(OcelotError):
    """A folder that cannot be written, taken in or uploaded."""
