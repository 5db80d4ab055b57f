"""RLlib's soft actor-critic (Haarnoja et al., arXiv 1812.05905) for actions that are numbers."""

from ray.rllib.algorithms import Algorithm
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from actors import domains
from actors.experts.network import SQUASHED, Network
from actors.experts.weights import layers, weights_of
from policy.layout import Layout

HIDDEN = [256, 256]
CAPACITY = 1_000_000  # steps
STEPS_A_REPORT = 1000


def configuration(layout: Layout) -> SACConfig:
    """SAC that samples and learns in the calling process, one update for each step."""
    return (
        SACConfig()
        .training(
            gamma=domains.discount(layout.task),
            actor_lr=3e-4,
            critic_lr=3e-4,
            alpha_lr=3e-4,
            lr=None,
            tau=0.005,
            train_batch_size_per_learner=256,
            target_entropy="auto",
            n_step=1,
            num_steps_sampled_before_learning_starts=1000,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": CAPACITY},
        )
        .env_runners(rollout_fragment_length=1, num_envs_per_env_runner=1)
        .reporting(min_sample_timesteps_per_iteration=STEPS_A_REPORT)
        .rl_module(
            model_config=DefaultModelConfig(fcnet_hiddens=HIDDEN, fcnet_activation="relu", head_fcnet_hiddens=[])
        )
    )


def export(algorithm: Algorithm) -> Network:
    """The actor as a network in NumPy: means, then logarithms of deviations."""
    weights = weights_of(algorithm)
    stems = [f"pi_encoder.net.mlp.{2 * index}" for index in range(len(HIDDEN))] + ["pi.net.mlp.0"]
    return Network(layers(weights, stems), head=SQUASHED, activation="relu")
