"""MiniGrid's BabyAI bot (Chevalier-Boisvert et al., arXiv 1810.08272), which plans over the whole grid."""

from functools import partial

import gymnasium
import numpy as np

from actors.experts.per_episode import PerEpisode, Player

UNSOLVED = ("PutNextS5N2Carrying", "PutNextS6N3Carrying", "PutNextS7N4Carrying", "KeyInBox")
"""Levels that the bot's own documentation says it cannot solve."""

RANDOM_SHARE = 0.8
"""Of a medium player's actions: with it GoToLocal scores about half of the bot's, 0 being random actions alone."""


def bot() -> PerEpisode:
    """The expert of every level of `babyai/` but `UNSOLVED`."""
    return PerEpisode("babyai-bot", _player)


def distracted_bot(seed: int) -> PerEpisode:
    """The medium player of these levels: the bot, but most actions are drawn uniformly.

    A network half way through its training would be the usual one; networks here do not read missions.

    Args:
        seed: of the draws.
    """
    return PerEpisode("babyai-bot-distracted", partial(_distracted, generator=np.random.default_rng(seed)))


def _distracted(environment: gymnasium.Env, generator: np.random.Generator) -> Player:
    plan = _player(environment)
    actions = environment.action_space.n  # type: ignore[attr-defined]

    def act() -> np.int64:
        planned = plan()  # at every step, for the bot follows what was done from its last plan
        return np.int64(generator.integers(actions)) if generator.random() < RANDOM_SHARE else planned

    return act


def _player(environment: gymnasium.Env) -> Player:
    from minigrid.utils.baby_ai_bot import BabyAIBot

    mind = BabyAIBot(environment)
    lost = False

    def act() -> np.int64:
        nonlocal lost
        try:
            if not lost:
                return np.int64(mind.replan())
        except Exception:  # the bot asserts what some rare levels do not grant; it then stands still and fails them
            lost = True
        return np.int64(environment.unwrapped.actions.done)  # type: ignore[attr-defined]

    return act
