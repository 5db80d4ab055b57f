"""Token embeddings: a table, image patches, positions within the timestep, and features of continuous values."""

import math

import torch
from torch import nn

from policy.config import PolicyConfig
from policy.continuous import BINS
from policy.patches import PatchEmbedding, Patches
from policy.vector_embedding import VectorEmbedding, Vectors
from policy.vocabulary import DEFAULT

POSITIONS = 512  # rows of the position table; the last one is shared by action tokens
FREQUENCIES = 6
SLOW = 2  # frequencies of vectors: with more, the noise of few demonstrations is learned by heart


def value_features(bins: int = BINS, frequencies: int = FREQUENCIES) -> torch.Tensor:
    """Features of each continuous bin's centre v: v itself and sinusoids of pi 2^k v / 2.

    Returns:
        float32 [bins, 1 + 2 frequencies].
    """
    centre = (2.0 * torch.arange(bins, dtype=torch.float64) + 1.0) / bins - 1.0  # [bins]
    angle = centre[:, None] * (math.pi / 2.0 * 2.0 ** torch.arange(frequencies))  # [bins, frequencies]
    return torch.cat([centre[:, None], angle.sin(), angle.cos()], dim=1).float()


class Embedding(nn.Module):
    """Lookup tables for every id, and the output layer's, which are the same ones where they are tied.

    Text has a table of its own: where no text occurs, 32,000 rows cost neither gradient nor optimiser step.

    Without `value_table` an observed number is told by features of its value alone. A vector of its own for each bin
    is what single steps of few demonstrations are learned by heart with: a bin is seen rarely, its vector is all the
    same free to say anything. Actions, whose bins may be few, and the output layer keep their table.
    """

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.config = config
        self.text = nn.Embedding(DEFAULT.text.stop, config.width)
        self.table = nn.Embedding(DEFAULT.size - DEFAULT.text.stop, config.width)
        self.position = nn.Embedding(POSITIONS, config.width)
        self.out: nn.Embedding | None = None
        if not config.tied:
            self.out = nn.Embedding(DEFAULT.size, config.width)
        for part in (self.text, self.table, self.position, *([self.out] if self.out else [])):
            nn.init.normal_(part.weight, std=0.02)
        self.patches = PatchEmbedding(config.width, config.patch_channels)
        self.vectors = (
            VectorEmbedding(config.width, config.feedforward, value_features(frequencies=SLOW))
            if config.vectors
            else None
        )
        self.features: nn.Linear | None = None
        if config.value_features:
            self.features = nn.Linear(2 * FREQUENCIES + 1, config.width, bias=False)
            nn.init.normal_(self.features.weight, std=0.02)
            self.register_buffer("value", value_features(), persistent=False)
            # An action's bins may be fewer: each is told by its own centre.
            self.register_buffer("acted", value_features(config.action_bins), persistent=False)
        self.features_alone = config.value_features and not config.value_table
        self.frozen: torch.Tensor | None = None
        self._wide: dict[tuple[int, int], torch.Tensor] = {}  # output vectors of a frozen policy, in float32

    def freeze(self) -> None:
        """For serving: computes `weights` once. To be called again after the parameters changed."""
        self.frozen = None
        self.frozen = self.weights().detach()
        self._wide.clear()

    def weights(self) -> torch.Tensor:
        """Vectors of all ids from 32,000 on, value features added to the continuous ones. [ids - 32000, width].

        Without `value_table` those of observed numbers follow, [ids - 32000 + bins, width].
        """
        if self.frozen is not None:
            return self.frozen
        if self.features is None:
            return self.table.weight
        extra = self.features(self.value)  # [bins, width]
        if not self.features_alone:
            return torch.cat([self.table.weight[:BINS] + extra, self.table.weight[BINS:]])
        added = torch.cat([self.features(self.acted), extra[self.config.action_bins :]])  # [bins, width]
        return torch.cat([self.table.weight[:BINS] + added, self.table.weight[BINS:], extra])

    def forward(
        self,
        tokens: torch.Tensor,
        position: torch.Tensor,
        patches: Patches | None = None,
        vectors: Vectors | None = None,
    ) -> torch.Tensor:
        """Ids and positions within the timestep (-1: an action), both int64 [B, T], to vectors [B, T, width].

        At a patch token, the patch's vector stands in for the table's, at a vector's token that of its numbers. Without
        `patches` or `vectors` there must be no such token.
        """
        start = DEFAULT.text.stop
        numbers = vectors is not None and len(vectors.at) > 0
        if numbers:
            tokens = tokens.masked_fill(tokens >= DEFAULT.size, DEFAULT.pad)  # whatever has a row: it is replaced
        ids = (tokens - start).clamp(min=0)  # of text any, for now
        if self.features_alone:
            observed = (ids < BINS) & (position >= 0)
            ids = torch.where(observed, ids + self.table.num_embeddings, ids)
        x = nn.functional.embedding(ids, self.weights())
        text = torch.nonzero(tokens.flatten() < start).squeeze(1)  # [text tokens]
        if len(text):
            x = x.flatten(0, 1).index_copy(0, text, self.text(tokens.flatten()[text])).view_as(x)
        if patches is not None and len(patches.at):
            seen = self.patches(patches.pixels, patches.intervals)  # [K, width]
            x = x.flatten(0, 1).index_copy(0, patches.at, seen.to(x.dtype)).view_as(x)
        if vectors is not None and numbers:
            if self.vectors is None:
                raise ValueError("the tokens hold vectors of numbers, and the policy was made with vectors: false")
            read = self.vectors(vectors.bins)  # [K, width]
            x = x.flatten(0, 1).index_copy(0, vectors.at, read.to(x.dtype)).view_as(x)
        acting = position < 0
        where = position.clamp(max=POSITIONS - 2).masked_fill(acting, POSITIONS - 1)
        placed = self.position(where)
        if self.config.action_positions == "none":
            placed = placed.masked_fill(acting.unsqueeze(-1), 0.0)
        return x + placed

    def wide_rows(self, start: int, stop: int) -> torch.Tensor:
        """As `rows`, in float32 or wider. While acting the same few ranges are asked for again and again."""
        rows = self.rows(start, stop)
        wide = torch.promote_types(rows.dtype, torch.float32)
        if self.frozen is None or rows.dtype == wide:
            return rows.to(wide)
        if (start, stop) not in self._wide:
            self._wide[start, stop] = rows.to(wide)
        return self._wide[start, stop]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Output vectors of the ids [start, stop), which lie all in text or all beyond it. [stop - start, width]."""
        border = DEFAULT.text.stop
        if self.out is not None:
            return self.out.weight[start:stop]
        if stop <= border:
            return self.text.weight[start:stop]
        return self.weights()[start - border : stop - border]
