"""Actors that hang before they have said anything."""

import re
import time
from types import SimpleNamespace

import pytest

from cluster import actor_pool
from cluster.actor_pool import ActorPool
from cluster.config import FinetuneConfig
from cluster.local_ray import get
from cluster.placement import Place
from tests.cluster.small import FINETUNE, TASKS, changed


class Hangs:
    """Stands for an actor that is stopped while its process begins."""

    def __init__(self, *_, **__):
        time.sleep(3600)

    def run(self): ...

    def stats(self): ...

    def stop(self): ...


class Tells(Hangs):
    """Stands for an actor that says what it was given."""

    def __init__(self, *_, **given):
        self._given = given

    def given(self):
        return self._given


@pytest.fixture
def impatient(monkeypatch):
    """Actors that hang, and a pool that gives them two seconds to begin."""
    monkeypatch.setattr("actors.actor.Actor", Hangs)
    monkeypatch.setattr(actor_pool, "ARRIVES", 2.0)
    monkeypatch.setattr(actor_pool, "WAITED", 2.0)


def one_actor(cpus, **changes):
    """A pool of one actor that claims so many CPUs, of the one that Ray has here."""
    changes |= {"actors__processes": 1, "actors__silent": 1.0}
    given = changed(FINETUNE, tasks=TASKS[:1], checkpoint="somewhere", **changes)
    return ActorPool(
        FinetuneConfig.model_validate(given),
        {TASKS[0]["name"]: None},
        48,
        SimpleNamespace(of=lambda number: None),
        ["nowhere"],
        0,
        SimpleNamespace(actor=lambda: Place(cpus)),
    )


def poll(pool, caplog, until):
    """Looks after a pool until it has said something, for so long that it would have."""
    ends = time.monotonic() + 60.0
    while until not in caplog.text and time.monotonic() < ends:
        pool.poll()
        time.sleep(0.1)


DIED = "died and is replaced: it has not answered for"
WAITS = "waits for a free CPU"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cpus", [None, 1.0])
def test_an_actor_that_hangs_while_it_begins_is_replaced_on_one_machine_and_on_a_cluster(
    ray_cluster, impatient, caplog, cpus
):
    pool = one_actor(cpus)
    try:
        poll(pool, caplog, until=DIED)
    finally:
        pool.stop(timeout=0.0)
    assert DIED in caplog.text
    assert WAITS not in caplog.text
    assert pool.restarts >= 1


@pytest.mark.timeout(120)
def test_actors_act_as_the_configuration_says(ray_cluster, monkeypatch):
    monkeypatch.setattr("actors.actor.Actor", Tells)
    acting = {"temperature": 0.7, "episode_limit": 50, "return_kappa": 3.0}
    pool = one_actor(None, **{f"actors__{name}": value for name, value in acting.items()})
    try:
        assert acting.items() <= get(pool.members[0].handle.given.remote(), timeout=60).items()
    finally:
        pool.stop(timeout=0.0)


@pytest.mark.timeout(300)
def test_an_actor_without_a_cpu_waits_and_its_time_counts_from_when_it_has_one(ray_cluster, impatient, caplog):
    other = Place(1.0)
    while not other.there:
        time.sleep(0.1)
    pool = one_actor(1.0)
    try:
        poll(pool, caplog, until=WAITS)
        waited = time.monotonic()
        while time.monotonic() - waited < 2.0 * actor_pool.ARRIVES:
            pool.poll()
            time.sleep(0.1)
        assert WAITS in caplog.text
        assert pool.restarts == 0
        freed = time.monotonic()
        other.release()
        poll(pool, caplog, until=DIED)
        passed = time.monotonic() - freed
    finally:
        other.release()
        pool.stop(timeout=0.0)
    said = re.search(rf"{DIED} (\d+) s", caplog.text)
    assert said is not None
    assert int(said[1]) <= passed + 1.0


@pytest.mark.timeout(300)
def test_room_is_given_back(ray_cluster):
    first, second = Place(1.0), Place(1.0)
    while not first.there:
        time.sleep(0.1)
    assert not second.there
    first.release()
    ends = time.monotonic() + 60.0
    while not second.there:
        assert time.monotonic() < ends
        time.sleep(0.1)
    second.release()
