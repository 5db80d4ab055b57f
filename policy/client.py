"""Calls of the policy server: over its socket where both are on one machine, else through Ray."""

import contextlib
import select
import socket
from typing import Any, Protocol

from policy.errors import ServerError, SpaceError
from policy.slots import SlotError
from policy.socket_server import STATUS, Address, Gone, message, read
from policy.types import ActReply, ActRequest
from policy.wire import pack, unpack

KNOWN: dict[str, type[Exception]] = {each.__name__: each for each in (SlotError, SpaceError, ServerError, ValueError)}


class PolicyClient(Protocol):
    """Calls one policy server, one call at a time. For one thread."""

    def send(self, request: ActRequest) -> None:
        """Sends a request. Raises ServerError when the server is gone."""

    def receive(self, timeout: float) -> ActReply | None:
        """The reply to it; None when it is not there after so many seconds.

        Raises:
            SlotError, SpaceError, ValueError, ServerError: as `PolicyServer.act`; ServerError too when it is gone.
        """

    def close(self) -> None:
        """Ends it."""


def connect(server: Any, timeout: float) -> PolicyClient:
    """A client of a policy server.

    Args:
        server: its Ray handle.
        timeout: seconds that it may take to say where its socket is.

    Raises:
        ServerError: it did not say so in time.
    """
    import ray

    try:
        address = ray.get(server.socket_address.remote(), timeout=timeout)
    except ray.exceptions.GetTimeoutError:
        raise ServerError(f"the policy server did not say within {timeout:g} s where it can be reached") from None
    if address is not None:
        with contextlib.suppress(OSError):  # another machine's, or another network namespace's
            return SocketClient(Address(*address))
    return RayClient(server)


def received(client: PolicyClient, timeout: float) -> ActReply:
    """The reply to what was sent, for whoever cannot go on without it.

    Raises:
        ServerError: it was not there after so many seconds. And as `PolicyClient.receive`.
    """
    reply = client.receive(timeout)
    if reply is None:
        raise ServerError(f"the policy server did not answer within {timeout:g} s; it is overloaded or stuck")
    return reply


class SocketClient:
    """A `PolicyClient` over a socket.

    Raises:
        OSError: there is no such socket on this machine.
    """

    def __init__(self, address: Address):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(f"\0{address.name}")
        self._socket.sendall(address.secret)

    def send(self, request: ActRequest) -> None:
        try:
            self._socket.sendall(pack(request))
        except OSError as error:
            raise _gone() from error

    def receive(self, timeout: float) -> ActReply | None:
        if not select.select([self._socket], [], [], timeout)[0]:
            return None
        try:
            (good,) = STATUS.unpack(read(self._socket, STATUS.size))
            first, second = message(self._socket)
        except (Gone, OSError) as error:
            raise _gone() from error
        if good:
            return unpack(ActReply, first, second)
        name, text = first.decode(), second.decode()
        raise KNOWN[name](text) if name in KNOWN else ServerError(f"{name}: {text}")

    def close(self) -> None:
        self._socket.close()


class RayClient:
    """A `PolicyClient` through Ray's calls."""

    def __init__(self, server: Any):
        self._server = server
        self._pending: Any = None

    def send(self, request: ActRequest) -> None:
        self._pending = self._server.act.remote(request)

    def receive(self, timeout: float) -> ActReply | None:
        import ray

        try:
            return ray.get(self._pending, timeout=timeout)
        except ray.exceptions.GetTimeoutError:
            return None

    def close(self) -> None:
        self._pending = None


def _gone() -> ServerError:
    return ServerError("the policy server has ended")
