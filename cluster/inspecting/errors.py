"""Errors of `ocelot inspect`."""

from policy.errors import OcelotError


class InspectError(OcelotError):
    """Nothing that can be looked into."""
