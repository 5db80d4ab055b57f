"""A game of the Arcade Learning Environment, scaled down: what the Atari domain makes. Imports ale-py and OpenCV."""

from typing import Any

import cv2
import gymnasium
import numpy as np
from ale_py import Action
from ale_py.env import AtariEnv

cv2.setNumThreads(1)  # frames are small, and threads of many actors would wait for each other


NOOP = Action.NOOP


class AtariGame(AtariEnv):
    """One game. Each pixel is the brighter of the action's last two frames, since many games draw things in turn.

    Args:
        game: as ale-py names its ROM.
        frames: that an action lasts.
        sticky: chance at each frame that the action before goes on.
        limit: frames of an episode.
        size: height and width of an observation.
        stack: 0: observations are RGB, uint8 [height, width, 3]; else so many grey ones, uint8 [stack, height, width],
            the newest last; after a reset all are the first.
    """

    def __init__(self, game: str, frames: int, sticky: float, limit: int, size: tuple[int, int], stack: int = 0):
        super().__init__(
            game,
            frameskip=frames,
            repeat_action_probability=0.0,  # `step` sees to it
            full_action_space=False,
            max_num_frames_per_episode=limit,
            render_mode="rgb_array",
        )
        self.metadata = {**self.metadata, "render_fps": 60 / frames}
        self.height, self.width = size
        self.stack = stack
        self.sticky = sticky
        self._frames = frames
        self._going_on = NOOP  # the action of the frame before
        screen = self.ale.getScreenDims() if stack else (*self.ale.getScreenDims(), 3)
        self._before, self._last = np.zeros(screen, dtype=np.uint8), np.zeros(screen, dtype=np.uint8)
        self._get = self.ale.getScreenGrayscale if stack else self.ale.getScreenRGB
        # Something of the game before stays when some games are reset: every one begins from this state.
        self.ale.reset_game()
        self._start = self.ale.cloneSystemState()
        self._get(self._last)
        self._first = self._scale(self._last)
        self._seen = np.zeros((stack, *size), dtype=np.uint8)
        shape = (stack, *size) if stack else (*size, 3)
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)

    def seed_game(self, seed: int | None = None) -> tuple[int, int]:
        """Asked once, when the game is loaded: one seed for all, or some games' first memory differs by instance."""
        return super().seed_game(0 if seed is None else seed)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, Any]:
        gymnasium.Env.reset(self, seed=seed)
        self.ale.reset_game()
        self.ale.restoreSystemState(self._start)
        self._going_on = NOOP
        if self.stack:
            self._seen[:] = self._first
        return self._observe(self._first.copy()), self._get_info()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, Any]:
        act, chosen = self.ale.act, self._action_set[action]
        # Drawn here, since ALE takes a seed only with the game loaded anew: 90 ms an episode, half of Breakout's time.
        stuck = self.np_random.random(self._frames) < self.sticky
        reward = 0
        for moment in range(self._frames):
            if not stuck[moment]:
                self._going_on = chosen
            reward += act(self._going_on)
            if moment == self._frames - 2:
                self._get(self._before)
        self._get(self._last)
        frame = self._scale(np.maximum(self._before, self._last, out=self._last))
        if self.stack:
            self._seen[:-1] = self._seen[1:]
            self._seen[-1] = frame
        terminated, truncated = self.ale.game_over(with_truncation=False), self.ale.game_truncated()
        return self._observe(frame), float(reward), terminated, truncated, self._get_info()

    def _scale(self, screen: np.ndarray) -> np.ndarray:
        size = self.width, self.height
        if self.stack:
            return cv2.resize(screen, size, interpolation=cv2.INTER_AREA)
        # Halved exactly first: averaging areas of fractions of pixels takes five times as long as both steps.
        height, width = screen.shape[:2]
        half = cv2.resize(screen, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(half, size, interpolation=cv2.INTER_LINEAR)

    def _observe(self, frame: np.ndarray) -> np.ndarray:
        return self._seen.copy() if self.stack else frame
