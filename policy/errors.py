"""Errors that a person can cause. Their text says what happened, where, and what to change."""


class OcelotError(Exception):
    """Printed without a traceback by the command line, which then exits with status 2."""


class SpaceError(OcelotError):
    """A space that cannot become tokens."""


class TokenError(OcelotError):
    """A value that cannot become a token, or a token that cannot become a value."""


class ServerError(OcelotError):
    """The policy server could not answer: a missed deadline, a failure in the engine, weights that it must not take; or
    it has ended."""


class CheckpointError(OcelotError):
    """A checkpoint that is missing, incomplete, or made for something else."""
