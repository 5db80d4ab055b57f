"""The policy network: embedding, transformer, action head over legal ranges, return head, value heads."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from policy import native, native_attention
from policy.action_values import ActionValues
from policy.cache import BlockCache, Cache
from policy.config import PolicyConfig
from policy.decoder import Decoder
from policy.decoder_blocks import Part
from policy.embedding import Embedding
from policy.folding import Fold, fold, fold_near, fold_windows
from policy.native_decoder import NativeDecoder
from policy.new_tokens import NewTokens
from policy.patches import Patches
from policy.transformer import Transformer
from policy.values import bin_centres
from policy.vector_embedding import Vectors
from policy.vocabulary import DEFAULT

FEW = 0.1  # of a window's timesteps: what tokens see of so many is gathered for each; of more, whole windows attend
LOGITS_AT_ONCE = 2**26  # of training: beyond, they are computed in parts, and again for the gradient


class Policy(nn.Module):
    """A generalist token policy.

    Hidden states come from `forward` (training) or `extend` (decoding from a cache); heads are computed only at the
    positions that need them, and the output layer only over the ids that are legal there.
    """

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.transformer = Transformer(config)
        self.decoder: Decoder | NativeDecoder | None = None  # of a frozen policy
        self.value = nn.Linear(config.width, config.value_bins)
        self.q = nn.Linear(config.width, config.value_bins)
        for head in (self.value, self.q):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.action_values = ActionValues(config.width)
        self.bins: torch.Tensor
        self.register_buffer("bins", bin_centres(config.value_bins, config.value_limit), persistent=False)

    def forward(
        self,
        tokens: torch.Tensor,
        position: torch.Tensor,
        timestep: torch.Tensor,
        patches: Patches | None = None,
        prompt: torch.Tensor | None = None,
        wanted: torch.Tensor | None = None,
        vectors: Vectors | None = None,
    ) -> torch.Tensor:
        """Hidden states of whole windows.

        Args:
            tokens, position, timestep: int64 [B, T] as in `replay.batch.Batch`; padding (timestep -1) at the end.
            patches: the images of the batch; None where it holds no patch token.
            prompt: int64 [B]: so many timesteps at each row's front are its prompt, which `attention_steps` does not
                hide; None: no prompts.
            wanted: int64 [W]: flat places, none of them padding, whose hidden states are wanted; None: all.
            vectors: the vectors of numbers in the batch; None where it holds none.

        Returns:
            [B, T, width]; meaningless at padding, and zero where it is not wanted.
        """
        embedded = self.embedding(tokens, position, patches, vectors)
        if native_attention.available(self.config, self.transformer.norm.weight):
            runs = native_attention.runs(timestep, self.config.attention_steps, prompt)
            return self.transformer.folded(embedded, runs, wanted)
        if self.config.attention_steps != 0:
            return self._attended(embedded, timestep, prompt, wanted)
        prompted = torch.zeros_like(timestep[:, 0], dtype=torch.bool) if prompt is None else prompt > 0  # [B]
        if not prompted.any():
            return self.transformer.folded(embedded, fold(timestep), wanted)
        if prompted.all():
            return self._attended(embedded, timestep, prompt, wanted)
        # Only rows with a prompt look beyond their timestep: the others need not pay for attention over all tokens.
        hidden = torch.zeros_like(embedded)
        for index in (torch.nonzero(~prompted).squeeze(1), torch.nonzero(prompted).squeeze(1)):
            chosen = None
            if wanted is not None:
                row = torch.full_like(prompted, -1, dtype=torch.int64)
                row[index] = torch.arange(len(index), device=index.device)
                own = row[wanted // tokens.shape[1]]  # [W], -1: of the other rows
                chosen = (own * tokens.shape[1] + wanted % tokens.shape[1])[own >= 0]
            some, when = embedded[index], timestep[index]
            if prompt is not None and prompted[index[0]]:
                part = self._attended(some, when, prompt[index], chosen)
            else:
                part = self.transformer.folded(some, fold(when), chosen)
            hidden = hidden.index_copy(0, index, part)
        return hidden

    def _attended(
        self, embedded: torch.Tensor, timestep: torch.Tensor, prompt: torch.Tensor | None, wanted: torch.Tensor | None
    ) -> torch.Tensor:
        """Hidden states of embedded windows [B, T, width] whose tokens see those before them."""
        steps = self.config.attention_steps
        if steps and (prompt is None or not bool((prompt > 0).any())) and steps <= FEW * int(timestep.max()):
            return self.transformer.folded(embedded, fold_near(timestep, steps), wanted)
        if bool((timestep[:, -1] < 0).any()):
            windows = fold_windows(timestep)
            windows = replace(windows, masks=self._masks(windows, timestep, prompt))
            return self.transformer.folded(embedded, windows, wanted)
        place = torch.arange(timestep.shape[1], device=timestep.device).expand_as(timestep)
        mask = None
        if self.config.attention_steps is not None:
            mask = self._visible(timestep, place, timestep, place, prompt)
        return self.transformer(embedded, place, mask, wanted=wanted)

    def _masks(self, windows: Fold, timestep: torch.Tensor, prompt: torch.Tensor | None) -> list[torch.Tensor] | None:
        """What tokens may attend to in the windows of each part, bool [windows, 1, size, size]; None: all before."""
        if self.config.attention_steps is None:
            return None
        masks = []
        for starts, (_, size) in zip(windows.starts(), windows.parts, strict=True):
            rows = starts // timestep.shape[1]
            when = timestep[rows, :size]
            place = torch.arange(size, device=when.device).expand_as(when)
            masks.append(self._visible(when, place, when, place, None if prompt is None else prompt[rows]))
        return masks

    def freeze(self) -> None:
        """For serving: computes what depends on the weights alone. To be called again after the parameters changed."""
        self.embedding.freeze()
        weight = self.transformer.norm.weight
        kernels = native.kernels(self.config, weight.dtype, weight.device)
        self.decoder = Decoder(self.transformer) if kernels is None else NativeDecoder(self.transformer, kernels)

    def extend(
        self,
        tokens: torch.Tensor,
        position: torch.Tensor,
        slots: torch.Tensor,
        columns: torch.Tensor,
        parts: list[Part],
        cache: Cache,
        patches: Patches | None = None,
        vectors: Vectors | None = None,
    ) -> torch.Tensor:
        """Hidden states of each row's last new token, behind what the cache holds. For a frozen policy.

        Keys and values of all new tokens are written into the cache.

        Args:
            tokens, position: int64 [N], row after row, each padded at the end.
            slots, columns: int64 [N]: whose they are, and their places in their contexts (padding: the scratch column).
            parts: of the B rows.
            cache: of all slots.
            patches, vectors: among the new tokens; their `at` points into [N]. None where there are none.

        Returns:
            [B, width].
        """
        assert isinstance(self.decoder, Decoder)
        embedded = self.embedding(tokens.unsqueeze(0), position.unsqueeze(0), patches, vectors).squeeze(0)
        return self.decoder(embedded, slots, columns, parts, cache)

    def extend_rows(
        self, new: NewTokens, cache: BlockCache, patches: Patches | None = None, vectors: Vectors | None = None
    ) -> torch.Tensor:
        """As `extend`, with kernels of our own. [B, width]."""
        assert isinstance(self.decoder, NativeDecoder)
        embedded = self.embedding(new.tokens.unsqueeze(0), new.position.unsqueeze(0), patches, vectors).squeeze(0)
        return self.decoder(embedded, new.columns, new.rows, new.last, cache)[: new.rows.shape[1]]

    def mask(
        self,
        timestep: torch.Tensor,
        columns: torch.Tensor,
        step_tokens: torch.Tensor,
        keys: int,
        prompt: torch.Tensor | None,
    ) -> torch.Tensor:
        """What new tokens may attend to of the first columns of their contexts: zero, and -inf elsewhere.

        Args:
            timestep: int64 [B, T]; -1 is padding.
            columns: int64 [B, T]: their places in their contexts.
            step_tokens: int64 [B]: tokens of each timestep in the row's context.
            keys: so many columns.
            prompt: as in `forward`.

        Returns:
            [B, 1, T, keys], float32 or wider.
        """
        seen = torch.arange(keys, device=columns.device).unsqueeze(0)  # [1, keys]
        visible = self._visible(timestep, columns, seen // step_tokens.unsqueeze(1), seen, prompt)
        wide = torch.promote_types(self.transformer.norm.weight.dtype, torch.float32)
        return torch.zeros_like(visible, dtype=wide).masked_fill_(~visible, -torch.inf)

    def _visible(
        self,
        timestep: torch.Tensor,
        place: torch.Tensor,
        key_timestep: torch.Tensor,
        key_place: torch.Tensor,
        prompt: torch.Tensor | None,
    ) -> torch.Tensor:
        """bool [B, 1, T, keys]: keys that are not later, and at most `attention_steps` timesteps back or prompt."""
        visible = key_place[:, None, :] <= place[:, :, None]
        if self.config.attention_steps is not None:
            back = timestep[:, :, None] - key_timestep[:, None, :]
            near = back <= self.config.attention_steps
            if prompt is not None:
                near = near | (key_timestep < prompt[:, None])[:, None, :]
            visible = visible & near
        # Padding sees everything before it, so that no row of the softmax is empty.
        return (visible | (timestep < 0)[:, :, None]).unsqueeze(1)

    def log_probs(self, hidden: torch.Tensor, tokens: torch.Tensor, ranges: torch.Tensor) -> torch.Tensor:
        """Log-probability of each token among the ids that are legal in its place. float32 or wider [M].

        Args:
            hidden: [M, width], at the positions before the tokens.
            tokens: int64 [M].
            ranges: int64 [M, 2], half-open.
        """
        result = hidden.new_zeros(len(tokens), dtype=torch.promote_types(hidden.dtype, torch.float32))
        for start, stop, index in legal_groups(ranges):
            parts = index.split(max(1, LOGITS_AT_ONCE // (stop - start)))
            for part in parts:
                arguments = hidden[part], tokens[part], start, stop
                if len(parts) > 1 and torch.is_grad_enabled():  # text over all its ids would not fit otherwise
                    picked = checkpoint(self._picked, *arguments, use_reentrant=False)
                else:
                    picked = self._picked(*arguments)
                result = result.index_copy(0, part, picked)
        return result

    def _picked(self, hidden: torch.Tensor, tokens: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Log-probability of each token [M] among the ids [start, stop)."""
        return -functional.cross_entropy(self.logits(hidden, start, stop), tokens - start, reduction="none")

    def logits(self, hidden: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Logits over the ids [start, stop), in float32 or wider. hidden [M, width] -> [M, stop - start]."""
        wide = torch.promote_types(hidden.dtype, torch.float32)  # bfloat16 logits would be off by up to 1%
        return functional.linear(hidden.to(wide), self.embedding.wide_rows(start, stop))

    def return_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits over the 256 return ids. hidden [M, width] -> [M, 256]."""
        return self.logits(hidden, DEFAULT.returns.start, DEFAULT.returns.stop)

    def parameter_counts(self) -> dict[str, int]:
        """Number of parameters by part: those of the embedding one by one, then the blocks and the heads."""
        parts: dict[str, nn.Module] = {"positions": self.embedding.position, "text": self.embedding.text}
        parts |= {"other ids": self.embedding.table, "patches": self.embedding.patches}
        parts |= {"value features": self.embedding.features} if self.embedding.features is not None else {}
        parts |= {"vectors": self.embedding.vectors} if self.embedding.vectors is not None else {}
        parts |= {"output ids": self.embedding.out} if self.embedding.out is not None else {}
        parts |= {name: part for name, part in self.named_children() if name != "embedding"}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


def legal_groups(ranges: torch.Tensor) -> Iterator[tuple[int, int, torch.Tensor]]:
    """(start, stop, int64 row indices) for each distinct legal range in int64 [M, 2]."""
    if len(ranges) == 0:
        return
    key = ranges[:, 0] * 65536 + ranges[:, 1]
    for value in torch.unique(key).tolist():
        yield value // 65536, value % 65536, torch.nonzero(key == value).squeeze(1)
