"""Running scale of advantages, per task."""

import torch

RATE = 0.01


class AdvantageScale:
    """A moving root mean square of the advantages of each task, so that one temperature suits all reward scales.

    (MARWIL, RLlib: c^2 <- c^2 + rate (mean A^2 - c^2); here per task.)
    """

    def __init__(self) -> None:
        self.square: dict[str, float] = {}
        self.weight: dict[str, float] = {}

    def update(self, task: str, advantages: torch.Tensor, rate: float = RATE, start: float | None = None) -> float:
        """Takes in advantages [S] of one task (detached) and returns the scale, above 0.

        Args:
            rate: of the moving average.
            start: c^2 before any advantage was seen; None: the average is that of what was seen, without bias.
        """
        if task not in self.square and start is not None:
            self.square[task], self.weight[task] = start, 1.0
        if advantages.numel():
            mean = float((advantages.double() ** 2).mean())
            self.square[task] = (1.0 - rate) * self.square.get(task, 0.0) + rate * mean
            self.weight[task] = (1.0 - rate) * self.weight.get(task, 0.0) + rate
        return self.scale(task)

    def scale(self, task: str) -> float:
        """Root mean square so far; 1 before any advantage was seen."""
        weight = self.weight.get(task, 0.0)
        return max((self.square[task] / weight) ** 0.5, 1e-6) if weight else 1.0

    def state(self) -> dict:
        return {"square": self.square, "weight": self.weight}

    def restore(self, state: dict) -> None:
        self.square, self.weight = dict(state["square"]), dict(state["weight"])
