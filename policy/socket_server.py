"""The policy server on a socket, for processes of its machine: a call of Ray's costs ten times as much.

An abstract Unix socket: it has no file, nothing outside this machine and its network namespace can open it, and it goes
with the process. Who connects has to say a secret first, which the server tells over Ray's authenticated calls.
"""

import contextlib
import hmac
import logging
import secrets
import socket
import struct
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

from policy.errors import OcelotError
from policy.types import ActReply, ActRequest
from policy.wire import HEAD, WireError, pack, unpack

LOG = logging.getLogger("ocelot")
SECRET = 32  # bytes
STATUS = struct.Struct("<?")  # whether a reply follows, or an error
LARGEST = 1 << 30  # bytes of a message


class Address(NamedTuple):
    """Where a socket is, and what a connection has to begin with."""

    name: str
    """Of the socket, in the abstract namespace."""
    secret: bytes


class Gone(OcelotError):
    """The other side has ended."""


class SocketServer:
    """Answers calls that come over a socket, each connection in a thread of its own, one call at a time.

    Args:
        act: answers a request, or raises.
    """

    def __init__(self, act: Callable[[ActRequest], ActReply]):
        self._act = act
        self.address = Address(f"ocelot-policy-{secrets.token_hex(16)}", secrets.token_bytes(SECRET))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"\0{self.address.name}")
        self._listener.listen(128)
        threading.Thread(target=self._accept, name="policy-socket", daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._answer, args=(connection,), name="policy-call", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(Gone, OSError):
            if not hmac.compare_digest(read(connection, SECRET), self.address.secret):
                return
            while True:
                try:
                    request = unpack(ActRequest, *message(connection))
                except WireError as error:
                    LOG.warning("a process of this machine sent the policy server something else: %s", error)
                    return
                try:
                    answer = STATUS.pack(True) + pack(self._act(request))
                except Exception as error:
                    answer = STATUS.pack(False) + failure(error)
                connection.sendall(answer)


def supported() -> bool:
    """Whether this system has abstract sockets."""
    return sys.platform == "linux"


def failure(error: Exception) -> bytes:
    """An error as bytes: its class's name and its text."""
    name, text = type(error).__name__.encode(), str(error).encode()
    return HEAD.pack(len(name), len(text)) + name + text


def message(connection: socket.socket) -> tuple[bytearray, bytearray]:
    """The two parts behind a `HEAD`.

    Raises:
        Gone: the other side has ended.
        WireError: it is longer than any message.
    """
    first, second = HEAD.unpack(read(connection, HEAD.size))
    if first + second > LARGEST:
        raise WireError(f"a message of {first + second} bytes")
    return read(connection, first), read(connection, second)


def read(connection: socket.socket, count: int) -> bytearray:
    """So many bytes. Raises Gone when the other side has ended before."""
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = connection.recv_into(view)
        if not got:
            raise Gone("the connection has ended")
        view = view[got:]
    return data
