"""BabyAI's levels in MiniGrid: `babyai/GoToLocal`, and drawn instead of told: `babyai/GoToLocal-rendered`.

The 7x7 cells in front of the agent, the direction it faces, and the mission as text. Each cell is one number that holds
its object, colour and state. Context is what a window costs, and three numbers a cell would take 147 tokens of it at
every step where these take 49.
"""

import re
from functools import cache
from typing import Any

import gymnasium
import numpy as np

from actors.domains import naming
from actors.errors import TaskError
from policy.layout import TEXT_TOKENS

DISCOUNT = 0.99
PACKAGES = ("minigrid",)
PREFIX, SUFFIX = "BabyAI-", "-rendered"
OBJECTS, COLOURS, STATES = 11, 6, 4  # states: of a door, or the direction of an agent
CELLS = (OBJECTS, COLOURS, STATES)
CELL = 16  # pixels of a drawn cell: one image patch
MISSION = 300  # characters
LONG = ("BossLevel", "BossLevelNoUnlock", "MiniBossLevel", "SynthSeq")  # up to four instructions in one mission
LONG_TOKENS = 72  # of the longest that their grammar makes, with the tokenizer that ships
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 ,.'-"


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of a level.

    Raises:
        TaskError: unknown name (names the nearest), or minigrid does not load on this machine.
    """
    naming.check("babyai", name, names())
    env = gymnasium.make(
        _levels()[name.removesuffix(SUFFIX)],
        disable_env_checker=True,
        render_mode="rgb_array" if render else None,
    )
    if not name.endswith(SUFFIX):
        return Told(env)
    from minigrid.wrappers import RGBImgPartialObsWrapper

    return Drawn(RGBImgPartialObsWrapper(env, tile_size=CELL))


def names() -> list[str]:
    """Every level, then every level drawn. Raises TaskError when minigrid does not load."""
    levels = sorted(_levels())
    return [*levels, *(f"{level}{SUFFIX}" for level in levels)]


def text_tokens(name: str) -> int:
    """Room that the level's missions need, in tokens of the tokenizer that ships."""
    return LONG_TOKENS if name.removesuffix(SUFFIX) in LONG else TEXT_TOKENS


class Told(gymnasium.ObservationWrapper):
    """Cells as numbers: int64 [7, 7], each (object * COLOURS + colour) * STATES + state, from 0 to 263.

    Nothing of minigrid's three numbers is lost, at a third of their tokens: `np.unravel_index(image, CELLS)` gives them
    back.
    """

    def __init__(self, env: Any):
        super().__init__(env)
        size = env.observation_space["image"].shape[:2]
        self.observation_space = _space(gymnasium.spaces.MultiDiscrete(np.full(size, np.prod(CELLS))))

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        # Refuses what is out of range, where plain arithmetic would give the number of some other cell.
        return {**observation, "image": np.ravel_multi_index(observation["image"].transpose(2, 0, 1), CELLS)}


class Drawn(gymnasium.Wrapper):
    """Cells as an image, uint8 [112, 112, 3]: one patch a cell."""

    def __init__(self, env: Any):
        super().__init__(env)
        self.observation_space = _space(env.observation_space["image"])


@cache
def _levels() -> dict[str, str]:
    """Gymnasium ids by the level's name."""
    try:
        import minigrid  # noqa: F401  (registers them)
        from minigrid.envs.babyai.core import roomgrid_level
    except ImportError as error:
        raise TaskError(
            f"babyai/ tasks need minigrid, which does not load here: {error}; install it with 'pip install minigrid'"
        ) from None
    roomgrid_level.print = _quiet  # type: ignore[attr-defined]  # it reports every draw of a level that it rejects
    ids = [spec.id for spec in gymnasium.registry.values() if spec.id.startswith(PREFIX)]
    return {re.sub(r"-v\d+$", "", id_.removeprefix(PREFIX)): id_ for id_ in sorted(ids)}


def _quiet(*_: object) -> None:
    """Prints nothing."""


def _space(image: gymnasium.Space) -> gymnasium.spaces.Dict:
    return gymnasium.spaces.Dict(
        {
            "direction": gymnasium.spaces.Discrete(4),
            "image": image,
            "mission": gymnasium.spaces.Text(MISSION, charset=CHARACTERS),
        }
    )
