"""Token ids as named ranges (Gato, arXiv 2205.06175, section 2.1)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Half-open range of token ids [start, stop)."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, token: int) -> bool:
        return self.start <= token < self.stop


@dataclass(frozen=True)
class Vocabulary:
    """Which ids mean what.

    Gato leaves discrete values unshifted, so they share ids with text; ``PAPER`` keeps that, ``DEFAULT`` gives
    them a range of their own so that an id alone tells its kind.
    """

    name: str
    text: Range = Range(0, 32000)
    continuous: Range = Range(32000, 33024)
    discrete: Range = Range(33024, 34048)
    returns: Range = Range(34048, 34304)
    separator: int = 34304
    pad: int = 34305
    patch: int = 34306  # stands where an image patch's embedding goes; never predicted
    elements: Range = Range(34307, 35331)  # numbers of an observation that share a token; no rows of a table are theirs

    @property
    def size(self) -> int:
        """Ids that have a row in the tables."""
        return self.patch + 1


DEFAULT = Vocabulary("default")
PAPER = Vocabulary("paper", discrete=Range(0, 1024))
VOCABULARIES = {vocabulary.name: vocabulary for vocabulary in (DEFAULT, PAPER)}
