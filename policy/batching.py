"""When the policy server's next batch should start."""

PATIENCE = 0.3  # of the time that the last batch took: about what a second batch for those who come late would cost
PROBE = 16  # of so many batches one waits as long as it may, to see who comes


class Batching:
    """Waits for enough rows, and then a moment more for those that are about to come.

    Two batches of half the rows take longer than one of all. Actors whose simulators are fast come back within a
    moment, and waiting for them pays; those whose simulators are slow, or that are frozen, do not and are not waited
    for. How many come is seen in every 16th batch.

    Args:
        window: seconds that rows wait for a third of all, from when the first of them came and no batch runs.
    """

    def __init__(self, window: float):
        self._window = window
        self._began = self._ended = self._lasted = 0.0  # the last batch
        self._come = 1.0  # share of the missing rows that come in time
        self._batches = 0
        self._since: float | None = None  # there are enough rows for a batch
        self._there = self._missing = 0  # rows then

    def left(self, now: float, rows: int, known: int, oldest: float) -> float:
        """Seconds to wait for more rows; 0 or less: the batch should start.

        Args:
            now: seconds of a clock.
            rows: that wait, at least one.
            known: rows that may come, those included.
            oldest: when the first of them came.
        """
        if rows >= known:
            return 0.0
        if 3 * rows < known:
            return max(oldest, self._ended) + self._window - now
        if self._since is None:
            self._since, self._there, self._missing = now, rows, known - rows
        if not self._probing and rows >= self._there + int(self._come * self._missing):
            return 0.0
        return self._since + PATIENCE * self._lasted - now

    def start(self, now: float, rows: int) -> None:
        """A batch of so many rows starts."""
        if self._since is not None and self._probing:
            self._come = min(1.0, (rows - self._there) / self._missing)
        self._since, self._began = None, now
        self._batches += 1

    def end(self, now: float) -> None:
        """It has ended."""
        self._ended, self._lasted = now, now - self._began

    @property
    def _probing(self) -> bool:
        return self._batches % PROBE == 0
