"""What experts of the DM Control Suite read of its simulator."""

from typing import Any

import gymnasium


def physics_of(environment: gymnasium.Env) -> tuple[Any, int]:
    """The physics of an environment of the suite, and how many of its steps one action lasts."""
    suite = environment.unwrapped.env  # type: ignore[attr-defined]
    return suite.physics, round(suite.control_timestep() / suite.physics.timestep())
