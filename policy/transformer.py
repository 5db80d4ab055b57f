"""Decoder-only transformer, pre-norm, over whole windows; `policy.decoder` decodes with its weights from a cache."""

from collections.abc import Callable
from functools import cache, partial
from typing import cast

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from policy.attention import attention
from policy.cache import SPAN
from policy.config import PolicyConfig
from policy.folding import Fold
from policy.native_attention import Runs
from policy.rotary import Turn, rotary


@cache
def compiled(part: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A part of a block, compiled when it is first called: once for all blocks and any number of tokens."""
    return torch.compile(part, dynamic=True)


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised input, each added to the residual stream."""

    compiling = False
    """What comes before and after attention is compiled, where gradients are wanted."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm_feedforward = nn.LayerNorm(config.width)
        self.gated = config.activation == "geglu"
        self.up = nn.Linear(config.width, (2 if self.gated else 1) * config.feedforward)
        self.down = nn.Linear(config.feedforward, config.width)

    def feedforward(self, x: torch.Tensor) -> torch.Tensor:
        """The feed-forward part's contribution to the residual stream: of x [..., width], the same shape.

        GEGLU is GELU(x W) * x V (arXiv 2002.05202, section 2).
        """
        inner = self.up(self.norm_feedforward(x))
        if self.gated:
            gate, value = inner.chunk(2, dim=-1)
            return self.down(functional.gelu(gate) * value)
        return self.down(functional.gelu(inner))

    def folded(
        self,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        fold: Fold | Runs,
        share: torch.Tensor | None = None,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The block over tokens that lie in runs of their own.

        Args:
            x: [K, width], in the fold's order.
            cos, sin: [K, 1, 1, key / 2].
            fold: what each token sees.
            share: [2, K, 1], as in `forward`.
            wanted: int64 [W]: which of the K tokens the output is wanted of; None: all.

        Returns:
            [K, width], or [W, width].
        """
        every = fold.attend(self._run(Block._joint, x), cos, sin, self.heads)
        if wanted is not None:
            x, every = x.index_select(0, wanted), every.index_select(0, wanted)
            share = None if share is None else share[:, wanted]
        return self._run(Block._add, x, every, share)

    def forward(
        self,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        rows: int,
        mask: torch.Tensor | None,
        share: torch.Tensor | None = None,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One block.

        Args:
            x: [B * T, width].
            cos, sin: [B * T, 1, 1, key / 2].
            rows: B.
            mask: bool [B, 1, T, T] (True: may attend); None: causal.
            share: [2, B * T, 1]: what each token's attention and feed-forward part are multiplied by; None: 1.
            wanted: int64 [W]: which of the tokens the output is wanted of; None: all.

        Returns:
            [B * T, width], or [W, width] with `wanted`.
        """
        width = x.shape[1]
        joint = Turn.apply(self._run(Block._joint, x), cos, sin, self.heads)
        parts = joint.view(rows, -1, 3, self.heads, width // self.heads).unbind(2)  # each [B, T, heads, key]
        q, k, v = (part.transpose(1, 2) for part in parts)
        joined = attention(q, k, v, mask).transpose(1, 2).reshape(-1, width)
        if wanted is not None:
            x, joined = x.index_select(0, wanted), joined.index_select(0, wanted)
            share = None if share is None else share[:, wanted]
        return self._run(Block._add, x, joined, share)

    def _run(self, part: Callable[..., torch.Tensor], *given: torch.Tensor | None) -> torch.Tensor:
        """One of the two methods below, which see tokens side by side whatever windows they are of."""
        return (compiled(part) if self.compiling and torch.is_grad_enabled() else part)(self, *given)

    def _joint(self, x: torch.Tensor) -> torch.Tensor:
        """Queries, keys and values [K, 3 width] of x [K, width]."""
        return self.qkv(self.norm_attention(x))

    def _add(self, x: torch.Tensor, attended: torch.Tensor, share: torch.Tensor | None) -> torch.Tensor:
        """The residual stream after both parts: of x and attended [K, width] and share [2, K, 1]."""
        attended = self.out(attended)
        if share is None:
            x = x + attended
            return x + self.feedforward(x)
        x = x + share[0] * attended
        return x + share[1] * self.feedforward(x)


class Transformer(nn.Module):
    """A stack of blocks and a final normalisation."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.config = config
        self.checkpointing = False
        """Blocks keep no activations for their gradients, but compute them again (arXiv 1604.06174)."""
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        places = 2 * config.context + SPAN  # a window of a whole context is followed by one more observation
        self.place: nn.Embedding | None = None
        if config.positions == "learned":
            self.place = nn.Embedding(places, config.width)
            nn.init.normal_(self.place.weight, std=0.02)
        cos, sin = rotary(places, config.width // config.heads)
        if config.positions != "rotary":  # turned by nothing
            cos, sin = torch.ones_like(cos), torch.zeros_like(sin)
        self.cos: torch.Tensor
        self.sin: torch.Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith("weight") and parameter.dim() == 2:
                scale = 0.02 / (2 * config.layers) ** 0.5 if ".out." in name or ".down." in name else 0.02
                # Small widths need a larger start than GPT-2's 0.02 to pass signal at all.
                nn.init.normal_(parameter, std=scale * max(1.0, (768 / config.width) ** 0.5))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def folded(
        self,
        x: torch.Tensor,
        fold: Fold | Runs,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embedded tokens [B, T, width] to normalised hidden states, each from its own run; zero at padding.

        With `wanted` (int64 [W], flat places, none of them padding) zero elsewhere too.
        """
        cos = self.cos[fold.place].to(x.dtype)[:, None, None]  # [K, 1, 1, key/2]
        sin = self.sin[fold.place].to(x.dtype)[:, None, None]
        y = x.flatten(0, 1).index_select(0, fold.index)  # [K, width]
        if self.place is not None:
            y = y + self.place(fold.place)
        shares = self._shares(x)
        for layer, block in enumerate(self.blocks):
            share = None if shares is None else shares[layer, :, fold.index // x.shape[1], 0]  # [2, K, 1]
            chosen = None
            if wanted is not None and layer == len(self.blocks) - 1:
                within = torch.zeros(x.shape[0] * x.shape[1], dtype=torch.int64, device=x.device)
                within[fold.index] = torch.arange(len(fold.index), device=x.device)
                chosen = within[wanted]
            y = self._through(cast(Block, block).folded)(y, cos, sin, fold, share, chosen)
        return _scattered(self.norm(y), fold.index if wanted is None else wanted, x)

    def forward(
        self,
        x: torch.Tensor,
        place: torch.Tensor,
        mask: torch.Tensor | None,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embedded tokens at their places in the context to normalised hidden states.

        Args:
            x: [B, T, width].
            place: int64 [B, T].
            mask: bool [B, 1, T, T] (True: may attend); None: causal.
            wanted: int64 [W]: flat places of the tokens whose hidden states are wanted, zero elsewhere; None: all.

        Returns:
            [B, T, width].
        """
        cos = self.cos[place.flatten()].to(x.dtype)[:, None, None]  # [B * T, 1, 1, key/2]
        sin = self.sin[place.flatten()].to(x.dtype)[:, None, None]
        y = x if self.place is None else x + self.place(place)
        y = y.flatten(0, 1)
        shares = self._shares(x)
        last = len(self.blocks) - 1
        for layer, block in enumerate(self.blocks):
            share = None if shares is None else shares[layer].expand(-1, -1, x.shape[1], -1).flatten(1, 2)
            y = self._through(block)(y, cos, sin, len(x), mask, share, wanted if layer == last else None)
        y = self.norm(y)
        return y.view_as(x) if wanted is None else _scattered(y, wanted, x)

    def _through(self, block: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """A block's way forward, with checkpointing where it is on and gradients are wanted."""
        if not (self.checkpointing and torch.is_grad_enabled()):
            return block
        # Blocks draw nothing: what is random is drawn before them.
        return partial(checkpoint, block, use_reentrant=False, preserve_rng_state=False)

    def _shares(self, x: torch.Tensor) -> torch.Tensor | None:
        """Stochastic depth (arXiv 1603.09382) for x [B, T, width] in training: 0 where a row skips a part of a block,
        else what makes up for the skips. [layers, 2, B, 1, 1]; None: nothing is skipped."""
        rate = self.config.stochastic_depth
        if not self.training or rate == 0.0:
            return None
        # On the CPU, whose generator a training state saves.
        kept = torch.rand(self.config.layers, 2, len(x), 1, 1) >= rate
        return (kept / (1.0 - rate)).to(x)


def _scattered(y: torch.Tensor, at: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Hidden states y [W, width] at flat places `at` of zeros in the shape of `like` [B, T, width]."""
    return y.new_zeros(like.shape[0] * like.shape[1], like.shape[2]).index_copy(0, at, y).view_as(like)
