"""Small environments for tests, as a person's own module would register them: `gym/tests.actors.toys:Toy-v0`."""

import gymnasium
import numpy as np

PREFIX = "gym/tests.actors.toys:"


class Toy(gymnasium.Env):
    """Counts its steps; the reward is one, or the action. Fails as it is told.

    Args:
        length: steps of an episode; None draws 1 to 40.
        ends: "terminated" or "truncated".
        fault: "step", "reset", "nan", "reward", "shape", "spaces" (which change with a reset) or None.
        chance: of the fault, at every step or reset.
    """

    def __init__(
        self, length: int | None = 10, ends: str = "terminated", fault: str | None = None, chance: float = 0.05
    ):
        self.observation_space = gymnasium.spaces.Box(-1000.0, 1000.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)
        self.length, self.ends, self.fault, self.chance = length, ends, fault, chance

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self._fails("reset"):
            raise RuntimeError("the toy broke in reset")
        if self._fails("spaces"):
            self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.left = int(self.np_random.integers(1, 41)) if self.length is None else self.length
        self.mark = float(self.np_random.uniform(-1, 1))
        self.count = 0
        return self._observe(), {}

    def step(self, action):
        assert action in self.action_space
        if self._fails("step"):
            raise RuntimeError("the toy broke in step")
        self.count += 1
        self.left -= 1
        observation, reward = self._observe(), float(action)
        if self._fails("nan"):
            observation[1] = np.nan
        if self._fails("shape"):
            observation = observation[:1]
        if self._fails("reward"):
            reward = float("inf")
        over = self.left == 0
        return observation, reward, over and self.ends == "terminated", over and self.ends == "truncated", {}

    def _fails(self, what):
        return self.fault == what and self.np_random.random() < self.chance

    def _observe(self):
        return np.array([self.count, self.mark], dtype=np.float32)


class Filmed(Toy):
    """A toy that says it can be drawn, and cannot.

    Args:
        broken: raise, instead of returning no picture.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, broken: bool = False):
        super().__init__()
        self.render_mode, self.broken = render_mode, broken

    def render(self):
        if self.broken:
            raise OSError("no lens")


def _register(name, **kwargs):
    gymnasium.register(f"{name}-v0", f"{__name__}:Toy", kwargs=kwargs)


_register("Toy")
_register("Long", length=60, ends="truncated")
_register("RandomLength", length=None)
for _fault in ("step", "nan", "reward", "shape"):
    _register(f"Faulty{_fault.title()}", fault=_fault)
_register("FaultyReset", fault="reset", chance=0.4)
_register("Broken", fault="step", chance=1.0)
_register("BrokenReset", fault="reset", chance=1.0)
_register("Changing", fault="spaces", chance=1.0)
gymnasium.register("Undrawn-v0", f"{__name__}:Filmed")
gymnasium.register("BrokenCamera-v0", f"{__name__}:Filmed", kwargs={"broken": True})
