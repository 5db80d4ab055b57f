"""A line chart of one line of text."""

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """At most `width` characters from the lowest value to the highest; more values than that are averaged in groups."""
    if not values:
        return ""
    count = min(width, len(values))
    groups = [values[index * len(values) // count : (index + 1) * len(values) // count] for index in range(count)]
    means = [sum(group) / len(group) for group in groups]
    low, high = min(means), max(means)
    if high == low:
        return BLOCKS[0] * count
    return "".join(BLOCKS[round((mean - low) / (high - low) * (len(BLOCKS) - 1))] for mean in means)
