"""What the trainings of experts share: which algorithm, in one process, without a trace of it in the exported network.

Beside the algorithms' modules, this one imports RLlib, which takes seconds; import it where a training starts.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ray.rllib.algorithms import Algorithm, AlgorithmConfig
from ray.tune.registry import register_env

from actors.experts import dqn, ppo, sac
from actors.experts.network import Network
from actors.experts.training_environment import TrainingEnvironment
from policy.layout import Layout
from policy.threads import torch_threads

SMOOTHED_EPISODES = 20


class Kind(Protocol):
    """What an algorithm's module defines."""

    def configuration(self, layout: Layout, **options: Any) -> AlgorithmConfig:
        """The algorithm with the settings that experts are trained with."""

    def export(self, algorithm: Algorithm) -> Network:
        """The policy that it has learned so far."""


KINDS: dict[str, Kind] = {"ppo": ppo, "sac": sac, "dqn": dqn}  # type: ignore[dict-item]  # modules as protocols


@contextmanager
def running(name: str, layout: Layout, seed: int, **options: Any) -> Iterator[Algorithm]:
    """A new algorithm. Ray must run in this process: RLlib would start one that listens without a token.

    Args:
        name: of `KINDS`.
        options: of its `configuration`.
    """
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)  # its warnings are about its own past versions
    environment, kind = f"ocelot/{layout.task}", KINDS[name]
    register_env(environment, lambda _: TrainingEnvironment(layout))
    config = (
        kind.configuration(layout, **options)
        .environment(environment)
        .env_runners(num_env_runners=0)
        .learners(num_learners=0, num_gpus_per_learner=0)
        .reporting(metrics_num_episodes_for_smoothing=SMOOTHED_EPISODES, min_time_s_per_iteration=0)
        .debugging(seed=seed, log_level="ERROR")
    )
    with torch_threads(1):  # so small a network waits longer for a second thread than it gains by it
        algorithm = config.build_algo()
        try:
            yield algorithm
        finally:
            algorithm.stop()
