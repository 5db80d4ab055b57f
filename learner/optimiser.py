"""AdamW with Gato's grouping and step-size schedule."""

import math

import torch
from torch import nn

from learner.config import LearnerConfig


def build(model: nn.Module, config: LearnerConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices, none on vectors (norms, biases)."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, eps=1e-8, fused=True)


def learning_rate(config: LearnerConfig, update: int, warm: bool = False) -> float:
    """Step size of an update, counted from 0: linear warm-up, then constant, or a cosine down to a tenth.

    Args:
        warm: there is no warm-up, for the optimiser's moments were taken over.
    """
    peak = config.learning_rate
    if config.decay_updates is not None:
        falling = max(1, config.decay_updates - config.warmup_updates)
        done = min(1.0, max(0.0, (update - config.warmup_updates) / falling))
        peak *= 0.1 + 0.9 * 0.5 * (1.0 + math.cos(math.pi * done))
    risen = 1.0 if warm else min(1.0, (update + 1) / max(1, config.warmup_updates))
    return config.warmup_from + (peak - config.warmup_from) * risen
