"""An engine that holds everything it acts on against a full recompute."""

import torch

from policy.engine import Engine
from policy.model import Policy
from policy.patches import Patches
from policy.vector_embedding import Vectors
from policy.vectors import VECTOR
from policy.vocabulary import DEFAULT


class Watched(Engine):
    """Compares every hidden state that it acts on with `Policy.forward` on the slot's tokens, images and prompt."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.differences: list[torch.Tensor] = []
        self.lengths: list[int] = []
        self._feed, self.forward.feed = self.forward.feed, self._watch

    def _watch(self, model, slots):
        hidden = self._feed(model, slots)
        for row, slot in enumerate(slots):
            whole = recompute(self, model, slot)
            logits = [model.logits(x[None], 32000, DEFAULT.size) for x in (whole, hidden[row])]
            self.differences.append((logits[0] - logits[1]).abs().flatten())
            self.lengths.append(int(self.contexts.length[slot]))
        return hidden

    @property
    def worst(self) -> float:
        """The largest difference of a logit so far."""
        return max(float(difference.max()) for difference in self.differences)


def recompute(engine: Engine, model: Policy, slot: int) -> torch.Tensor:
    """The hidden state [width] of a slot's last token, from all of its context at once."""
    contexts = engine.contexts
    length, size = int(contexts.length[slot]), int(contexts.size[slot])
    place = torch.arange(length)
    within = place % size
    position = within.masked_fill(within > int(contexts.separator[slot]), -1)
    tokens = torch.from_numpy(contexts.tokens[slot, :length])
    at = torch.nonzero(tokens == DEFAULT.patch).squeeze(1)
    patches = None
    if len(at):
        assert contexts.pixels is not None
        assert contexts.intervals is not None
        pixels = torch.from_numpy(contexts.pixels[slot, :length])[at]
        patches = Patches(pixels, at, torch.from_numpy(contexts.intervals[slot, :length])[at].long())
    vectors, at = None, torch.nonzero(tokens == VECTOR).squeeze(1)
    if len(at):
        assert contexts.bins is not None
        vectors = Vectors(torch.from_numpy(contexts.bins[slot, :length])[at].long(), at)
    prompt = torch.from_numpy(contexts.prompt[slot : slot + 1])
    return model(tokens[None], position[None], (place // size)[None], patches, prompt, vectors=vectors)[0, -1]
