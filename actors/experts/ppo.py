"""RLlib's PPO as experts are trained with it: small networks, one process, eight environments.

Beside the other modules, this one imports RLlib, which takes seconds; import it where a training starts.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import ray
import torch
from ray.rllib.algorithms import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune.registry import register_env

from actors import domains
from actors.experts.network import Network
from actors.experts.players import flatten, network_sizes, to_actions
from actors.nesting import unstack
from policy.layout import Layout
from policy.spaces import build, leaves, pick

HIDDEN = [64, 64]
STEPS_AN_UPDATE = 2048
SMOOTHED_EPISODES = 20


class FlatEnvironment(gymnasium.Env):
    """A task with the spaces that a network has: a flat observation, and a choice or numbers in [-1, 1]."""

    def __init__(self, layout: Layout):
        self.layout = layout
        self.env = domains.make(layout.task)
        inputs, outputs, kind = network_sizes(layout)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (inputs,), np.float32)
        if kind == "discrete":
            self.action_space = gymnasium.spaces.Discrete(outputs)
        else:
            self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (outputs,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        observation, _ = self.env.reset(seed=seed, options=options)
        return self._flat(observation), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        actions = to_actions(self.layout.action, np.asarray(action)[None])
        observation, reward, terminated, truncated, _ = self.env.step(next(unstack(self.layout.action, actions, 1)))
        return self._flat(observation), float(reward), terminated, truncated, {}

    def close(self) -> None:
        self.env.close()

    def _flat(self, observation: Any) -> np.ndarray:
        description = self.layout.observation
        batch = {name: np.asarray(pick(observation, name))[None] for name, _ in leaves(description)}
        return flatten(description, build(description, batch))[0]


def configuration(layout: Layout, seed: int) -> PPOConfig:
    """PPO that samples and learns in the calling process."""
    name = f"ocelot/{layout.task}"
    register_env(name, lambda _: FlatEnvironment(layout))
    return (
        PPOConfig()
        .environment(name)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
        .learners(num_learners=0, num_gpus_per_learner=0)
        .training(
            gamma=domains.discount(layout.task),
            lambda_=0.95,
            lr=3e-4,
            train_batch_size_per_learner=STEPS_AN_UPDATE,
            minibatch_size=128,
            num_epochs=10,
            clip_param=0.2,
            use_kl_loss=False,
            # RLlib clips the critic's error at 10, where a task with returns of -1000 would learn no values.
            vf_clip_param=float("inf"),
            grad_clip=0.5,
            grad_clip_by="norm",
        )
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=HIDDEN,
                fcnet_activation="tanh",
                vf_share_layers=False,
                free_log_std=layout.action["kind"] == "box",
            )
        )
        .reporting(metrics_num_episodes_for_smoothing=SMOOTHED_EPISODES, min_time_s_per_iteration=0)
        .debugging(seed=seed, log_level="ERROR")
    )


@contextmanager
def running(layout: Layout, seed: int) -> Iterator[Algorithm]:
    """A new PPO, with a Ray of its own where none runs in this process."""
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)  # its warnings are about its own past versions
    started = not ray.is_initialized()
    if started:
        ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network waits longer for a second thread than it gains by it
    algorithm = configuration(layout, seed).build_algo()
    try:
        yield algorithm
    finally:
        algorithm.stop()
        torch.set_num_threads(threads)
        if started:
            ray.shutdown()


def export(algorithm: Algorithm) -> Network:
    """The policy that PPO has learned so far as a network in NumPy."""
    module = algorithm.get_module()
    assert isinstance(module, TorchRLModule)
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}
    stems = [f"encoder.actor_encoder.net.mlp.{2 * index}" for index in range(len(HIDDEN))] + ["pi.net.mlp.0"]
    layers = tuple((weights[f"{stem}.weight"].copy(), weights[f"{stem}.bias"].copy()) for stem in stems)
    log_std = weights.get("pi.log_std")
    return Network(layers, None if log_std is None else log_std.copy())
