"""Sizes that training is measured at, and what an update of them computes."""

from policy.config import PolicyConfig

SIZES = {
    "4x128": (PolicyConfig(layers=4, width=128, heads=4, feedforward=512, context=256), 32),
    "6x256": (PolicyConfig(layers=6, width=256, heads=8, feedforward=1024, context=256), 32),
    "8x768": (PolicyConfig(layers=8, width=768, heads=24, feedforward=3072, context=256), 4),
}
"""Dims, and windows in a batch: for CPUs."""
GATO = {
    "79M": (PolicyConfig(layers=8, width=768, heads=24, feedforward=3072, context=1024), 64),
    "364M": (PolicyConfig(layers=12, width=1536, heads=12, feedforward=6144, context=1024), 32),
    "1.18B": (PolicyConfig(layers=24, width=2048, heads=16, feedforward=8192, context=1024), 16),
}
"""The same for GPUs: the paper's three (Gato, arXiv 2205.06175, table 1 of appendix C) at its context."""


def training_flops(config: PolicyConfig) -> float:
    """Floating-point operations of one token of a whole context in an update of `bc`: the products of the blocks, there
    and back (two products for one), with attention to the tokens before it. Heads are computed for action tokens
    alone, which is little beside it, and embeddings are looked up; neither is counted."""
    weights = config.layers * config.width * (4 * config.width + 2 * config.feedforward)
    attended = config.layers * 2 * config.width * (config.context + 1) / 2  # scores and values, half of the context
    return 3 * 2 * (weights + attended)
