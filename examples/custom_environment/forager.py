"""An environment of one's own: registered with Gymnasium when it is imported, and so a task of Ocelot.

From this folder (or with it on PYTHONPATH), no other code is needed:

    ocelot domains gym/forager:Forager-v0
    ocelot experts collect gym/forager:Forager-v0 --quality random --episodes 20

A forager looks for berries in a meadow, told which colour to pick. Its Dict space has one of each: an image (a bird's
view), a vector (where it is), a discrete value (the season), and a text (what to pick). The action is a Dict, too.
"""

import gymnasium
import numpy as np

SIZE = 32  # pixels of the meadow's side
BERRIES = 6
STEPS = 100
STRIDE = 0.1  # of the meadow's side, in one step
REACH = 0.1
COLOURS = {"red": (220, 40, 40), "blue": (50, 80, 230)}
SEASONS = ("spring", "summer", "autumn")
MEADOW = ((90, 160, 80), (120, 170, 60), (170, 140, 60))  # by season


class Forager(gymnasium.Env):
    """1 for each berry picked that has the right colour, -1 for one that has not; ends when none of those is left."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Dict(
            {
                "view": gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8),
                "place": gymnasium.spaces.Box(0.0, 1.0, (2,), np.float32),
                "season": gymnasium.spaces.Discrete(len(SEASONS)),
                "mission": gymnasium.spaces.Text(32, charset="abcdefghijklmnopqrstuvwxyz "),
            }
        )
        self.action_space = gymnasium.spaces.Dict(
            {"move": gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32), "pick": gymnasium.spaces.Discrete(2)}
        )

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self.place = self.np_random.uniform(0.0, 1.0, 2)
        self.season = int(self.np_random.integers(len(SEASONS)))
        self.wanted = str(self.np_random.choice(list(COLOURS)))
        self.berries = self.np_random.uniform(0.0, 1.0, (BERRIES, 2))
        self.colours = [list(COLOURS)[index % 2] for index in range(BERRIES)]
        self.left = [True] * BERRIES
        self.steps = 0
        return self._observe(), {}

    def step(self, action: dict) -> tuple[dict, float, bool, bool, dict]:
        self.place = np.clip(self.place + STRIDE * action["move"], 0.0, 1.0)
        self.steps += 1
        reward = self._pick() if action["pick"] else 0.0
        done = not any(left for left, colour in zip(self.left, self.colours, strict=True) if colour == self.wanted)
        return self._observe(), reward, done, not done and self.steps == STEPS, {}

    def _pick(self) -> float:
        distances = np.linalg.norm(self.berries - self.place, axis=1)
        for berry in np.argsort(distances):
            if self.left[berry] and distances[berry] < REACH:
                self.left[berry] = False
                return 1.0 if self.colours[berry] == self.wanted else -1.0
        return 0.0

    def _observe(self) -> dict:
        view = np.full((SIZE, SIZE, 3), MEADOW[self.season], dtype=np.uint8)
        for berry in np.flatnonzero(self.left):
            self._dot(view, self.berries[berry], COLOURS[self.colours[berry]])
        self._dot(view, self.place, (255, 255, 255))
        return {
            "view": view,
            "place": self.place.astype(np.float32),
            "season": self.season,
            "mission": f"pick the {self.wanted} berries",
        }

    def _dot(self, view: np.ndarray, place: np.ndarray, colour: tuple[int, int, int]) -> None:
        column, row = (place * (SIZE - 2)).astype(int)
        view[row : row + 2, column : column + 2] = colour


gymnasium.register("Forager-v0", "forager:Forager")
