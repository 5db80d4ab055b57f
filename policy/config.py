"""Sizes and switches of the policy. Written into every checkpoint's config.json."""

from dataclasses import dataclass
from typing import Any, ClassVar

from policy.vocabulary import VOCABULARIES


@dataclass(frozen=True)
class PolicyConfig:
    """The transformer's shape. Gato's own choices are named where they differ from the defaults."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "use_attribute_docstrings": True}

    layers: int = 4
    """Transformer blocks."""
    width: int = 128
    """Width of the residual stream; a multiple of heads."""
    heads: int = 4
    """Attention heads; width / heads, the key size, is even (rotary positions need pairs)."""
    feedforward: int = 512
    """Hidden width of the feed-forward part."""
    activation: str = "gelu"
    """Of the feed-forward part: gelu, or geglu (GELU of one half of twice the width gates the other half)."""
    stochastic_depth: float = 0.0
    """Probability that a sequence skips a block's attention, and its feed-forward part, in training."""
    positions: str = "rotary"
    """What tells a token's place in the context, beyond its timestep: rotary, learned (a table of places) or none."""
    tied: bool = True
    """The output layer uses the input embeddings' table; false gives it one of its own."""
    vocabulary: str = "default"
    """Token ids: default, or paper (discrete values share the ids [0, 1024) with text, as in Gato)."""
    context: int = 256
    """Tokens that the policy can see at once (L); Gato: 1024."""
    attention_steps: int | None = None
    """How many earlier timesteps a token may attend to; null: the whole context (Gato), 0: only its own timestep."""
    value_features: bool = True
    """Add features of a continuous token's value to its embedding: near bins are alike; false is Gato's table."""
    value_table: bool = False
    """Beside its value features, an observed number has a vector of its bin's own; false: the features alone."""
    vectors: bool = False
    """Numbers of an observation that follow each other are one token (`policy.vectors`); false: each its own (Gato)."""
    action_positions: str = "shared"
    """Position embedding of action tokens: shared (one for all) or none."""
    patch_channels: int = 64
    """Channels of the residual block that embeds image patches; a multiple of 32."""
    action_bins: int = 1024
    """Bins of a continuous action, at most 1024 (Gato: 1024)."""
    greedy: str = "median"
    """What acting greedily takes of a continuous action's bins: median, or mode (the most likely bin)."""
    value_bins: int = 128
    """Bins of the categorical value heads."""
    value_limit: float = 9.0
    """The value heads reach returns of symlog size at most this (9: about 8,100)."""

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} must be heads {self.heads} times an even key size")
        if not 2 <= self.action_bins <= 1024:
            raise ValueError(f"action_bins {self.action_bins} must lie in [2, 1024]")
        if self.patch_channels < 32 or self.patch_channels % 32:
            raise ValueError(f"patch_channels {self.patch_channels} must be a multiple of 32")
        if not 0.0 <= self.stochastic_depth < 1.0:
            raise ValueError(f"stochastic_depth {self.stochastic_depth} must lie in [0, 1)")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} '{getattr(self, name)}' must be one of {', '.join(allowed)}")


CHOICES = {
    "activation": ("gelu", "geglu"),
    "positions": ("rotary", "learned", "none"),
    "vocabulary": tuple(VOCABULARIES),
    "action_positions": ("shared", "none"),
    "greedy": ("median", "mode"),
}
