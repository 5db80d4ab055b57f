"""Early stopping: the weights with the least held-out loss are kept, and pretraining ends when none better come."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from learner.learner import Learner
from learner.shards import load
from policy.model import Policy

WEIGHTS, NOTE = "best.safetensors", "best.json"


class EarlyStopping:
    """The best weights of a run so far, as files of its directory.

    They are written in the background, from a copy, while updates go on. A run that resumes may find them from an
    update that it has yet to reach again: it will find the same there.

    Args:
        folder: of the run.
        patience: updates without a lower held-out loss after which to stop.
    """

    def __init__(self, folder: Path, patience: int):
        self._folder = folder
        self._patience = patience
        self._writer = ThreadPoolExecutor(1, "best-weights")
        self._writing: Future[None] | None = None
        self.update, self.loss = 0, float("inf")
        if (folder / NOTE).exists():
            note = json.loads((folder / NOTE).read_text())
            self.update, self.loss = note["update"], note["loss"]

    def stop(self, update: int, loss: float, published: Policy) -> bool:
        """Takes in the held-out loss of the weights at an update; whether it is time to stop.

        Raises:
            OSError: the weights before could not be written.
        """
        if loss < self.loss:
            self.settle()  # one copy at a time
            tensors = {
                name: value.detach().cpu().contiguous().clone() for name, value in published.state_dict().items()
            }
            self._writing = self._writer.submit(self._write, tensors, {"update": update, "loss": loss})
            self.update, self.loss = update, loss
        return update - self.update >= self._patience

    def settle(self) -> None:
        """Waits until the best weights so far are on disk. A checkpoint that says it is whole counts on them."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, tensors: dict[str, torch.Tensor], note: dict[str, float]) -> None:
        from safetensors.torch import save_file

        new = self._folder / f".{WEIGHTS}"
        save_file(tensors, new)
        new.replace(self._folder / WEIGHTS)
        (self._folder / NOTE).write_text(json.dumps(note) + "\n")

    def finish(self, learner: Learner, updates: int) -> None:
        """Puts the best weights into the learner, whose run is over: it counts as if it had done all its updates."""
        from safetensors.torch import load_file

        self.settle()
        if (self._folder / WEIGHTS).exists():
            best = load_file(self._folder / WEIGHTS)
            for network in (learner.policy, learner.average):
                load(network, best)
        learner.updates = updates
