"""The policy server in this process, and as the Ray actor that it is made for."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from policy.errors import ServerError
from policy.networks import Networks
from policy.server import PolicyServer
from policy.slots import SlotError
from policy.types import Version
from tests.policy.small import policy, request

MODEL = policy()
WEIGHTS = {name: tensor.numpy() for name, tensor in MODEL.state_dict().items()}
FIRST = Version(1, 0)


def serve(**fields) -> PolicyServer:
    return PolicyServer(MODEL.config, WEIGHTS, FIRST, **{"slots": 12, "dtype": "float64", "device": "cpu", **fields})


def version_of(reply) -> Version:
    """Of all rows."""
    assert (reply.versions == reply.versions[0]).all()
    return Version(*reply.versions[0].tolist())


def together(call: Callable[[Any], Any], each: Any) -> list[Any]:
    """Results of calls at the same time, as Ray makes them."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(call, each))


def raised(call: Callable[[], Any]) -> Any:
    """What a call returns or raises."""
    try:
        return call()
    except Exception as error:
        return error


@pytest.fixture
def server():
    served = serve(rebuild_share=1.0)
    yield served
    served.close()


def asks(actor: str, reset: bool = False, **fields):
    return request(np.random.default_rng(0), actor, 4, reset, **fields)


def test_every_actor_gets_its_own_reply(server):
    def run():
        return together(lambda name: server.act(asks(name, True)), "abc"), server.stats()

    replies, stats = run()
    assert [reply.tokens.shape for reply in replies] == [(4, 1)] * 3
    assert all(version_of(reply) == FIRST for reply in replies)
    assert stats["rows"] == stats["active_slots"] == 12
    assert stats["failures"] == 0


def test_a_batch_starts_with_a_third_of_the_known_slots_and_not_before_the_window():
    def run(server):
        for name in "abc":
            server.act(asks(name, True))
        before = time.perf_counter()
        server.act(asks("a"))  # 4 of 12 slots: a third
        third = time.perf_counter() - before
        before = time.perf_counter()
        server.act(request(np.random.default_rng(0), "a", 2))  # 2 of 12: waits for the window
        less = time.perf_counter() - before
        batches = (server.stats())["batches"]
        together(lambda name: server.act(request(np.random.default_rng(0), name, 2)), "ab")
        return third, less, (server.stats())["batches"] - batches

    server = serve(window_ms=400.0)
    third, less, shared = run(server)
    server.close()
    assert shared == 1
    assert third < 0.3
    assert 0.38 < less < 1.5


def test_a_dead_actor_delays_nobody(server):
    def run():
        together(lambda name: server.act(asks(name, True)), ("dead", "alive"))
        before = time.perf_counter()
        for _ in range(10):
            server.act(asks("alive"))
        return (time.perf_counter() - before) / 10, server.stats()

    seconds, stats = run()
    assert seconds < 0.3
    assert stats["queue_wait_max_ms"] < 1000


def test_a_missed_deadline_names_the_actor_and_the_time(monkeypatch):
    server = serve(deadline=0.2)
    act = server._engine.act
    monkeypatch.setattr(server._engine, "act", lambda *args: time.sleep(0.6) or act(*args))
    with pytest.raises(ServerError, match=r"actor 'slow': no actions within 0\.2 s \(asked at \d\d:\d\d:\d\d"):
        server.act(asks("slow", True))
    server.close()


