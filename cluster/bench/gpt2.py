"""GPT-2 of Hugging Face's transformers with its static cache: as people use it, and at its best."""

import importlib.util
from typing import Any

import torch
from torch.nn import functional

from cluster.bench.plain import choose
from cluster.bench.works import CONTEXT, SLOTS, Work
from policy.config import PolicyConfig
from policy.vocabulary import DEFAULT

MISSING = (
    "Hugging Face's transformers is not installed, so its rows are missing; `pip install 'ocelot[bench]'` brings it, "
    "or `pip install --no-deps --target DIR transformers tokenizers regex` beside this environment, with PYTHONPATH=DIR"
)


def installed() -> bool:
    """Whether transformers can be imported."""
    return importlib.util.find_spec("transformers") is not None


class Gpt2:
    """The policy's sizes as GPT-2. Its vocabulary is the policy's.

    Args:
        config: sizes.
        work: what is served; without images.
        dtype: of weights and cache.
        best: the last action token is fed with the next observation, and logits are computed over the legal ids alone;
            else each token of an action is fed on its own, and logits are over the whole vocabulary, as in `generate`.
    """

    def __init__(self, config: PolicyConfig, work: Work, dtype: torch.dtype, best: bool):
        from transformers import GPT2Config, GPT2LMHeadModel, StaticCache

        sizes: dict[str, Any] = {"n_layer": config.layers, "n_embd": config.width, "n_head": config.heads}
        gpt2 = GPT2Config(vocab_size=DEFAULT.size, n_positions=CONTEXT, n_inner=config.feedforward, **sizes)
        model: Any = GPT2LMHeadModel(gpt2)
        self.model = model.to(dtype).eval()
        self.cache = StaticCache(self.model.config, max_cache_len=CONTEXT)
        self.work = work
        self.best = best
        self.tokens = torch.from_numpy(work.tokens).long()
        self.separator = torch.full((SLOTS, 1), DEFAULT.separator)
        self.start, self.stop = (int(bound) for bound in work.legal[0])

    @torch.inference_mode()
    def episode(self) -> None:
        """Steps of all rows from an empty cache."""
        self.cache.reset()
        at, pending = 0, self.separator[:, :0]
        for step in range(self.work.steps):
            new = torch.cat([pending, self.tokens[step], self.separator], dim=1)
            for _ in range(self.work.acting):
                pending = self._act(new, at)
                at += new.shape[1]
                new = pending
            if not self.best:
                self._feed(pending, at)
                at += 1
                pending = pending[:, :0]

    def _act(self, tokens: torch.Tensor, at: int) -> torch.Tensor:
        hidden = self._feed(tokens, at)
        if self.best:
            logits = functional.linear(hidden.float(), self.model.lm_head.weight[self.start : self.stop].float())
        else:
            logits = self.model.lm_head(hidden)[:, self.start : self.stop].float()
        return choose(logits)[1] + self.start

    def _feed(self, tokens: torch.Tensor, at: int) -> torch.Tensor:
        """Hidden states of the last of tokens [B, T], [B, width]."""
        positions = torch.arange(at, at + tokens.shape[1]).unsqueeze(0)
        found = self.model.transformer(input_ids=tokens, past_key_values=self.cache, position_ids=positions)
        return found.last_hidden_state[:, -1]
