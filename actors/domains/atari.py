"""Atari games of the Arcade Learning Environment: `atari/boxing`, and in the standard grey form `atari/boxing-grey`.

The protocol of Machado et al. (arXiv 1709.06009) as ale-py's v5 has it: an action lasts four frames, is ignored with a
chance of 0.25 at each of them in favour of the one before (sticky actions), an episode is a whole game of at most
108,000 frames, and the game's minimal set of actions is used.
"""

from functools import cache

import gymnasium

from actors.domains import naming
from actors.errors import TaskError

DISCOUNT = 0.99
PACKAGES = ("ale-py", "opencv-python-headless")
SUFFIX = "-grey"
FRAMES = 4  # that an action lasts
STICKY = 0.25
LIMIT = 108_000  # frames of an episode: half an hour
HEIGHT, WIDTH = 80, 64  # Gato's frames: 20 patches (arXiv 2205.06175)
GREY, STACK = 84, 4  # DQN's frames (Mnih et al., Human-level control through deep reinforcement learning, 2015)


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of a game.

    Raises:
        TaskError: unknown name (names the nearest), or ale-py does not load on this machine.
    """
    naming.check("atari", name, names())
    from actors.atari_game import AtariGame

    game = name.removesuffix(SUFFIX)
    if name.endswith(SUFFIX):
        return AtariGame(game, FRAMES, STICKY, LIMIT, (GREY, GREY), STACK)
    return AtariGame(game, FRAMES, STICKY, LIMIT, (HEIGHT, WIDTH))


@cache
def names() -> list[str]:
    """Every game for one player that ships with ale-py, then every game in grey. Raises TaskError without ale-py."""
    try:
        import ale_py  # noqa: F401  (registers them)
        import cv2  # noqa: F401  (scales the frames)
    except ImportError as error:
        raise TaskError(
            f"atari/ tasks need ale-py and OpenCV, which do not load here: {error}; install them with 'pip install "
            "ale-py opencv-python-headless'"
        ) from None
    games = sorted({spec.kwargs["game"] for spec in gymnasium.registry.values() if spec.id.startswith("ALE/")})
    return [*games, *(f"{game}{SUFFIX}" for game in games)]
