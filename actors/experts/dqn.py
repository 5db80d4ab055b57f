"""RLlib's DQN for actions that are one choice, with the networks of its two papers for images."""

from dataclasses import dataclass
from typing import Any

import torch
from ray.rllib.algorithms import Algorithm
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.dqn.dqn_catalog import DQNCatalog
from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import DefaultDQNTorchRLModule
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from actors import domains
from actors.experts.network import GREEDY, Network
from actors.experts.players import image_shape
from actors.experts.weights import layers, weights_of
from policy.layout import Layout

BATCH = 32
IMAGE_ENVIRONMENTS = 4
STEPS_AN_UPDATE = 4  # for images, as in the papers
STEPS_AHEAD = 10  # of rewards before a value, for images
STEPS_A_REPORT = 1000
EXPLORATION = 0.05  # of a trained player of Atari, as where its scores were published (Mnih et al., 2015, Methods)


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network."""

    convolutions: tuple[tuple[int, int, int], ...]
    """(channels, side, stride) of each, without padding."""
    hidden: tuple[int, ...]
    """Units of the fully connected layers before the values."""


ARCHITECTURES = {
    "nips2013": Architecture(((16, 8, 4), (32, 4, 2)), (256,)),
    "nature2015": Architecture(((32, 8, 4), (64, 4, 2), (64, 3, 1)), (512,)),
}
"""Playing Atari with deep reinforcement learning (Mnih et al., arXiv 1312.5602, section 4.1), and Human-level control
through deep reinforcement learning (Mnih et al., Nature 518, 2015, Methods)."""

NUMBERS = Architecture((), (128, 128))
"""For observations that are no image."""


def configuration(layout: Layout, network: str = "nature2015") -> DQNConfig:
    """Double DQN that samples and learns in the calling process.

    For images, where steps take most of the time, it begins to learn early and bootstraps from ten steps on, as the
    variants do that are made for few steps (van Hasselt et al., arXiv 1906.05243; Kostrikov et al., arXiv 2004.13649).

    Args:
        network: of `ARCHITECTURES`; only for tasks that are seen as images.
    """
    image = image_shape(layout.observation)
    sizes = NUMBERS if image is None else ARCHITECTURES[network]
    settings: dict[str, Any] = {
        "fcnet_hiddens": list(sizes.hidden) if image is None else None,
        "fcnet_activation": "relu",
        "conv_filters": [[*each, "valid"] for each in sizes.convolutions] or None,
        "conv_activation": "relu",
        "head_fcnet_hiddens": [] if image is None else list(sizes.hidden),
        "head_fcnet_activation": "relu",
    }
    model = DefaultModelConfig(**{name: value for name, value in settings.items() if value is not None})
    specification = RLModuleSpec(
        module_class=DefaultDQNTorchRLModule,
        catalog_class=DQNCatalog if image is None else _Scaling,
        model_config=model,
    )
    return (
        DQNConfig()
        .training(
            gamma=domains.discount(layout.task),
            lr=5e-4 if image is None else 1e-4,
            adam_epsilon=1e-8 if image is None else 1.5e-4,
            train_batch_size_per_learner=BATCH,
            double_q=True,
            dueling=False,
            num_atoms=1,
            n_step=1 if image is None else STEPS_AHEAD,
            training_intensity=None if image is None else BATCH / STEPS_AN_UPDATE,
            epsilon=[(0, 1.0), (10_000, 0.05)],
            target_network_update_freq=500 if image is None else 2000,
            num_steps_sampled_before_learning_starts=1000 if image is None else 2000,
            # Images are stored as they are seen, for Atari four frames in each: 28 KB a step.
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 100_000},
        )
        .env_runners(
            rollout_fragment_length=1 if image is None else STEPS_AHEAD,
            num_envs_per_env_runner=1 if image is None else IMAGE_ENVIRONMENTS,
        )
        .reporting(min_sample_timesteps_per_iteration=STEPS_A_REPORT)
        .rl_module(rl_module_spec=specification)
    )


def export(algorithm: Algorithm) -> Network:
    """The network of action values, in NumPy."""
    weights = weights_of(algorithm)
    convolutions, dense = (
        [name.removesuffix(".weight") for name, one in weights.items() if name.endswith(".weight") and one.ndim == axes]
        for axes in (4, 2)
    )
    if not convolutions:
        return Network(layers(weights, dense), head=GREEDY, activation="relu")
    module: Any = algorithm.get_module()
    height, width, channels = module.observation_space.shape
    sizes = next(each for each in ARCHITECTURES.values() if len(each.convolutions) == len(convolutions))
    return Network(
        layers(weights, dense),
        head=GREEDY,
        activation="relu",
        convolutions=layers(weights, convolutions),
        strides=tuple(stride for _, _, stride in sizes.convolutions),
        image=(height, width, channels),
        exploration=EXPLORATION,
    )


class _Scaling(DQNCatalog):
    """Encoders whose images, uint8, become numbers in [0, 1]."""

    def build_encoder(self, framework: str) -> Any:
        return _Scaled(super().build_encoder(framework))


class _Scaled(torch.nn.Module):
    def __init__(self, encoder: Any):
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: dict[str, Any], **others: Any) -> Any:
        return self.encoder({**batch, Columns.OBS: batch[Columns.OBS].float() / 255.0}, **others)
