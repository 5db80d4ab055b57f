"""What the learner's updates are held against: the same transformer without Ocelot, and Hugging Face's GPT-2.

Each is a function of one update on the same tokens, which returns the loss: forward, backward, clipped gradients,
fused AdamW.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from learner.config import LearnerConfig
from policy.config import PolicyConfig
from policy.vocabulary import DEFAULT
from replay.batch import Batch

IDS = DEFAULT.size - DEFAULT.text.stop  # no text occurs here; its 32,000 rows would only slow them down


class Block(nn.Module):
    """Causal attention and feed-forward, pre-norm."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.heads = config.heads
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(2))
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.up = nn.Linear(config.width, config.feedforward)
        self.down = nn.Linear(config.feedforward, config.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, width] to the same."""
        rows, count, width = x.shape
        q, k, v = self.qkv(self.norms[0](x)).view(rows, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)  # [B, heads, T, key]
        x = x + self.out(attended.transpose(1, 2).reshape(rows, count, width))
        return x + self.down(functional.gelu(self.up(self.norms[1](x))))


class Plain(nn.Module):
    """A minimal decoder: a table of tokens, learned positions, blocks, and logits where actions are predicted."""

    def __init__(self, config: PolicyConfig, places: int):
        super().__init__()
        self.table = nn.Embedding(IDS, config.width)
        self.position = nn.Embedding(places, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, tokens: torch.Tensor, at: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Logits over the ids [start, stop) at flat places at [M] of tokens [B, T]: [M, stop - start]."""
        x = self.table(tokens) + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x).flatten(0, 1)[at], self.table.weight[start:stop])


def plain(config: PolicyConfig, batch: Batch, precision: str, learning_rate: float = 1e-4) -> Callable[[], float]:
    """Updates of cloning by a minimal transformer, over the legal ids only, as ours."""
    torch.manual_seed(0)
    model = Plain(config, batch.tokens.shape[1]).to(batch.tokens.device)
    tokens = (batch.tokens - DEFAULT.text.stop).clamp(min=0)
    start, stop = (int(bound) - DEFAULT.text.stop for bound in batch.action_range[0])
    target = batch.action_token - DEFAULT.text.stop - start

    def loss() -> torch.Tensor:
        return functional.cross_entropy(model(tokens, batch.action_at, start, stop).float(), target)

    return _updates(model, loss, precision, learning_rate)


def gpt2(config: PolicyConfig, batch: Batch, precision: str) -> Callable[[], float]:
    """Updates of cloning by Hugging Face's GPT-2 as it comes: logits over all ids, everywhere.

    Raises:
        ModuleNotFoundError: transformers is not installed.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=DEFAULT.size,
            n_positions=batch.tokens.shape[1],
            n_embd=config.width,
            n_layer=config.layers,
            n_head=config.heads,
            n_inner=config.feedforward,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    ).to(batch.tokens.device)
    labels = torch.full((batch.tokens.numel(),), -100, device=batch.tokens.device)
    labels[batch.action_at + 1] = batch.action_token
    labels = labels.view_as(batch.tokens)
    return _updates(model, lambda: model(input_ids=batch.tokens, labels=labels).loss, precision)


def _updates(
    model: nn.Module, loss: Callable[[], torch.Tensor], precision: str, learning_rate: float = 1e-4
) -> Callable[[], float]:
    settings, device = LearnerConfig(), next(model.parameters()).device
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=settings.betas, fused=True)

    def update() -> float:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimiser.step()
        return float(value.detach())

    return update


def matrices(precision: str, device: str) -> tuple[float, Callable[[], torch.Tensor]]:
    """A product of two large matrices: the most that the device can do. How many operations it is, and what does it."""
    size = 1024 if device == "cpu" else 8192
    pair = torch.randn(2, size, size, dtype=getattr(torch, precision), device=device)
    return 2.0 * size**3, lambda: pair[0] @ pair[1]
