"""What can go wrong with replay and demonstrations, for people to read."""

from policy.errors import OcelotError


class ReplayError(OcelotError):
    """The replay server is dead, unreachable, or was asked for something that it does not have."""


class ReplayTimeout(ReplayError):
    """The server is alive but had nothing to give, or no room to take, in the time allowed."""


class StoreGone(ReplayError):
    """The store is dead or unreachable; it may come back."""


class DatasetError(OcelotError):
    """A demonstration dataset that is missing, damaged, or made for something else."""
