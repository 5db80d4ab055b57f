"""What a Minari dataset holds, read once from front to back without its observations becoming tokens."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from replay.demonstrations import DAMAGE, damaged, open_dataset


@dataclass(frozen=True)
class Summary:
    """Of one local dataset."""

    dataset_id: str
    metadata: dict[str, Any]
    """As Minari keeps it: task, quality, expert, seed, versions, filter, ... where its maker wrote them."""
    returns: np.ndarray
    """Undiscounted, float64 [episodes]."""
    lengths: np.ndarray
    """Steps, int64 [episodes]."""
    terminated: int
    """Episodes that the task ended, not a limit."""

    @property
    def task(self) -> str | None:
        """The task that it was recorded on, where it says so."""
        task = self.metadata.get("task")
        return None if task is None else str(task)


def summarise(dataset_id: str) -> Summary:
    """Reads the rewards of every episode.

    Raises:
        DatasetError: no such dataset, or a damaged one.
    """
    dataset = open_dataset(dataset_id)
    returns, lengths, terminated = [], [], 0
    try:
        for episode in dataset.iterate_episodes():
            returns.append(float(np.sum(episode.rewards, dtype=np.float64)))
            lengths.append(len(episode.rewards))
            terminated += bool(episode.terminations[-1])
    except DAMAGE as error:
        raise damaged(dataset_id, dataset, error) from error
    return Summary(dataset_id, dict(dataset.storage.metadata), np.array(returns), np.array(lengths), terminated)
