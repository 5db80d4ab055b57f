"""The one trajectory record: an episode, a piece of one, or a window cut from it."""

from dataclasses import dataclass, field, fields, replace

import numpy as np

from policy.context import fitting_steps, next_start
from policy.images import PATCH
from policy.vectors import places

EXPERT, ONLINE = 0, 1


def no_patches() -> np.ndarray:
    """Of steps without images."""
    return np.zeros((0, 0, PATCH, PATCH, 3), dtype=np.uint8)


@dataclass
class Trajectory:
    """Consecutive steps of one episode of one task, as tokens.

    N steps, S tokens a step (observation, separator, action; never a return token), A action tokens; P image patches a
    step (0: none), each a token of the observation; K steps of a prompt (0: none).
    """

    task: str
    source: int
    """EXPERT or ONLINE."""
    actor: int
    """Which actor recorded it; -1 for demonstrations."""
    episode: int
    """Number of the episode, unique within its source and actor."""
    first_step: int
    """Step of the episode at which this record begins."""
    burn_in: int
    """So many steps at the front are context only: another window has trained, or will train, on them."""
    tokens: np.ndarray
    """int32 [N, S]."""
    tail: np.ndarray
    """int32 [S - A]: observation and separator that follow the last step (of a truncated episode: the final one)."""
    legal: np.ndarray
    """int32 [A, 2]: half-open legal range of each action token."""
    rewards: np.ndarray
    """float32 [N]."""
    returns_to_go: np.ndarray
    """float32 [N]: undiscounted sum of rewards from each step to the episode's end; NaN while the episode runs."""
    terminated: bool
    """The last step ended the episode: nothing follows, values do not bootstrap."""
    truncated: bool
    """The last step was cut off by a limit: values bootstrap from the tail."""
    log_probs: np.ndarray
    """float32 [N, A]: of the action tokens when they were drawn; NaN for demonstrations."""
    versions: np.ndarray
    """int32 [N, 2]: (incarnation, update) of the weights that acted; -1 for demonstrations."""
    context_start: np.ndarray
    """int32 [N]: step of the episode at which the context began that the action saw; -1 for demonstrations."""
    return_tokens: np.ndarray
    """int32 [N]: the return token acted on, or -1."""
    temperature: float
    """Of action sampling; -1 for demonstrations."""
    episode_return: float = float("nan")
    """Sum of all rewards of the episode that this is part of; NaN while the episode runs."""
    patches: np.ndarray = field(default_factory=no_patches)
    """uint8 [N, P, 16, 16, 3]: the images that the patch tokens stand for."""
    tail_patches: np.ndarray = field(default_factory=lambda: np.zeros((0, PATCH, PATCH, 3), dtype=np.uint8))
    """uint8 [P, 16, 16, 3]: of the tail's observation."""
    patch_intervals: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 2), dtype=np.int32))
    """int32 [P, 2, 2]: where the patches lie in their images, as `policy.layout.Layout.patch_intervals`."""
    prompt: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int32))
    """int32 [K, S]: steps of another episode of the task that stand before every context of this episode."""
    prompt_patches: np.ndarray = field(default_factory=no_patches)
    """uint8 [K, P, 16, 16, 3]: of the prompt."""

    def __post_init__(self) -> None:
        if not self.patches.size:
            self.patches = self.patches.reshape(len(self.tokens), 0, PATCH, PATCH, 3)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def priority(self) -> float:
        """How often the window is drawn, in proportion.

        Of what we played, each step that trains is drawn as often as any other: a window of long timesteps holds few of
        them, and drawn like the rest, tasks of large observations would crowd out the others. Demonstrations are mixed
        by their tasks' weights before they come here, and count alike.
        """
        return 1.0 if self.actor < 0 else float(max(1, len(self) - self.burn_in))

    @property
    def action_tokens(self) -> int:
        return len(self.legal)

    @property
    def finished(self) -> bool:
        return bool(self.terminated or self.truncated)

    def slice(self, start: int, stop: int, burn_in: int = 0) -> "Trajectory":
        """Steps [start, stop) of this record; the tail is what follows them."""
        last = stop == len(self)
        return replace(
            self,
            first_step=self.first_step + start,
            burn_in=burn_in,
            tail=self.tail if last else self.tokens[stop, : len(self.tail)].copy(),
            tail_patches=self.tail_patches if last else self.patches[stop].copy(),
            terminated=self.terminated and last,
            truncated=self.truncated and last,
            **{name: getattr(self, name)[start:stop].copy() for name in PER_STEP},
        )

    def check(self) -> None:
        """Raises ValueError when shapes disagree or a reward is not finite; says which field, task and step."""
        steps, tokens = self.tokens.shape
        for name in PER_STEP:
            if len(getattr(self, name)) != steps:
                raise ValueError(
                    f"{self.task}, episode {self.episode}: {name} has {len(getattr(self, name))} of {steps} steps"
                )
        if len(self.tail) != tokens - self.action_tokens:
            raise ValueError(f"{self.task}, episode {self.episode}: tail of {len(self.tail)} tokens")
        shapes = {
            "patches": (steps, *self.tail_patches.shape),
            "patch_intervals": (len(self.tail_patches), 2, 2),
            "prompt": (len(self.prompt), tokens if len(self.prompt) else self.prompt.shape[1]),
            "prompt_patches": (len(self.prompt), *self.tail_patches.shape) if len(self.prompt) else no_patches().shape,
        }
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"{self.task}, episode {self.episode}: {name} has shape {found}, not {shape}")
        if not np.isfinite(self.rewards).all():
            step = int(np.flatnonzero(~np.isfinite(self.rewards))[0]) + self.first_step
            raise ValueError(f"{self.task}, episode {self.episode}: reward at step {step} is not finite")

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Every field as a NumPy array, for stores that hold nothing else."""
        arrays = {}
        for own in fields(self):
            value = getattr(self, own.name)
            if own.name == "task":
                arrays["task"] = np.frombuffer(value.encode(), dtype=np.uint8).copy()
            else:
                arrays[own.name] = np.asarray(value, dtype=DTYPES[own.name])
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Trajectory":
        """The inverse of `to_arrays`."""
        values: dict = {}
        for own in fields(cls):
            value = np.asarray(arrays[own.name])
            if own.name == "task":
                values["task"] = value.astype(np.uint8).tobytes().decode()
            else:
                values[own.name] = value if value.ndim else value.item()
        return cls(**values)


PER_STEP = ("tokens", "rewards", "returns_to_go", "log_probs", "versions", "context_start", "return_tokens", "patches")

DTYPES = {
    "source": np.int32,
    "actor": np.int32,
    "episode": np.int64,
    "first_step": np.int32,
    "burn_in": np.int32,
    "tokens": np.int32,
    "tail": np.int32,
    "legal": np.int32,
    "rewards": np.float32,
    "returns_to_go": np.float32,
    "terminated": np.bool_,
    "truncated": np.bool_,
    "log_probs": np.float32,
    "versions": np.int32,
    "context_start": np.int32,
    "return_tokens": np.int32,
    "temperature": np.float32,
    "episode_return": np.float32,
    "patches": np.uint8,
    "tail_patches": np.uint8,
    "patch_intervals": np.int32,
    "prompt": np.int32,
    "prompt_patches": np.uint8,
}


def cut(trajectory: Trajectory, context: int, attention_steps: int | None = None) -> list[Trajectory]:
    """Windows of at most `context` places (their tail aside) in which every step has a loss exactly once.

    A window begins where a context began and ends where that context slid, so the learner sees each step in the very
    context in which the actor saw it. Demonstrations are cut as if the policy had acted. The record must begin where a
    context begins (at an episode's start, or at a slide). A prompt takes room in every context, so windows get shorter.
    """
    if trajectory.context_start[0] >= 0:
        starts = [int(start) - trajectory.first_step for start in trajectory.context_start]
    else:
        size = places(trajectory.tokens[0])
        fit = fitting_steps(context, size, trajectory.task, len(trajectory.prompt))
        starts, start = [], 0
        for step in range(len(trajectory)):
            start = next_start(start, step, fit, attention_steps)
            starts.append(start)
    windows, first = [], trajectory.burn_in
    for step in range(first + 1, len(trajectory) + 1):
        if step == len(trajectory) or starts[step] != starts[first]:
            windows.append(trajectory.slice(starts[first], step, burn_in=first - starts[first]))
            first = step
    return windows
