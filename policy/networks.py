"""The weights that an engine serves with: one set, or two while slots move from the old version to the new."""

import copy
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import torch

from policy.model import Policy
from policy.types import Version

Weights = Mapping[str, torch.Tensor | np.ndarray]
OnNewWeights = Literal["rebuild", "keep"]


def sets(on_new_weights: OnNewWeights) -> int:
    """How many sets of weights there are at most: those that act, and one that is made ready."""
    return 3 if on_new_weights == "rebuild" else 2


class Networks:
    """Copies of one policy, and which slot's cache was made with which.

    `rebuild`: each cache belongs to one version. New weights come to lie beside the old ones; a slot moves over at its
    episode's start or at a slide, which prefill it anyway, or when `affordable` says that its turn has come. Weights
    that are published while slots still need the old ones wait until none does.
    `keep`: there is one set of weights; caches stay until they are prefilled anyway.
    Newer weights are made ready beside those that act (double buffering), so that acting goes on meanwhile: there is
    memory for one set more. Letting them in is an exchange of references.

    Args:
        model: copied.
        slots: how many.
        dtype: of the weights.
        version: of the model's weights.
        on_new_weights: one of the two.
        share: of the time since new weights came that moving slots over may take; 1: they move at once, nothing waits.
    """

    def __init__(
        self,
        model: Policy,
        slots: int,
        dtype: torch.dtype,
        version: Version,
        on_new_weights: OnNewWeights = "rebuild",
        share: float = 0.1,
    ):
        if on_new_weights not in ("rebuild", "keep"):
            raise ValueError(f"on_new_weights '{on_new_weights}' must be rebuild or keep")
        self.staged = on_new_weights == "rebuild"
        self.share = share
        first = copy.deepcopy(model).to(dtype).requires_grad_(False).eval()
        first.freeze()
        self.models = [first]
        self.newest = 0  # index of the weights that came last
        self.held = np.zeros(slots, dtype=np.int64)  # index of the weights that each slot's cache is made with
        self.oldest = np.tile(np.array(version, dtype=np.int64), (slots, 1))  # version of the oldest in each cache
        self._versions = [version]
        self._waiting: tuple[Policy, Version] | None = None
        self._spare: Policy | None = None  # holds what acts no more
        self._preparing = threading.Lock()  # held while one set is made ready
        self._exchanging = threading.Lock()  # held for an instant: of what waits and what is spare
        self._since = time.perf_counter()  # the newest weights came
        self._spent = 0.0  # seconds for moving slots over, since then
        self._tokens = 0  # that were prefilled in these seconds

    @property
    def version(self) -> Version:
        """Of the weights that came last, those that wait aside."""
        return self._versions[self.newest]

    @property
    def waiting(self) -> Version | None:
        """Of weights that wait until no slot needs the ones before last."""
        return None if self._waiting is None else self._waiting[1]

    def check(self, weights: Weights, version: Version) -> None:
        """Raises ValueError when names or shapes are not this policy's."""
        own = self.models[0].state_dict()
        wrong = sorted(own.keys() ^ weights.keys())
        wrong = wrong or sorted(name for name in own if tuple(own[name].shape) != tuple(weights[name].shape))
        if wrong:
            raise ValueError(f"weights of version {tuple(version)} are not this policy's: {', '.join(wrong[:5])}")

    def offer(self, weights: Weights, version: Version) -> None:
        """Makes checked weights ready, on whichever thread asks; `admit` lets them in. They replace those that wait."""
        with self._preparing:
            model = self._free() or copy.deepcopy(self.models[0])
            self._copy(model, weights)
            self._waiting = (model, version)

    def admit(self, needed: np.ndarray) -> np.ndarray:
        """Lets waiting weights in, if no slot needs the ones before last.

        Args:
            needed: bool [slots]: whose cache is of use to somebody.

        Returns:
            bool [slots]: caches that are lost by it.
        """
        lost = np.zeros(len(self.held), dtype=bool)
        held_up = self.staged and self.share < 1.0 and (needed & (self.held != self.newest)).any()
        with self._exchanging:
            if self._waiting is None or held_up:
                return lost
            (model, version), self._waiting = self._waiting, None
        index = self.newest
        if self.staged:
            index = 1 - self.newest
            lost = self.held == index
        if index == len(self.models):
            self.models.append(model)
            self._versions.append(version)
        else:
            self._spare, self.models[index] = self.models[index], model
            self._versions[index] = version
        self.newest = index
        self.held[lost] = index
        self._since, self._spent, self._tokens = time.perf_counter(), 0.0, 0
        return lost

    def begin(self, slots: np.ndarray) -> None:
        """The caches of these slots are empty: they are made with the newest weights from now on."""
        self.held[slots] = self.newest
        self.oldest[slots] = self.version

    def outdated(self, slots: np.ndarray) -> np.ndarray:
        """bool [n]: whose cache was begun with other weights than the newest."""
        return (self.oldest[slots] != np.array(self.version)).any(axis=1)

    def affordable(self, tokens: np.ndarray) -> int:
        """How many of the slots whose contexts have so many `tokens` [n] may be moved over now, first ones first."""
        if self.share >= 1.0:
            return len(tokens)
        left = self.share * (time.perf_counter() - self._since) - self._spent
        if left <= 0 or not len(tokens):
            return 0
        if not self._tokens:
            return 1  # which shows what it costs
        seconds = np.cumsum(tokens) * (self._spent / self._tokens)
        return max(1, int((seconds <= left).sum()))

    def spent(self, seconds: float, tokens: int) -> None:
        """Notes what moving slots over has cost."""
        self._spent += seconds
        self._tokens += tokens

    def split(self, slots: np.ndarray) -> Iterator[tuple[Policy, np.ndarray]]:
        """Each set of weights with the indices of the slots [n] that it serves."""
        for index in np.unique(self.held[slots]):
            yield self.models[index], np.flatnonzero(self.held[slots] == index)

    def _free(self) -> Policy | None:
        """A set that nobody acts with: what acted before, or else what waits and is to be replaced."""
        with self._exchanging:
            model, self._spare = self._spare, None
            if model is None and self._waiting is not None:
                (model, _), self._waiting = self._waiting, None
            return model

    def _copy(self, model: Policy, weights: Weights) -> None:
        with torch.no_grad():
            for name, parameter in model.state_dict().items():
                value = weights[name]
                # Arrays that Ray shares between processes are read-only, which torch warns of: copied instead.
                parameter.copy_(torch.tensor(value) if isinstance(value, np.ndarray) else value)
        model.freeze()
