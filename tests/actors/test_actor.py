import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import ray

from actors.actor import Actor
from actors.domains import task_layout
from actors.errors import EnvironmentFailed, ServerSilent
from actors.evaluation import evaluate
from actors.recorder import Recorder
from cluster.local_ray import kill, local_ray, start
from policy.config import PolicyConfig
from policy.model import Policy
from policy.server import PolicyServer
from policy.slots import SlotError
from policy.types import ActReply, Version
from replay.batch import collate
from replay.interface import connect
from replay.server import ReplayServer
from replay.tables import ReplayConfig, TableConfig
from replay.trajectory import Trajectory
from tests.actors.toys import PREFIX

CONTEXT = 32
CONFIG = PolicyConfig(layers=1, width=16, heads=2, feedforward=32, context=CONTEXT)

pytestmark = pytest.mark.timeout(60)


class Forgetful(PolicyServer):
    """A policy server that loses what it knows when told, as a restarted one would."""

    def forget(self):
        self._engine.table.release("actor 0")


class Silent:
    """Takes requests and does not answer."""

    def socket_address(self):
        return None

    def act(self, request):
        time.sleep(30)


@pytest.fixture(scope="module")
def cluster():
    with local_ray():
        yield


@pytest.fixture(scope="module")
def server(cluster):
    weights = {name: value.numpy() for name, value in Policy(CONFIG).state_dict().items()}
    handle = start(Forgetful, CONFIG, weights, Version(3, 0), slots=64, dtype="float32", concurrency=64)
    yield handle
    kill(handle)


@pytest.fixture
def replay(cluster, request, tmp_path):
    """Address of a store, with the samples per insert that a test asks for."""
    table = TableConfig(max_size=1000, samples_per_insert=getattr(request, "param", None), error_buffer=4.0)
    config = ReplayConfig(backend="memory", tables={"online": table})
    with ReplayServer(config, tmp_path, name=tmp_path.name) as store:
        yield store.address


@contextmanager
def running(actor):
    """The actor's `run` on a thread; what it raised is raised here."""
    raised = []

    def run():
        try:
            actor.run()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield thread
    actor.stop()
    thread.join(timeout=10)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def check_windows(windows, layout):
    """Each step of each episode is there once, with what the server said."""
    trained: dict[int, int] = {}
    for window in sorted(windows, key=lambda w: (w.episode, w.first_step + w.burn_in)):
        window.check()
        assert window.first_step + window.burn_in == trained.get(window.episode, 0)
        trained[window.episode] = window.first_step + len(window)
        assert (window.log_probs < 0).all()
        assert (window.log_probs > -3).all()  # three legal ids, weights fresh
        assert (window.versions[:, 0] == 3).all()
        assert window.actor == 0
        assert window.temperature == 1.0
        actions = layout.decode_action(window.tokens[:, -1:])
        if window.finished:
            assert not np.isnan(window.returns_to_go).any()
        np.testing.assert_array_equal(window.rewards, actions.astype(np.float32))
    return trained


def all_windows(address):
    """Everything in the store, once."""
    store = connect(address)
    inserts = store.info()["online"].inserts
    found: dict[tuple, Trajectory] = {}
    while len(found) < inserts:
        for window in store.sample("online", 100, timeout=5):
            found[window.episode, window.first_step, window.burn_in] = window
    return list(found.values())


def test_what_actors_do_reaches_replay(server, replay):
    layout = task_layout(PREFIX + "Long-v0")
    actor = Actor(0, layout, 6, seed=0, server=server, replay=replay, context=CONTEXT, max_steps=6 * 130)
    actor.run()
    stats = actor.stats()
    assert stats.steps == 6 * 130
    assert stats.episodes == 12
    assert stats.lengths == [60] * 12
    assert len(stats.returns) == 12
    assert stats.faults == 0
    assert stats.seconds["wait"] > 0
    assert actor.stats().returns == []  # each reported once
    windows = all_windows(replay)
    assert len(windows) == stats.windows
    trained = check_windows(windows, layout)
    assert list(trained.values()) == [60] * 12
    totals = {w.episode: w.returns_to_go[0] for w in windows if w.first_step == 0 and w.burn_in == 0}
    assert sorted(totals.values()) == sorted(stats.returns)
    assert sum(window.truncated for window in windows) == 12
    assert int(collate(windows).loss.sum()) == 12 * 60


def test_an_actor_process_is_steered_while_it_runs(server, replay):
    layout = task_layout("gym/CartPole-v1")
    settings = {"seed": 0, "server": server, "replay": replay, "context": CONTEXT, "allowed": 100}
    process = start(Actor, 0, layout, 4, concurrency=3, **settings)
    run = process.run.remote()
    wait_for(lambda: ray.get(process.stats.remote()).steps >= 100)
    time.sleep(0.3)
    assert ray.get(process.stats.remote()).steps in (100, 102)  # whole halves
    ray.get(process.allow.remote(None))
    wait_for(lambda: ray.get(process.stats.remote()).steps > 300)
    ray.get(process.stop.remote())
    ray.get(run, timeout=10)
    assert connect(replay).info()["online"].inserts > 0
    kill(process)


