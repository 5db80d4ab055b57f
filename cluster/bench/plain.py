"""A minimal decoder in plain PyTorch, used at its best: what a person would write, and what the engine is held against.

All rows stand at the same position, so its cache is written and read by slices, without a mask for what lies before a
step. It knows no slots, resets of single rows, slides, versions or mixed tasks.
"""

import torch
from torch import nn
from torch.nn import functional

from cluster.bench.works import CONTEXT, SLOTS, Work
from policy.config import PolicyConfig
from policy.patches import PatchEmbedding
from policy.vocabulary import DEFAULT


class PlainBlock(nn.Module):
    """Pre-norm attention and feed-forward of one layer, with its own cache."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.heads, self.key = config.heads, config.width // config.heads
        self.norm_attention = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm_feedforward = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.feedforward)
        self.down = nn.Linear(config.feedforward, config.width)
        # Keys transposed: the product with the queries is then the faster one of the two on CPUs.
        self.keys: torch.Tensor
        self.values: torch.Tensor
        self.register_buffer("keys", torch.zeros(SLOTS, self.heads, self.key, CONTEXT))
        self.register_buffer("values", torch.zeros(SLOTS, self.heads, CONTEXT, self.key))

    def forward(self, x: torch.Tensor, at: int, mask: torch.Tensor | None, last: bool) -> torch.Tensor:
        """New tokens x [B, T, width] behind `at` cached ones; with `last`, the output of the last of them alone."""
        rows, count = x.shape[:2]
        q, k, v = self.qkv(self.norm_attention(x)).view(rows, count, 3, self.heads, self.key).unbind(2)
        self.keys[..., at : at + count] = k.permute(0, 2, 3, 1)
        self.values[:, :, at : at + count] = v.transpose(1, 2)
        if last:
            x, q, mask = x[:, -1:], q[:, -1:], None
        scores = (q.transpose(1, 2) * self.key**-0.5) @ self.keys[..., : at + count]  # [B, heads, T, at + T]
        if mask is not None:
            scores[..., at:] += mask
        attended = scores.softmax(-1) @ self.values[:, :, : at + count]  # [B, heads, T, key]
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm_feedforward(x))))


class PlainDecoder(nn.Module):
    """The policy's sizes, with learned positions.

    Args:
        config: sizes.
        work: what is served.
        dtype: of weights and cache.
    """

    def __init__(self, config: PolicyConfig, work: Work, dtype: torch.dtype):
        super().__init__()
        self.work = work
        self.embedding = nn.Embedding(DEFAULT.size, config.width)
        self.position = nn.Embedding(CONTEXT, config.width)
        self.patches = PatchEmbedding(config.width, config.patch_channels)
        self.blocks = nn.ModuleList(PlainBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        for table in (self.embedding, self.position):
            nn.init.normal_(table.weight, std=0.02)
        start, stop = work.legal[0]
        self.head = self.embedding.weight.detach()[start:stop].to(dtype).float()  # logits in float32, legal ids alone
        self.start = int(start)
        self.to(dtype).requires_grad_(False).eval()
        longest = work.step_tokens
        self.mask = torch.full((longest, longest), -torch.inf, dtype=dtype).triu(1)
        self.tokens = torch.from_numpy(work.tokens).long()
        self.separator = torch.full((SLOTS, 1), DEFAULT.separator)

    @torch.inference_mode()
    def episode(self) -> None:
        """Steps of all rows from empty caches. The last action token of a step is fed with the next observation."""
        at, pending = 0, self.separator[:, :0]
        for step in range(self.work.steps):
            new = torch.cat([pending, self.tokens[step], self.separator], dim=1)
            images = self.images(step, pending.shape[1])
            for _ in range(self.work.acting):
                pending = self.act(new, at, images)
                at += new.shape[1]
                new, images = pending, None

    @torch.inference_mode()
    def recompute(self, step: int) -> None:
        """One step without a cache: the whole context is fed for each action token."""
        work = self.work
        tokens = torch.cat([torch.cat([self.tokens[at], self.separator], dim=1) for at in range(step + 1)], dim=1)
        padding = torch.full((SLOTS, step * work.acting), self.start)  # action tokens of the steps before
        tokens = torch.cat([padding, tokens], dim=1)
        for _ in range(work.acting):
            self.act(tokens, 0, None, torch.full((tokens.shape[1],) * 2, -torch.inf, dtype=self.mask.dtype).triu(1))
            tokens = torch.cat([tokens, self.separator], dim=1)[:, :CONTEXT]

    def images(self, step: int, first: int) -> tuple[torch.Tensor, int] | None:
        """Embedded patches [SLOTS, patches, width] of a step, and the column at which they stand."""
        work = self.work
        if not work.patches:
            return None
        pixels = torch.from_numpy(work.pixels[step]).flatten(0, 1)
        intervals = torch.from_numpy(work.intervals).long().repeat(SLOTS, 1, 1)
        return self.patches(pixels, intervals).view(SLOTS, work.patches, -1), first

    def act(
        self,
        tokens: torch.Tensor,
        at: int,
        images: tuple[torch.Tensor, int] | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Feeds tokens int64 [B, T] behind `at` cached ones and draws the next, int64 [B, 1]."""
        hidden = self.hidden(tokens, at, images, mask)
        return choose(functional.linear(hidden.float(), self.head))[1] + self.start

    def hidden(
        self,
        tokens: torch.Tensor,
        at: int,
        images: tuple[torch.Tensor, int] | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The hidden state of the last of tokens int64 [B, T] behind `at` cached ones, [B, width]."""
        count = tokens.shape[1]
        x = self.embedding(tokens) + self.position.weight[at : at + count]
        if images is not None:
            vectors, first = images
            x[:, first : first + vectors.shape[1]] += vectors
        if mask is None and count > 1:
            mask = self.mask[:count, :count]
        for block in self.blocks[:-1]:
            x = block(x, at, mask, False)
        return self.norm(self.blocks[-1](x, at, mask, True))[:, 0]


def choose(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability and id of a token drawn from each row of logits [B, K]; each [B, 1]."""
    log_probs = torch.log_softmax(logits, dim=1)
    summed = log_probs.exp().cumsum(1)  # one random number a row; torch.multinomial takes longer
    picked = torch.searchsorted(summed, torch.rand(len(logits), 1) * summed[:, -1:], right=True)
    picked = picked.clamp_(max=logits.shape[1] - 1)
    return log_probs.gather(1, picked), picked
