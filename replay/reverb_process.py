"""The Reverb server as a child process on a fixed port, seen from its parent, which need not import Reverb."""

import contextlib
import json
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from replay.errors import ReplayError
from replay.seal import can_seal
from replay.tables import TableConfig

START = 120.0  # seconds in which the process must be up, its checkpoint loaded
ANSWER = 15.0  # seconds in which it must answer that it is alive
CHECKPOINT_SECONDS = 300.0  # that writing may take
SEALED_PORT = 50_000  # in a network of its own every port is free
KEPT = "kept"  # folder of the last checkpoint


class ReverbProcess:
    """Starts and stops the server process. Not thread-safe.

    Args:
        port: 0 takes a free one, the same at every start.
        tables: settings by table.
        directory: holds the log and the last checkpoint, which is restored.
        sealed: keep the server off every network; it is then reached from this machine alone, by this user, through a
            Unix socket. None: where the machine allows it.
    """

    def __init__(self, port: int, tables: dict[str, TableConfig], directory: Path, sealed: bool | None = None):
        self._socket_folder: tempfile.TemporaryDirectory[str] | None = None
        socket_path: str | None = None
        if can_seal() if sealed is None else sealed:
            # Not in the run's directory: a socket's path must be shorter than 108 bytes.
            self._socket_folder = tempfile.TemporaryDirectory(prefix="ocelot-replay-")
            socket_path = f"{self._socket_folder.name}/socket"
            self.port = SEALED_PORT
            self.address = f"reverb://unix:{socket_path}"
        else:
            self.port = port or _free_port()
            self.address = f"reverb://{_own_address()}:{self.port}"
        self.log = directory / "replay.log"
        self._directory = directory
        self._written = directory / "checkpoints"
        self._settings: dict[str, Any] = {
            "port": self.port,
            "socket": socket_path,
            "directory": str(self._written),
            "tables": {name: asdict(table) for name, table in tables.items()},
        }
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def open_ports(self) -> list[int]:
        """The port that it has open on every interface; none when it is sealed off."""
        return [self.port] if self._socket_folder is None else []

    def start(self) -> None:
        """Starts the process and waits until it serves.

        Raises:
            ReplayError: when the port is taken, or the process ends or stays silent; with the end of its log.
        """
        for port in self.open_ports:
            _check_free(port)
        self._directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._written, ignore_errors=True)  # cut off half-way, or it would be among the kept ones
        kept = kept_checkpoints(self._directory)
        self._settings["restore"] = str(kept[-1]) if kept else None
        with open(self.log, "a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "replay.reverb_main", json.dumps(self._settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
                cwd=Path(__file__).parents[1],
                start_new_session=True,  # Ctrl-C is for the parent, which stops its child in order
            )
        self._answers = queue.Queue()
        threading.Thread(target=_pass_on, args=(self._process, self._answers), daemon=True).start()
        try:
            self._answer(START)
        except ReplayError as error:
            self.stop()
            raise ReplayError(
                f"the replay server did not start on port {self.port}: {error}. If its log ({self.log}) speaks of the "
                f"checkpoint, move {self._directory / KEPT} away to start with an empty store. {self._log_end()}"
            ) from None

    def restart(self) -> None:
        """Ends what is left of it, and starts it from its last checkpoint. Raises as `start`."""
        self.stop()
        self.start()

    def alive(self) -> bool:
        """Whether the process runs and answers."""
        try:
            self._ask("alive", ANSWER)
        except ReplayError:
            return False
        return True

    def checkpoint(self) -> str:
        """Writes a checkpoint and returns its path. Raises ReplayError when the server cannot."""
        written = Path(self._ask("checkpoint", CHECKPOINT_SECONDS))
        # Reverb names checkpoints by the wall clock, restores the last by name and deletes the first: after the clock
        # was set back, the wrong ones. So they are numbered here.
        before = kept_checkpoints(self._directory)
        kept = self._directory / KEPT / str(int(before[-1].name) + 1 if before else 0)
        kept.parent.mkdir(exist_ok=True)
        written.replace(kept)
        for old in before:
            shutil.rmtree(old, ignore_errors=True)
        return str(kept)

    def stop(self) -> None:
        """Ends the process, if need be by force."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it is dead already
                process.stdin.close()
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ask(self, request: str, timeout: float) -> str:
        if self._process is None or self._process.stdin is None:
            raise ReplayError("the replay server is not running")
        try:
            self._process.stdin.write(request + "\n")
        except OSError:
            raise ReplayError(f"the replay server has ended. {self._log_end()}") from None
        word, _, rest = self._answer(timeout).partition(" ")
        if word != "ok":
            raise ReplayError(f"the replay server could not do '{request}': {rest}; see {self.log}")
        return rest

    def _answer(self, timeout: float) -> str:
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise ReplayError(f"it gave no answer in {timeout:.0f} s") from None
        if not line:
            assert self._process is not None
            raise ReplayError(f"its process ended with status {self._process.wait()}")
        return line.strip()

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "The end of its log: " + " | ".join(lines[-5:]) if lines else "Its log is empty"


def kept_checkpoints(directory: Path) -> list[Path]:
    """Checkpoints of a server's directory, the newest last."""
    return sorted(
        (each for each in (directory / KEPT).glob("*") if each.name.isdigit()), key=lambda each: int(each.name)
    )


def _pass_on(process: subprocess.Popen[str], answers: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answers.put(line)
    answers.put("")  # the process is gone


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _own_address() -> str:
    """The address under which other machines reach this one; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))
            return probe.getsockname()[0]
        except OSError:  # no network at all
            return "127.0.0.1"


def _check_free(port: int) -> None:
    # Reverb shares a port with another Reverb without a word, and each client then meets one of the two.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise ReplayError(
                f"port {port} for the replay server cannot be had ({error.strerror}); stop what holds it (`ss -ltnp "
                f"sport = :{port}` names it), or set replay.port to another, or to 0 for any free one"
            ) from None
