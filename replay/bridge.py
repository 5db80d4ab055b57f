"""A Unix socket in front of a TCP port: who may open the file reaches the port, whatever network either is in."""

import contextlib
import os
import socket
import threading
from pathlib import Path

AT_ONCE = 1 << 18  # bytes


def bridge(path: Path, port: int) -> None:
    """Passes every connection to the socket `path`, which only this user may open, on to the loopback's `port`.

    Works in threads of its own for as long as the process lives.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(128)
    threading.Thread(target=_accept, args=(listener, port), daemon=True).start()


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            near.close()
            continue
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """One direction of a connection; the end of either ends both."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(AT_ONCE):
            target.sendall(chunk)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        source.close()
