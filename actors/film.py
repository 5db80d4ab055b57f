"""Episodes with pictures: what a video shows, and what its overlays are computed from."""

import math
import os
import secrets
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from actors.environments import Environments, StepResult
from actors.errors import FilmError, TaskError
from actors.evaluation import Act, evaluate
from actors.nesting import unstack
from actors.recorder import Recorder
from policy.layout import Layout
from policy.timing import Timing
from policy.types import ActReply, ActRequest
from replay.trajectory import Trajectory

FPS = 30.0  # of an environment that does not say
NEVER = 2**30  # steps: an episode is one piece


@dataclass
class Film:
    """One episode, N steps, F pictures."""

    task: str
    fps: float
    """Pictures a second, in the environment's own time."""
    frames: list[np.ndarray] = field(default_factory=list)
    """F pictures, uint8 [height, width, 3], each of the state before a step."""
    shown: list[int] = field(default_factory=list)
    """F steps: the one that each picture stands before."""
    actions: list[Any] = field(default_factory=list)
    """N actions, as the environment got them."""
    rewards: list[float] = field(default_factory=list)
    """N rewards."""
    windows: list[Trajectory] = field(default_factory=list)
    """The episode as the learner would see it."""


def film(
    act: Act,
    layout: Layout,
    context: int,
    episodes: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    with_return: bool = False,
    return_kappa: float = 10.0,
    most_fps: float = FPS,
    most_frames: float = math.inf,
    most_seconds: float = math.inf,
) -> list[Film]:
    """Films the first episodes that `evaluation.evaluate` plays from this seed, side by side.

    Args:
        act: answers requests, all with the same weights.
        layout: of the task.
        context: tokens that the policy sees at once.
        episodes: each needs a slot of the policy server.
        temperature, seed, with_return, return_kappa: as in `evaluate`.
        most_fps: pictures a second, at most: steps between them are not drawn.
        most_frames: of an episode; the rest of it is played, but not drawn.
        most_seconds: spent on drawing, which some simulators are slow at; likewise.

    Raises:
        FilmError: the task cannot be drawn (says why).
        EnvironmentFailed, TaskError: as `evaluate`.
    """
    # Environments that draw with SDL look for a display and a sound card otherwise.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    camera = _Camera(layout, context, episodes, temperature, most_fps, most_frames, most_seconds)
    try:
        evaluate(act, layout, episodes, temperature, seed, episodes, with_return, return_kappa, watch=camera)
    except TaskError as error:
        if "render" in str(error):  # a constructor that knows no render_mode, or GL that does not load
            raise FilmError(f"{layout.task} cannot be drawn: {error}") from None
        raise
    return camera.films


class _Camera:
    """Watches an evaluation in which each environment plays one episode. Arguments as `film`."""

    def __init__(
        self,
        layout: Layout,
        context: int,
        episodes: int,
        temperature: float,
        most_fps: float,
        most_frames: float,
        most_seconds: float,
    ):
        self.films: list[Film] = []
        self._layout = layout
        self._most_fps = most_fps
        self._most_frames = most_frames
        self._most_seconds = most_seconds
        self._timing = Timing("draw")
        self._episodes = episodes
        self._recorder = Recorder(layout, 0, episodes, context, temperature, secrets.randbits(31), NEVER)

    def before(self, envs: Environments, rows: np.ndarray) -> None:
        """Draws the states before a step."""
        every = envs.at(rows)
        if not self.films:
            if sys.platform == "linux":
                # For MuJoCo behind Gymnasium, which looks here when it first draws; dm_control has chosen by now.
                os.environ.setdefault("MUJOCO_GL", "egl")
            own = float(every[0].metadata.get("render_fps") or FPS)
            self._stride = max(1, int(np.ceil(own / self._most_fps)))
            self.films = [Film(self._layout.task, own / self._stride) for _ in range(self._episodes)]
        for row, env in zip(rows, every, strict=True):
            taken = self.films[row]
            step = len(taken.rewards)
            full = len(taken.frames) >= self._most_frames or self._timing.seconds["draw"] > self._most_seconds
            if step % self._stride == 0 and not full:
                with self._timing.add("draw"):
                    taken.frames.append(self._draw(env))
                taken.shown.append(step)

    def after(self, rows: np.ndarray, request: ActRequest, reply: ActReply, actions: Any, result: StepResult) -> None:
        """Notes a step."""
        self._recorder.acted(rows, request.tokens, reply, request.patches)
        final = self._layout.encode_observation(result.final_observation)
        patches = self._layout.encode_images(result.final_observation)
        arguments = result.rewards, result.terminated, result.truncated, result.faulted, final, patches
        each = unstack(self._layout.action, actions, len(rows))
        for index, (row, action) in enumerate(zip(rows, each, strict=True)):
            taken = self.films[row]
            taken.actions.append(action)
            taken.rewards.append(float(result.rewards[index]))
            one = (None if part is None else part[index : index + 1] for part in arguments)
            taken.windows += self._recorder.stepped(rows[index : index + 1], *one)  # type: ignore[arg-type]
            if result.faulted[index]:  # played anew
                self.films[row] = Film(self._layout.task, taken.fps)

    def _draw(self, env: Any) -> np.ndarray:
        task = self._layout.task
        try:
            frame = env.render()
        except Exception as error:  # whatever GL libraries, simulators and people's own environments raise
            raise FilmError(f"{task} cannot be drawn: {type(error).__name__}: {error}") from error
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3:
            raise FilmError(
                f"{task} cannot be drawn: its render() returned {type(frame).__name__} and not a picture [height, "
                "width, 3]; give the environment render_mode='rgb_array'"
            )
        return np.ascontiguousarray(frame, dtype=np.uint8)
