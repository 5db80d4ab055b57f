"""RLlib's PPO (Schulman et al., arXiv 1707.06347) for tasks with numbers to see."""

from ray.rllib.algorithms import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from actors import domains
from actors.experts.network import CATEGORICAL, GAUSSIAN, Network
from actors.experts.weights import layers, weights_of
from policy.layout import Layout

ENVIRONMENTS = 8  # side by side
HIDDEN = [64, 64]
STEPS_AN_UPDATE = 2048


def configuration(layout: Layout) -> PPOConfig:
    """PPO that samples and learns in the calling process."""
    return (
        PPOConfig()
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
        .env_runners(num_envs_per_env_runner=ENVIRONMENTS)
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=HIDDEN,
                fcnet_activation="tanh",
                vf_share_layers=False,
                free_log_std=layout.action["kind"] == "box",
            )
        )
    )


def export(algorithm: Algorithm) -> Network:
    """The policy that PPO has learned so far as a network in NumPy."""
    weights = weights_of(algorithm)
    stems = [f"encoder.actor_encoder.net.mlp.{2 * index}" for index in range(len(HIDDEN))] + ["pi.net.mlp.0"]
    log_std = weights.get("pi.log_std")
    return Network(layers(weights, stems), log_std, CATEGORICAL if log_std is None else GAUSSIAN)
