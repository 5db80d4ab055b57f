"""Any registered Gymnasium environment: `gym/CartPole-v1`, or a person's own as `gym/my_package:MyEnv-v0`."""

import difflib

import gymnasium

from actors.errors import TaskError

DISCOUNT = 0.99

# Gymnasium's own families; what else it registers wraps other packages.
OWN = tuple(f"gymnasium.envs.{family}" for family in ("classic_control", "toy_text", "box2d", "mujoco"))


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of an id, or of `module:id` after importing the module.

    Raises:
        TaskError: unknown id (names the nearest), missing package (names it), or a constructor that raises.
    """
    task = f"gym/{name}"
    try:
        return gymnasium.make(name, disable_env_checker=True, render_mode="rgb_array" if render else None)
    except gymnasium.error.UnregisteredEnv as error:
        near = difflib.get_close_matches(name, list(gymnasium.registry), n=3)
        hint = f"did you mean {' or '.join(f'gym/{other}' for other in near)}?" if near else str(error)
        raise TaskError(f"unknown task '{task}': {hint}") from None
    except gymnasium.error.DependencyNotInstalled as error:
        raise TaskError(f"{task} needs a package that is not installed: {error}") from None
    except ModuleNotFoundError as error:
        missing = error.name or getattr(error.__cause__, "name", None) or name.partition(":")[0]
        raise TaskError(f"{task}: no module named '{missing}'; install it, or put its folder on PYTHONPATH") from None
    except Exception as error:
        raise TaskError(f"{task} could not be made: {type(error).__name__}: {error}") from error


def names() -> list[str]:
    """Ids that Gymnasium itself registers, the newest version of each."""
    newest: dict[str, int] = {}
    for spec in gymnasium.registry.values():
        if isinstance(spec.entry_point, str) and spec.entry_point.startswith(OWN):
            newest[spec.name] = max(newest.get(spec.name, 0), spec.version or 0)
    return sorted(f"{name}-v{version}" for name, version in newest.items())
