"""Several Reverb servers as one store, seen from their parent, which need not import Reverb."""

import shutil
from dataclasses import replace
from pathlib import Path

from replay.checkpoints import keep, put_back
from replay.errors import ReplayError
from replay.reverb_process import KEPT, ReverbProcess, kept_checkpoints
from replay.shards import SEPARATOR
from replay.tables import TableConfig


class ReverbShards:
    """Starts and stops the servers' processes. Not thread-safe.

    Args:
        count: of servers.
        port: of the first, the others' following; 0 takes free ones.
        tables: settings by table, of all servers together.
        directory: holds a folder for each server, and the last checkpoint of all, which is restored.
        sealed: as in `ReverbProcess`.
    """

    def __init__(
        self, count: int, port: int, tables: dict[str, TableConfig], directory: Path, sealed: bool | None = None
    ):
        self._directory = directory
        self._folders = [directory / f"shard{number}" for number in range(count)]
        self._shards = [
            ReverbProcess(
                port and port + number,
                {name: _part(table, number, count) for name, table in tables.items()},
                folder,
                sealed,
            )
            for number, folder in enumerate(self._folders)
        ]
        self.address = "reverb://" + SEPARATOR.join(each.address.removeprefix("reverb://") for each in self._shards)

    @property
    def pids(self) -> list[int | None]:
        return [each.pid for each in self._shards]

    @property
    def open_ports(self) -> list[int]:
        """Ports that they have open on every interface; none when they are sealed off."""
        return [port for each in self._shards for port in each.open_ports]

    def start(self) -> None:
        """Starts all, each with its part of the last checkpoint. Raises ReplayError as `ReverbProcess.start`."""
        kept = kept_checkpoints(self._directory)
        try:
            for shard, folder in zip(self._shards, self._folders, strict=True):
                if kept:
                    put_back(kept[-1] / folder.name, folder)
                shard.start()
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Starts those that are dead from their last checkpoint; the others go on."""
        for each in self._shards:
            if not each.alive():
                each.restart()

    def alive(self) -> bool:
        """Whether all run and answer."""
        return all([each.alive() for each in self._shards])

    def checkpoint(self) -> str:
        """Writes a checkpoint of all and returns its path. Raises ReplayError when one of them cannot."""
        before = kept_checkpoints(self._directory)
        name = str(int(before[-1].name) + 1 if before else 0)
        unfinished = self._directory / KEPT / f"unfinished-{name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            for shard, folder in zip(self._shards, self._folders, strict=True):
                keep(Path(shard.checkpoint()), unfinished / folder.name)
        except OSError as error:
            raise ReplayError(f"no checkpoint of the replay servers: {error}") from error
        kept = unfinished.rename(self._directory / KEPT / name)
        for old in before:
            shutil.rmtree(old, ignore_errors=True)
        return str(kept)

    def stop(self) -> None:
        """Ends all, if need be by force."""
        for each in self._shards:
            each.stop()


def _part(table: TableConfig, number: int, count: int) -> TableConfig:
    """What server `number` of `count` holds of a table: together they are the table, if it is not smaller than they."""
    most, least = (max(1, (size + count - 1 - number) // count) for size in (table.max_size, table.min_size))
    return replace(table, max_size=most, min_size=least, error_buffer=table.error_buffer / count)
