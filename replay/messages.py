"""What both backends say when replay does not give or take."""

from replay.errors import ReplayError
from replay.interface import TableInfo
from replay.tables import FILLED_BY


def no_table(table: str, known: list[str]) -> ReplayError:
    """The error for a table that does not exist."""
    return ReplayError(f"replay has no table '{table}'; its tables are {', '.join(sorted(known))}")


def nothing_to_sample(table: str, info: TableInfo, drawn: int, count: int, timeout: float | None) -> str:
    """Message of a sample that waited in vain on a server that is alive."""
    if info.size < info.min_size:
        return (
            f"replay table '{table}' holds {info.size} windows and gives none below {info.min_size} (min_size); "
            f"waited {timeout} s. {FILLED_BY.get(table, 'nobody known').capitalize()} should fill it: see whether they "
            f"run, or lower replay.tables.{table}.min_size"
        )
    return (
        f"replay table '{table}' gave {drawn} of {count} windows in {timeout} s: its rate limiter waits for inserts "
        f"({info.inserts} so far, {info.samples} samples). See whether {FILLED_BY.get(table, 'its writers')} still "
        f"run, or raise replay.tables.{table}.samples_per_insert"
    )


def no_room(table: str, queued: int, timeout: float | None) -> str:
    """Message of a write that waited in vain on a server that is alive."""
    return (
        f"replay table '{table}' takes no windows: {queued} have waited {timeout} s for its rate limiter. Whoever "
        f"samples it has stopped or is slower; lower replay.tables.{table}.samples_per_insert, or set it to null"
    )