@pytest.mark.parametrize("replay", [1.0], indirect=True)
def test_a_full_store_blocks_actors_but_not_their_end(server, replay):
    layout = task_layout(PREFIX + "Toy-v0")
    actor = Actor(0, layout, 4, seed=0, server=server, replay=replay, context=CONTEXT)
    with running(actor):
        wait_for(lambda: connect(replay).info()["online"].inserts >= 5)
        time.sleep(1.0)
        blocked = actor.stats().steps
        time.sleep(0.5)
        assert actor.stats().steps == blocked
        began = time.monotonic()
        actor.stop()
    assert time.monotonic() - began < 5


def test_episodes_that_the_server_forgot_are_left(server, replay):
    layout = task_layout(PREFIX + "Long-v0")
    actor = Actor(0, layout, 2, seed=0, server=server, replay=replay, context=CONTEXT, allowed=40)
    with running(actor):
        wait_for(lambda: actor.stats().steps >= 40)
        ray.get(server.forget.remote())
        actor.allow(400)
        wait_for(lambda: actor.stats().steps >= 400)
    lengths = list(check_windows(all_windows(replay), layout).values())
    # Each half had its answer to step 20 or 21 before the server forgot.
    assert len([length for length in lengths if length in (20, 21, 22)]) == 2
    assert 60 in lengths


def test_failing_environments_are_counted(server, replay):
    layout = task_layout(PREFIX + "FaultyStep-v0")
    actor = Actor(0, layout, 6, seed=0, server=server, replay=replay, context=CONTEXT, max_steps=600)
    actor.run()
    stats = actor.stats()
    assert stats.faults > 0
    assert set(stats.lengths) == {10}
    check_windows(all_windows(replay), layout)


def test_why_a_run_ended_reaches_the_driver(server):
    layout = task_layout(PREFIX + "Broken-v0")
    process = start(Actor, 0, layout, 2, seed=0, server=server, replay=None, context=CONTEXT)
    with pytest.raises(EnvironmentFailed, match="the toy broke in step"):
        ray.get(process.run.remote(), timeout=40)
    kill(process)


def test_a_silent_server_is_an_error_in_time(cluster):
    silent = start(Silent, concurrency=4)
    assert ray.get(silent.socket_address.remote()) is None
    layout = task_layout(PREFIX + "Toy-v0")
    actor = Actor(0, layout, 2, seed=0, server=silent, replay=None, context=CONTEXT, deadline=1.0)
    with pytest.raises(ServerSilent, match=r"did not answer actor 0 for 1 s"):
        actor.run()
    actor = Actor(0, layout, 2, seed=0, server=silent, replay=None, context=CONTEXT)
    began = time.monotonic()
    with running(actor):
        pass  # stopped at once
    assert time.monotonic() - began < 5
    kill(silent)


def test_more_environments_than_slots_are_an_error(server):
    layout = task_layout(PREFIX + "Toy-v0")
    actor = Actor(0, layout, 140, seed=0, server=server, replay=None, context=CONTEXT)
    with pytest.raises(SlotError):
        actor.run()


def test_evaluations_use_the_same_server(server):
    layout = task_layout(PREFIX + "RandomLength-v0")

    def act(request):
        return ray.get(server.act.remote(request), timeout=20)

    first, again = (evaluate(act, layout, 12, temperature=0.0, seed=1, environments=5) for _ in range(2))
    assert first.version == Version(3, 0)
    assert (first.returns, first.lengths) == (again.returns, again.lengths)


def test_a_single_environment_is_enough(server):
    layout = task_layout("gym/Pendulum-v1")
    actor = Actor(0, layout, 1, seed=0, server=server, replay=None, context=CONTEXT, max_steps=10)
    actor.run()
    assert actor.stats().steps == 10


def test_actors_need_no_torch():
    code = (
        "import sys, actors.actor, actors.evaluation; from actors.domains import task_layout\n"
        "actors.actor.Environments(task_layout('gym/CartPole-v1'), 1, 0).reset()\n"
        "assert 'torch' not in sys.modules and 'tensorflow' not in sys.modules and 'reverb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_episodes_begin_behind_prompts_of_the_table(server, replay):
    layout = task_layout(PREFIX + "Toy-v0")
    generator, (low, high) = np.random.default_rng(0), layout.legal.T
    demonstration = Recorder(layout, 1, 1, CONTEXT, 1.0, run_id=1)
    one = np.zeros(1, dtype=np.int64)
    for _ in range(4):
        tokens = generator.integers(low, high, (1, layout.action_tokens), dtype=np.int32)
        nothing = np.zeros((1, 2), dtype=np.int32)
        reply = ActReply(tokens, np.zeros((1, len(low)), dtype=np.float32), nothing, one, one)
        observed = generator.integers(32000, 33024, (1, layout.observation_tokens), dtype=np.int32)
        demonstration.acted(one, observed, reply)
        demonstration.stepped(one, np.ones(1), one > 0, one > 0, one > 0, observed)
    windows = demonstration.abandoned(one, observed)
    writer = connect(replay).writer("prompts")
    writer.write([windows[0].slice(0, 2), windows[0].slice(1, 3)])
    actor = Actor(0, layout, 4, 0, server, replay, CONTEXT, prompts=True, max_steps=200)
    actor.run()
    assert actor.stats().steps >= 200
    found, fit = all_windows(replay), CONTEXT // layout.step_tokens
    shown = set()
    for window in found:
        window.check()
        assert len(window) <= fit - 2
        shown |= {start for start in (0, 1) if np.array_equal(window.prompt, windows[0].tokens[start : start + 2])}
        assert len(window.prompt) == 2
    assert shown == {0, 1}
