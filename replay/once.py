"""Calls that are made again because their answer was lost, and must not be done again."""

from collections import OrderedDict
from collections.abc import Callable

Call = tuple[int, int]
"""Who calls (a number drawn by the caller), and the number of its call, the same when it is made again."""
CALLERS = 10_000  # whose last answers are remembered


class Once:
    """Remembers the answer to every caller's last call. Not thread-safe."""

    def __init__(self) -> None:
        self._answers: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def __call__(self, call: Call, do: Callable[[], int]) -> int:
        """`do()`, or what it gave when this call was made before."""
        caller, number = call
        known = self._answers.get(caller)
        if known is not None and known[0] == number:
            return known[1]
        answer = do()
        self._answers[caller] = (number, answer)
        self._answers.move_to_end(caller)
        if len(self._answers) > CALLERS:
            self._answers.popitem(last=False)
        return answer
