"""The loop of stable-baselines3's PPO, for `ocelot bench contest`: TASK SECONDS FILE."""

import time

import gymnasium
import stable_baselines3
from loop_clocks import clock_in
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from cluster.bench.loop_meter import WARM, Measured, Meter, arguments

CHEAP, SLOW = 64, 8  # environments: in its own process as many as Ocelot steps, or a process each


class Measuring(BaseCallback):
    """Measures after a while, and then ends the training; whole turns of acting and learning."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds, self.began = seconds, time.perf_counter()
        self.meter: Meter | None = None
        self.result: Measured | None = None

    def _on_step(self) -> bool:
        return self.result is None

    def _on_rollout_start(self) -> None:
        now = time.perf_counter()
        if self.meter is None and now - self.began > WARM:
            self.meter = Meter(stable_baselines3.__version__, "simulator", "policy", "replay", "learner")
            self.began = now
        elif self.meter is not None and now - self.began > self.seconds:
            self.result = self.meter.stop()


def main() -> None:
    task, seconds, file = arguments()
    slow = "busy" in task  # where a step takes microseconds, processes cost more than they gain
    kind = SubprocVecEnv if slow else DummyVecEnv
    environments = kind(
        [lambda: gymnasium.make(task, disable_env_checker=True) for _ in range(SLOW if slow else CHEAP)]
    )
    model = PPO("MlpPolicy", environments, n_steps=64, batch_size=256, n_epochs=4, device="cpu")
    # One thread of Python does all in turn, so the time of its process is that of the part that runs.
    clock_in(model.policy, "forward", "policy", time.process_time)
    clock_in(model.rollout_buffer, "add", "replay", time.process_time)
    clock_in(model.policy.optimizer, "step", "update", time.process_time)
    clock_in(model, "train", "learner", time.process_time)
    measuring = Measuring(seconds)
    model.learn(10**9, callback=measuring)
    assert measuring.result is not None
    measuring.result.save(file)
    environments.close()


if __name__ == "__main__":
    main()
