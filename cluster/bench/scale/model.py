"""What loads that were measured say of larger ones.

The policy server is a queue with batches: b environments in a batch take a + c b seconds, a batch starts with whoever
waits, and N actors that step one half of their environments while the other waits ask anew when they are answered (a
closed queue: Lazowska et al., Quantitative System Performance, 1984). Everything else costs processor time in
proportion to what it does (the utilisation law, ibid.), and is full when its core is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.bench.scale.points import Point

WINDOW = 0.005  # seconds that the server collects a batch, at most
THIRD = 3.0  # a batch starts when one of so many environments waits
HALVINGS = 200


@dataclass(frozen=True)
class ServerModel:
    """The policy server under actors of some number of environments each."""

    batch: float
    """Seconds of a batch, whatever is in it."""
    row: float
    """Seconds of each environment in it."""
    call: float
    """Seconds that an answer takes beyond waiting for its batch and the batch itself."""
    environments: int
    """Of an actor."""

    @property
    def steps_per_second(self) -> float:
        """Environment steps that it makes at most, however many wait."""
        return 1.0 / self.row

    @classmethod
    def fit(cls, points: Sequence[Point]) -> "ServerModel":
        """From at least two loads."""
        rows = np.array([point.batch_rows for point in points])
        seconds = np.array([point.busy / point.batches_per_second for point in points])
        # Rows of a batch differ by powers of two: without weights, the largest load would be all that counts.
        row, batch = np.polyfit(rows, seconds, 1, w=1.0 / seconds)
        if batch < 0.0 or row <= 0.0:
            batch, row = 0.0, float(np.mean(seconds / rows))
        model = cls(float(batch), float(row), 0.0, points[0].environments)
        beyond = [point.call_ms / 1000.0 - model._answer(point.steps_per_second, point.actors) for point in points]
        return cls(model.batch, model.row, max(0.0, float(np.median(beyond))), model.environments)

    def predict(self, actors: int, step: float) -> tuple[float, float]:
        """Environment steps a second and seconds of a call under so many actors, a step taking `step` seconds."""
        low, high = 0.0, self.steps_per_second
        for _ in range(HALVINGS):
            rate = (low + high) / 2
            if self._asked(actors, step, self.call + self._answer(rate, actors)) > rate:
                low = rate
            else:
                high = rate
        answer = self.call + self._answer(low, actors)
        if high == self.steps_per_second:  # full: the wait follows from how many ask (Little's law)
            half = self.environments / 2
            answer = max(answer, 2.0 * actors * half / low - half * step)
        return low, answer

    def _asked(self, actors: int, step: float, answer: float) -> float:
        """Environment steps a second that actors ask for who wait so long for an answer.

        One half steps while the other waits: a short wait is hidden, a long one is shared by the halves.
        """
        half = self.environments / 2
        stepping = half * step
        return actors * half * min(1.0 / stepping, 2.0 / (stepping + answer))

    def _answer(self, rate: float, actors: int) -> float:
        """Seconds from a call's arrival to the end of its batch, at so many environment steps a second."""
        everyone = actors * self.environments
        collecting = min(WINDOW, everyone / THIRD / max(rate, 1e-9))
        free = 1.0 - rate * self.row
        # While one batch runs, the next collects: it holds what arrives meanwhile, but never more than there is.
        running = everyone * self.row + self.batch if free <= 0.0 else self.batch / free
        serving = min(max(running, self.batch + self.row * rate * collecting), self.batch + self.row * everyone)
        return max(collecting, serving) / 2 + serving


def cost(points: Sequence[Point], process: str, unit: str) -> float:
    """Processor seconds of a process for one unit (a field of Point, a second), over all loads.

    What it takes without any work is not told apart: loads are compared where it matters little.
    """
    done = sum(getattr(point, unit) for point in points)
    return sum(point.cores.get(process, 0.0) for point in points) / done if done else 0.0
