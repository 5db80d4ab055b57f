"""TensorBoard on run directories, on the loopback interface only: it knows no passwords."""

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from cluster.watching.events import without_tensorflow
from policy.errors import OcelotError

HOST = "127.0.0.1"


class MonitorError(OcelotError):
    """TensorBoard cannot be shown."""


def serve(folders: Sequence[Path], port: int = 0) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Raises:
        MonitorError: when there is nothing to show, or the port is taken.
    """
    url = start(folders, port)
    print(f"TensorBoard on {', '.join(map(str, folders))}: {url} (Ctrl-C ends it)", flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def start(folders: Sequence[Path], port: int = 0) -> str:
    """Starts TensorBoard in a thread of this process and returns its address.

    Args:
        folders: run directories, or folders of several; each keeps its own name.
        port: 0 takes a free one.

    Raises:
        MonitorError: as `serve`.
    """
    for folder in folders:
        if not folder.is_dir():
            raise MonitorError(f"{folder} is no folder; give a run directory, such as runs/NAME")
        if not any(folder.rglob("events.out.tfevents.*")):
            raise MonitorError(
                f"{folder} holds no TensorBoard events (yet); give the directory of a run that has begun"
            )
    without_tensorflow()
    from tensorboard import program

    board = program.TensorBoard()
    board.configure(
        argv=["tensorboard", "--host", HOST, "--port", str(port), "--reload_interval", "5", *_logs(folders)]
    )
    try:
        return board.launch()
    except program.TensorBoardServerException as error:
        raise MonitorError(f"TensorBoard did not start: {error.msg}") from None


def _logs(folders: Sequence[Path]) -> list[str]:
    """TensorBoard's arguments that name one folder or several."""
    if len(folders) == 1:
        return ["--logdir", str(folders[0])]
    named = {name: folder.resolve() for name, folder in zip(names(folders), folders, strict=True)}
    for folder in named.values():
        if "," in str(folder) or ":" in str(folder):
            raise MonitorError(f"{folder}: TensorBoard cannot show several folders when a path has a comma or colon")
    return ["--logdir_spec", ",".join(f"{name}:{folder}" for name, folder in named.items())]


def names(folders: Sequence[Path]) -> list[str]:
    """A short name for each folder: what tells it from the others, from the end of its path."""
    paths = [folder.resolve() for folder in folders]
    common = len(Path(os.path.commonpath([str(path) for path in paths])).parts)
    return [str(Path(*path.parts[common:])) if len(path.parts) > common else path.name for path in dict.fromkeys(paths)]
