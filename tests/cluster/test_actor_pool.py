"""Actors that hang before they have said anything."""

import time
from types import SimpleNamespace

import pytest

from cluster import actor_pool
from cluster.actor_pool import ActorPool
from cluster.config import FinetuneConfig
from tests.cluster.small import FINETUNE, TASKS, changed


class Hangs:
    """Stands for an actor that is stopped while its process begins."""

    def __init__(self, *_, **__):
        time.sleep(3600)

    def run(self): ...

    def stats(self): ...

    def stop(self): ...


@pytest.mark.parametrize("cluster", [False, True])
def test_an_actor_that_never_answers_is_replaced_unless_it_may_wait_for_a_cpu(
    ray_cluster, monkeypatch, caplog, cluster
):
    monkeypatch.setattr("actors.actor.Actor", Hangs)
    monkeypatch.setattr(actor_pool, "ARRIVES", 2.0)
    monkeypatch.setattr(actor_pool, "WAITED", 2.0)
    given = changed(FINETUNE, tasks=TASKS[:1], checkpoint="somewhere", actors__processes=1, actors__silent=1.0)
    pool = ActorPool(
        FinetuneConfig.model_validate(given),
        {TASKS[0]["name"]: None},
        48,
        SimpleNamespace(of=lambda number: None),
        ["nowhere"],
        0,
        SimpleNamespace(cluster=cluster, actor=dict),
    )
    try:
        ends = time.monotonic() + 30.0
        while not (caplog.records or time.monotonic() > ends):
            pool.poll()
            time.sleep(0.1)
    finally:
        pool.stop(timeout=0.0)
    said = "waits for a free CPU" if cluster else "died and is replaced: it has not answered for"
    assert said in caplog.text
    assert pool.restarts == (0 if cluster else 1)
