"""One step of some rows, from their observations to their actions: all that a thread does for its part of a batch."""

from typing import NamedTuple

import numpy as np
import torch

from policy.contexts import Contexts
from policy.forward import Forward
from policy.model import Policy, legal_groups
from policy.ragged import Rows
from policy.sampling import draw
from policy.vocabulary import DEFAULT


class Drawn(NamedTuple):
    """What n rows act with; A action tokens in the longest."""

    returns: np.ndarray
    """int64 [n]: return tokens, -1 where none was wanted."""
    tokens: np.ndarray
    """int64 [n, A]."""
    log_probs: np.ndarray
    """float64 [n, A]."""


class Drawing:
    """Feeds observations, and draws return and action tokens. Several threads may, each for slots of its own.

    Args:
        contexts: of all slots; observations are in them already.
        forward: feeds them.
        device: of the policy.
    """

    def __init__(self, contexts: Contexts, forward: Forward, device: torch.device):
        self.contexts = contexts
        self.forward = forward
        self.device = device

    @torch.inference_mode()
    def step(self, model: Policy, rows: Rows, levels: torch.Tensor) -> Drawn:
        """Acts in these rows.

        Args:
            model: whose caches they have.
            rows: in ascending order of their slots.
            levels: float64 [n, 1 + A]: uniform numbers that decide each row's return token and action tokens.
        """
        hidden = self.forward.feed(model, rows.slots)
        returns = self._returns(model, rows, hidden, levels[:, 0])
        return Drawn(returns, *self._actions(model, rows, hidden, levels[:, 1:]))

    def _returns(self, model: Policy, rows: Rows, hidden: torch.Tensor, level: torch.Tensor) -> np.ndarray:
        """Inserts a return token, biased towards high returns, where one is wanted; int64 [n], -1 elsewhere.

        Replaces those rows of `hidden` [n, width] by the hidden states at their separators.
        """
        returns = np.full(len(rows.slots), -1, dtype=np.int64)
        index = np.flatnonzero(rows.with_return)
        if len(index) == 0:
            return returns
        where = torch.from_numpy(index).to(self.device)
        logits = model.return_logits(hidden[where])  # [m, 256]
        kappa = torch.from_numpy(rows.kappa[index]).to(logits)
        bias = kappa.unsqueeze(1) * torch.linspace(0, 1, logits.shape[1], device=self.device, dtype=logits.dtype)
        picked, _ = draw(logits + bias, torch.ones_like(kappa), level[where])
        returns[index] = picked.cpu().numpy() + DEFAULT.returns.start
        both = np.stack([returns[index], np.full(len(index), DEFAULT.separator)], axis=1)  # [m, 2]
        self.contexts.append(rows.slots[index], both)
        hidden[where] = self.forward.feed(model, rows.slots[index])
        return returns

    def _actions(
        self, model: Policy, rows: Rows, hidden: torch.Tensor, levels: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions token by token from `hidden` [n, width] at the separators: tokens int64, log-probabilities [n, A]."""
        shape = rows.legal.shape[:2]
        tokens, log_probs = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        for place in range(int(rows.acting.max())):
            index = np.flatnonzero(rows.acting > place)
            if place > 0:
                hidden = self.forward.feed(model, rows.slots[index])
            level = levels[torch.from_numpy(index).to(self.device), place]
            picked, score = self._draw(model, hidden, rows.legal[index, place], rows.temperature[index], level)
            tokens[index, place], log_probs[index, place] = picked, score
            # The last token stays out of the cache: it is fed with the next observation.
            self.contexts.append(rows.slots[index], picked[:, None])
        return tokens, log_probs

    def _draw(
        self, model: Policy, hidden: torch.Tensor, legal: np.ndarray, temperature: np.ndarray, level: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """One token for each row of hidden [m, width] from its legal range [m, 2]."""
        heat = torch.from_numpy(temperature).to(self.device)
        if (legal == legal[0]).all():
            return self._draw_alike(model, hidden, int(legal[0, 0]), int(legal[0, 1]), heat, level)
        picked, score = np.empty(len(legal), dtype=np.int64), np.empty(len(legal))
        for start, stop, rows in legal_groups(torch.from_numpy(legal)):
            index, where = rows.numpy(), rows.to(self.device)
            some = self._draw_alike(model, hidden[where], start, stop, heat[where], level[where])
            picked[index], score[index] = some
        return picked, score

    def _draw_alike(
        self, model: Policy, hidden: torch.Tensor, start: int, stop: int, heat: torch.Tensor, level: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """One token for each row of hidden [m, width] among the ids [start, stop), at temperatures float64 [m]."""
        # An action is as good as its neighbours nearly, and demonstrators vary around what they prefer: where they do
        # so beyond the bounds the outermost bins are the most likely ones, but the median stays.
        median = start in DEFAULT.continuous and model.config.greedy == "median"
        token, log_prob = draw(model.logits(hidden, start, stop), heat, level, median)
        return token.cpu().numpy() + start, log_prob.cpu().numpy()
