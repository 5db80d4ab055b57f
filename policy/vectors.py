"""The numbers of an observation as one token: where they stand.

Gato gives each number a token of its own. Here numbers that follow each other share one, as in Jack of All Trades
(arXiv 2402.09844, section 3.2): a timestep of `control/cartpole-swingup` then takes 3 places of the context, not 7, one
of `metaworld/reach-v3` 6, not 44. Records still hold each number, as an id of its own range, so what they mean does not
depend on it.
"""

import numpy as np

from policy.vocabulary import DEFAULT

ELEMENTS = 512  # numbers in one vector, at most
VECTOR = DEFAULT.elements.start
"""What stands where a vector's embedding goes, once its numbers were taken out."""


def places(tokens: np.ndarray) -> int:
    """How many places of a context these tokens [S] of one timestep take."""
    element = _elements(tokens)
    return len(tokens) - int((element[:-1] & element[1:]).sum())


def merge(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Takes the numbers out of the tokens of n like timesteps, or of parts of them.

    Args:
        tokens: integers [n, S].

    Returns:
        tokens [n, P], VECTOR in the place of each run of numbers; and the runs' bins, int16 [n, V, E], -1 past the end
        of those that are shorter. V is 0 where there are no numbers.
    """
    element = _elements(tokens[:1]).any(axis=0)  # all rows are like the first
    if not element.any():
        return tokens, np.zeros((len(tokens), 0, 0), dtype=np.int16)
    edges = np.flatnonzero(np.diff(element, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    kept = ~element
    kept[starts] = True
    bins = np.full((len(tokens), len(starts), int((stops - starts).max())), -1, dtype=np.int16)
    for run, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        bins[:, run, : stop - start] = tokens[:, start:stop] - DEFAULT.elements.start
    merged = tokens[:, kept]
    merged[:, element[kept]] = VECTOR
    return merged, bins


def _elements(tokens: np.ndarray) -> np.ndarray:
    """Which of these tokens are a vector's numbers: bool, same shape."""
    return (tokens >= DEFAULT.elements.start) & (tokens < DEFAULT.elements.stop)
