"""Running scale of advantages, per task."""

RATE = 0.01


class AdvantageScale:
    """A moving root mean square of the advantages of each task, so that one temperature suits all reward scales.

    (MARWIL, RLlib: c^2 <- c^2 + rate (mean A^2 - c^2); here per task.)
    """

    def __init__(self) -> None:
        self.square: dict[str, float] = {}
        self.weight: dict[str, float] = {}

    def update(self, task: str, squares: float, count: float, rate: float = RATE, start: float | None = None) -> None:
        """Takes in the advantages of one task.

        Args:
            squares: sum of A^2.
            count: how many there are; with 0 nothing changes.
            rate: of the moving average.
            start: c^2 before any advantage was seen; None: the average is that of what was seen, without bias.
        """
        if not count:
            return
        if task not in self.square and start is not None:
            self.square[task], self.weight[task] = start, 1.0
        self.square[task] = (1.0 - rate) * self.square.get(task, 0.0) + rate * squares / count
        self.weight[task] = (1.0 - rate) * self.weight.get(task, 0.0) + rate

    def scale(self, task: str) -> float:
        """Root mean square so far; 1 before any advantage was seen."""
        weight = self.weight.get(task, 0.0)
        return max((self.square[task] / weight) ** 0.5, 1e-6) if weight else 1.0

    def state(self) -> dict:
        return {"square": dict(self.square), "weight": dict(self.weight)}

    def restore(self, state: dict) -> None:
        self.square, self.weight = dict(state["square"]), dict(state["weight"])
