"""TensorBoard on run directories, on the loopback interface only: it knows no passwords."""

import contextlib
import io
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

from cluster.watching.events import without_tensorflow
from policy.errors import OcelotError

HOST = "127.0.0.1"
FIRST = "custom_scalars"  # the page that is opened: is it learning, is it healthy, where does the time go
RELOAD = 5  # seconds until new points are shown


class MonitorError(OcelotError):
    """TensorBoard cannot be shown."""


def serve(folders: Sequence[Path], port: int = 0) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Raises:
        MonitorError: when there is nothing to show, or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="ocelot-monitor-") as links:
        url = start(folders, Path(links), port)
        print(f"TensorBoard on {', '.join(map(str, folders))}: {url}#{FIRST} (Ctrl-C ends it)", flush=True)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()


def start(folders: Sequence[Path], links: Path, port: int = 0) -> str:
    """Starts TensorBoard in a thread of this process and returns its address.

    Args:
        folders: run directories, or folders of several; one given twice is shown once.
        links: an empty folder, which TensorBoard reads: it gets a link to each of `folders`, by its name.
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
    paths = list(dict.fromkeys(folder.resolve() for folder in folders))
    for name, path in zip(names(paths), paths, strict=True):
        (links / name).parent.mkdir(parents=True, exist_ok=True)
        (links / name).symlink_to(path)
    without_tensorflow()
    # TensorBoard warns that what it imports is outdated, and that it reads files the fast way.
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return _launch(links, port)


def _launch(links: Path, port: int) -> str:
    from tensorboard import program

    board = program.TensorBoard()
    arguments = ["--logdir", str(links), "--host", HOST, "--port", str(port), "--reload_interval", str(RELOAD)]
    board.configure(argv=["tensorboard", *arguments])
    try:
        return board.launch()
    except program.TensorBoardServerException as error:
        raise MonitorError(f"TensorBoard did not start: {error.msg}") from None


def names(paths: Sequence[Path]) -> list[str]:
    """What each absolute path is called: from the folder that they are all in."""
    common = os.path.commonpath([str(path.parent) for path in paths])
    return [os.path.relpath(path, common) for path in paths]
