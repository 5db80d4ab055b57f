"""Any registered Gymnasium environment: `gym/CartPole-v1`, or a person's own as `gym/my_package:MyEnv-v0`."""

from importlib.util import find_spec
from typing import Any

import gymnasium

from actors.domains import naming
from actors.errors import TaskError

DISCOUNT = 0.99
PACKAGES = ("gymnasium", "mujoco")

# Gymnasium's own families and what they need beside it; what else it registers wraps other packages.
OWN = {"classic_control": None, "toy_text": None, "box2d": "Box2D", "mujoco": "mujoco"}


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of an id, or of `module:id` after importing the module.

    Raises:
        TaskError: unknown id (names the nearest), missing package (names it), or a constructor that raises.
    """
    task = f"gym/{name}"
    try:
        drawing: dict[str, Any] = {"render_mode": "rgb_array"} if render else {}  # not every constructor takes one
        return gymnasium.make(name, disable_env_checker=True, **drawing)
    except gymnasium.error.UnregisteredEnv as error:
        hint = naming.nearest("gym", name, list(gymnasium.registry)) or str(error)
        raise TaskError(f"unknown task '{task}': {hint}") from None
    except gymnasium.error.DependencyNotInstalled as error:
        raise TaskError(f"{task} needs a package that is not installed: {error}") from None
    except ModuleNotFoundError as error:
        missing = error.name or getattr(error.__cause__, "name", None) or name.partition(":")[0]
        raise TaskError(f"{task}: no module named '{missing}'; install it, or put its folder on PYTHONPATH") from None
    except Exception as error:
        raise TaskError(f"{task} could not be made: {type(error).__name__}: {error}") from error


def names() -> list[str]:
    """Ids that Gymnasium itself registers and that can be made here, the newest version of each."""
    own = tuple(f"gymnasium.envs.{family}." for family, needed in OWN.items() if needed is None or find_spec(needed))
    newest: dict[str, int] = {}
    for spec in gymnasium.registry.values():
        if isinstance(spec.entry_point, str) and spec.entry_point.startswith(own):
            newest[spec.name] = max(newest.get(spec.name, 0), spec.version or 0)
    return sorted(f"{name}-v{version}" for name, version in newest.items())