def test_a_failure_of_the_engine_reaches_its_callers_and_the_thread_lives_on(server, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(server._engine.networks.models[-1], "extend", lambda *args: 1 / 0)
        with pytest.raises(ServerError, match=r"batch of a:\n(.|\n)*Traceback(.|\n)*ZeroDivisionError"):
            server.act(asks("a", True))
    assert server.act(asks("a", True)).tokens.shape == (4, 1)
    assert server.stats()["failures"] == 1


def test_a_bad_request_fails_alone(server):
    def run():
        requests = asks("good", True), asks("unknown"), asks("wrong", True, temperature=-1.0)
        return together(lambda asked: raised(lambda: server.act(asked)), requests)

    good, unknown, wrong = run()
    assert good.tokens.shape == (4, 1)
    assert isinstance(unknown, SlotError)
    assert isinstance(wrong, ValueError)


def test_asking_twice_for_the_same_slots_is_refused(server):
    def run():
        server.act(asks("a", True))
        server.act(asks("b", True))
        server.act(asks("c", True))
        return together(lambda asked: raised(lambda: server.act(asked)), [half, half])

    server._window = 0.3
    half = request(np.random.default_rng(0), "a", 1)
    first, second = sorted(run(), key=lambda result: isinstance(result, Exception))
    assert first.tokens.shape == (1, 1)
    assert "asks twice" in str(second)


def test_versions_only_go_forward(server):
    def run():
        server.publish(Version(1, 5), WEIGHTS)
        assert version_of(server.act(asks("a", True))) == Version(1, 5)
        server.publish(Version(1, 5), WEIGHTS)
        server.publish(Version(2, 0), WEIGHTS)
        for older in (Version(1, 9), Version(1, 5)):
            with pytest.raises(ServerError, match="is older than"):
                server.publish(older, WEIGHTS)
        return version_of(server.act(asks("a")))

    assert run() == Version(2, 0)


def test_acting_goes_on_while_new_weights_are_made_ready(server, monkeypatch):
    copying, go_on = threading.Event(), threading.Event()
    copy = Networks._copy

    def slowly(*arguments):
        copying.set()
        assert go_on.wait(20)
        copy(*arguments)

    monkeypatch.setattr(Networks, "_copy", slowly)
    with ThreadPoolExecutor() as pool:
        published = pool.submit(server.publish, Version(1, 1), WEIGHTS)
        assert copying.wait(20)
        assert [version_of(server.act(asks("a", True))) for _ in range(3)] == [FIRST] * 3
        go_on.set()
        published.result(20)
    assert version_of(server.act(asks("a"))) == Version(1, 1)


def test_weights_of_another_policy_are_refused_and_the_old_ones_serve_on(server):
    def run():
        with pytest.raises(ServerError, match=r"\(1, 1\) are not this policy's: q.bias"):
            server.publish(Version(1, 1), {**WEIGHTS, "q.bias": np.zeros(1)})
        assert version_of(server.act(asks("a", True))) == FIRST
        server.publish(Version(1, 1), WEIGHTS)
        return version_of(server.act(asks("a")))

    assert run() == Version(1, 1)


def test_a_pinned_version_stays_until_it_is_unpinned(server):
    def run():
        with pytest.raises(ServerError, match=r"version \(1, 3\) cannot be pinned: \(1, 0\) is being served"):
            server.pin(Version(1, 3))
        server.pin(FIRST)
        for update in (1, 2):
            server.publish(Version(1, update), WEIGHTS)
            assert version_of(server.act(asks("a", True))) == FIRST
        with pytest.raises(ServerError, match="is older than"):
            server.publish(Version(1, 1), WEIGHTS)
        stats = server.stats()
        assert (stats["version"], stats["newest_version"], stats["pinned"]) == ((1, 0), (1, 2), True)
        server.pin(None)
        return version_of(server.act(asks("a")))

    assert run() == Version(1, 2)


def test_new_weights_act_and_rebuild(server):
    def run():
        server.act(asks("a", True, temperature=0.0))
        server.publish(Version(1, 1), {name: value * 1.5 for name, value in WEIGHTS.items()})
        server.act(asks("a"))
        return server.stats()

    assert run()["rebuilds"] == 4


@pytest.fixture(scope="module")
def cluster():
    import ray

    started = not ray.is_initialized()  # in a run of all tests, those of whole runs have started one already
    if started:
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield ray
    if started:
        ray.shutdown()


def test_it_serves_as_a_ray_actor(cluster):
    ray = cluster
    role = ray.remote(PolicyServer).options(max_concurrency=64, num_cpus=0)
    server = role.remote(
        MODEL.config, ray.put(WEIGHTS), FIRST, slots=12, dtype="float32", device="cpu", deadline=60.0, rebuild_share=1.0
    )
    replies = ray.get([server.act.remote(asks(name, True)) for name in "abc"], timeout=120)
    assert [reply.tokens.shape for reply in replies] == [(4, 1)] * 3
    ray.get(server.publish.remote(Version(1, 1), [ray.put(WEIGHTS)]), timeout=60)
    ray.get(server.publish.remote(Version(1, 2), ray.put(WEIGHTS)), timeout=60)
    assert version_of(ray.get(server.act.remote(asks("a")), timeout=60)) == Version(1, 2)
    with pytest.raises(ServerError, match="is older than"):
        ray.get(server.publish.remote(Version(1, 1), WEIGHTS), timeout=60)
    with pytest.raises(SlotError, match="actor 'late' needs 4 more slots"):
        ray.get(server.act.remote(asks("late", True)), timeout=60)

    @ray.remote(num_cpus=0)
    class Dies:
        def act(self):
            ray.get(server.act.remote(asks("c")))
            raise SystemExit

    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(Dies.remote().act.remote(), timeout=60)
    before = time.perf_counter()
    for _ in range(10):
        ray.get([server.act.remote(asks(name)) for name in "ab"], timeout=60)
    assert time.perf_counter() - before < 10
    stats = ray.get(server.stats.remote(), timeout=60)
    assert stats["failures"] == 0
    assert 0 < stats["batch_fill"] <= 1
