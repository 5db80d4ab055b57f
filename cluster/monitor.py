"""TensorBoard on run directories, on the loopback interface only: it knows no passwords."""

import signal
import sys
import threading
import types
from pathlib import Path

from policy.errors import OcelotError


class MonitorError(OcelotError):
    """TensorBoard cannot be shown."""


def serve(folder: Path, port: int = 0) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Raises:
        MonitorError: when there is nothing to show, or the port is taken.
    """
    url = start(folder, port)
    print(f"TensorBoard on {folder}: {url} (Ctrl-C ends it)", flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def start(folder: Path, port: int = 0) -> str:
    """Starts TensorBoard in a thread of this process and returns its address.

    Raises:
        MonitorError: as `serve`.
    """
    if not folder.is_dir():
        raise MonitorError(f"{folder} is no folder; give a run directory, such as runs/NAME")
    if not any(folder.rglob("events.out.tfevents.*")):
        raise MonitorError(f"{folder} holds no TensorBoard events (yet); give the directory of a run that has begun")
    # TensorBoard looks for this module to learn that it has to do without TensorFlow, which costs 0.45 GB.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    from tensorboard import program

    board = program.TensorBoard()
    board.configure(argv=["tensorboard", "--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port)])
    try:
        return board.launch()
    except program.TensorBoardServerException as error:
        raise MonitorError(f"TensorBoard did not start: {error.msg}") from None
