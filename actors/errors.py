"""Errors of tasks and environments that a person can cause."""

from policy.errors import OcelotError


class TaskError(OcelotError):
    """A task that is unknown, cannot be made on this machine, or has other spaces than the policy was made for."""


class EnvironmentFailed(OcelotError):
    """An environment that kept failing and was given up."""


class ActionError(OcelotError):
    """An action that its environment's space does not hold: whoever chose it is at fault, not the environment."""


class EvaluationError(OcelotError):
    """An evaluation whose numbers would not mean what they say."""


class FilmError(OcelotError):
    """A task that cannot be drawn."""


class ServerSilent(OcelotError):
    """The policy server did not answer in time."""
