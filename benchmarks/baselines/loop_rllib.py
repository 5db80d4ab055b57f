"""The loop of RLlib's IMPALA, for `ocelot bench contest`: TASK SECONDS FILE."""

import time
from typing import Any

import gymnasium
import ray
from loop_clocks import clock_in
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.registry import register_env

from cluster.bench.loop_meter import WARM, Meter, arguments
from cluster.bench.loop_simulators import Clock, totals
from cluster.local_ray import local_ray

RUNNERS, ENVIRONMENTS = 2, 32  # processes, and environments of each: as Ocelot's


class ClockedModule(DefaultPPOTorchRLModule):
    """RLlib's own network, counted where it acts."""

    def setup(self) -> None:
        super().setup()
        self._clock = Clock("policy")

    def forward_exploration(self, batch: dict[str, Any], **named: Any) -> dict[str, Any]:
        """As RLlib's."""
        with self._clock:
            return super().forward_exploration(batch, **named)


def main() -> None:
    task, seconds, file = arguments()
    clock_in(TorchLearner, "_update", "learner")  # in this process, in a thread of its own
    clock_in(TorchLearner, "apply_gradients", "update")
    register_env("clocked", lambda _: gymnasium.make(task, disable_env_checker=True))
    config = (
        IMPALAConfig()
        .environment("clocked")
        .env_runners(
            num_env_runners=RUNNERS,
            num_envs_per_env_runner=ENVIRONMENTS,
            num_cpus_per_env_runner=0,
            rollout_fragment_length=32,
        )
        .learners(num_learners=0, num_gpus_per_learner=0)
        .resources(num_cpus_for_main_process=0)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=ClockedModule))
        .training(train_batch_size_per_learner=1024)
        .reporting(min_time_s_per_iteration=0.5)
        .debugging(log_level="ERROR")
    )
    with local_ray():
        algorithm = config.build_algo()
        while totals("simulator")[0] == 0:  # its processes start
            algorithm.train()
        for lasts in (WARM, seconds):
            meter, began = Meter(ray.__version__, "simulator", "policy", "learner"), time.perf_counter()
            while time.perf_counter() - began < lasts:
                algorithm.train()
        meter.stop().save(file)
        algorithm.stop()


if __name__ == "__main__":
    main()
