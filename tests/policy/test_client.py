"""Calls over the socket of a policy server: the same answers and errors as its own, for who knows the secret."""

import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import ray

from cluster.local_ray import kill, local_ray, start
from policy.client import RayClient, SocketClient, connect, received
from policy.errors import ServerError, SpaceError
from policy.server import PolicyServer
from policy.slots import SlotError
from policy.socket_server import HEAD, LARGEST, Address, SocketServer, supported
from policy.types import ActReply, Version
from tests.policy.small import policy, request

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not supported(), reason="abstract Unix sockets are Linux's"),
]


def asked(**fields):
    return request(np.random.default_rng(0), "a", 4, True, **fields)


def reply(rows: int) -> ActReply:
    whole = np.arange(rows, dtype=np.int32)
    return ActReply(whole[:, None], whole[:, None].astype(np.float32), np.stack([whole, whole], 1), whole, whole)


def called(client) -> None:
    """Twice, for the first call may still go out when the other side has ended."""
    for _ in range(2):
        client.send(asked())
        client.receive(10)


@pytest.fixture
def served():
    """One whose server answers, or raises what a request's actor is called."""
    errors = {each.__name__: each for each in (SlotError, SpaceError, ServerError, ValueError, RuntimeError)}

    def act(given):
        if given.actor in errors:
            raise errors[given.actor]("no: ä\nat all")
        if given.actor == "slow":
            time.sleep(0.5)
        return reply(len(given.slots))

    served = SocketServer(act)
    yield served
    served.close()


def test_answers_and_errors_come_as_they_are(served):
    client = SocketClient(served.address)
    for rows in (1, 4):
        client.send(request(np.random.default_rng(0), "a", rows, True))
        answer = client.receive(10)
        assert answer is not None
        assert np.array_equal(answer.log_probs, reply(rows).log_probs)
    for name, kind in (
        ("SlotError", SlotError), ("SpaceError", SpaceError), ("ServerError", ServerError), ("ValueError", ValueError),
        ("RuntimeError", ServerError),
    ):  # fmt: skip
        client.send(request(np.random.default_rng(0), name, 1, True))
        with pytest.raises(kind, match="no: ä\nat all"):
            client.receive(10)
    client.send(request(np.random.default_rng(0), "slow", 1, True))
    assert client.receive(0.05) is None
    with pytest.raises(ServerError, match=r"did not answer within 0\.05 s"):
        received(client, 0.05)
    assert len(received(client, 10).tokens) == 1
    client.close()


def test_who_does_not_know_the_secret_is_not_answered(served):
    stranger = SocketClient(Address(served.address.name, bytes(32)))
    with pytest.raises(ServerError, match="the policy server has ended"):
        called(stranger)


@pytest.mark.parametrize("data", [HEAD.pack(3, 0) + b"{}]", HEAD.pack(LARGEST, 1), HEAD.pack(100, 5) + b"short"])
def test_who_sends_something_else_is_let_go_and_others_are_served(served, data):
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(f"\0{served.address.name}")
        other.sendall(served.address.secret + data)
        other.shutdown(socket.SHUT_WR)
        other.settimeout(10)
        assert other.recv(1) == b""
    client = SocketClient(served.address)
    client.send(asked())
    assert client.receive(10) is not None


def test_a_closed_server_is_not_reached():
    served = SocketServer(lambda given: reply(1))
    served.close()
    with pytest.raises(OSError, match="refused"):
        SocketClient(served.address)


def test_a_socket_is_of_its_network_namespace(served):
    code = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{served.address.name}')"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
    elsewhere = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    if "unshare" in elsewhere.stderr:
        pytest.skip("network namespaces take root here")
    assert "ConnectionRefusedError" in elsewhere.stderr


def test_a_server_in_ray_is_reached_over_its_socket_and_its_end_is_told():
    model = policy()
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with local_ray():
        fields = {"slots": 8, "dtype": "float64", "device": "cpu", "concurrency": 8}
        server = start(PolicyServer, model.config, weights, Version(1, 0), **fields)
        near, far = connect(server, 60), RayClient(server)
        assert isinstance(near, SocketClient)
        found = []
        for client in (near, far):
            client.send(asked(temperature=0.0))
            answer = client.receive(60)
            assert answer is not None
            found.append(answer)
        assert np.array_equal(found[0].tokens, found[1].tokens)
        assert np.allclose(found[0].log_probs, found[1].log_probs, atol=1e-9)
        near.send(request(np.random.default_rng(0), "late", 8, True))
        with pytest.raises(SlotError, match="actor 'late' needs 8 more slots"):
            near.receive(60)
        os.kill(ray.get(server.__ray_call__.remote(lambda _: os.getpid())), signal.SIGKILL)
        with pytest.raises(ServerError, match="the policy server has ended"):
            called(near)
        kill(server)


def test_a_server_elsewhere_is_asked_through_ray():
    class Far:
        def socket_address(self):
            return Address("ocelot-policy-of-another-machine", bytes(32))

        def act(self, given):
            return reply(len(given.slots))

    with local_ray():
        server = start(Far)
        client = connect(server, 60)
        assert isinstance(client, RayClient)
        client.send(asked())
        answer = client.receive(60)
        assert answer is not None
        assert len(answer.tokens) == 4
        client.close()
        kill(server)


def test_a_server_that_does_not_say_where_it_is_is_named():
    class Silent:
        def socket_address(self):
            time.sleep(30)

    with local_ray():
        server = start(Silent)
        with pytest.raises(ServerError, match=r"did not say within 0\.5 s where it can be reached"):
            connect(server, 0.5)
        kill(server)
