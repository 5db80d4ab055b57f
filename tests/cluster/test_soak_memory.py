"""What grows is told from what warms up, from noise and from processes that are replaced."""

import json
import mmap
import os

import numpy as np
import pytest

from tests.cluster.reliability import PAGE, with_soak
from tests.cluster.soak_memory import Life, Memory, growth

RESULT = PAGE.parents[1] / "benchmarks" / "results" / "soak.json"


def life(name: str, begins: float, lasts: float, size: float, slope: float, noise: float = 0.0) -> Life:
    """A process that loads libraries for a minute and then grows by `slope` MiB an hour."""
    seconds = np.arange(begins, begins + lasts, 5.0)
    age = seconds - begins
    random = np.random.default_rng(int(begins))
    sizes = size * np.minimum(1.0, age / 60.0) + slope / 3600.0 * age + noise * random.standard_normal(len(age))
    return Life(name, int(begins), seconds.tolist(), sizes.tolist())


def test_a_leak_is_found_over_many_short_lives():
    lives = [life("learner", begins, 300.0, size=500.0, slope=240.0, noise=0.5) for begins in range(0, 3600, 300)]
    found = growth("learner", lives, warm=120.0, least=60.0)
    assert found is not None
    assert found.lives == 12
    assert found.slope == pytest.approx(240.0, rel=0.1)
    assert not found.bounded


def test_warming_up_and_noise_are_no_leak():
    lives = [life("actor", begins, 900.0, size=400.0 + begins / 10, slope=0.0, noise=2.0) for begins in (0, 900, 1800)]
    found = growth("actor", lives, warm=120.0, least=60.0)
    assert found is not None
    assert abs(found.slope) < 10.0
    assert found.bounded
    assert found.most > 550.0  # a successor that is larger is no growth


def test_lives_too_short_to_judge_say_nothing():
    assert growth("actor", [life("actor", 0, 150.0, 400.0, 0.0)], warm=120.0, least=60.0) is None


def test_memory_is_that_of_the_process():
    memory = Memory()
    kept = []
    for _ in range(4):
        memory.sample(os.getpid())
        # Of its own: an array might lie in what an earlier one has left.
        kept.append(mmap.mmap(-1, 4 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        for _ in range(4 * 2**8):
            kept[-1].write(b"\1" * 4096)
    (own,) = [each for each in memory.lives if each.pid == os.getpid()]
    assert own.name == "driver"
    assert own.sizes[-1] - own.sizes[0] == pytest.approx(12.0, abs=3.0)


def test_what_processes_share_is_nobodys_growth():
    memory = Memory()
    memory.sample(os.getpid())
    shared = mmap.mmap(-1, 64 * 2**20)
    for _ in range(64 * 2**8):
        shared.write(b"\1" * 4096)
    memory.sample(os.getpid())
    (own,) = [each for each in memory.lives if each.pid == os.getpid()]
    assert abs(own.sizes[-1] - own.sizes[0]) < 8.0
    shared.close()


def test_the_page_says_what_grew_and_what_went_wrong():
    fault = {"seconds": 1.0, "name": "SIGKILL of the learner", "detected": 0.1, "back": 5.0, "lost": "", "load": 1.0}
    grown = {"name": "learner", "lives": 3, "minutes": 9.0, "mean": 800.4, "most": 900.0, "slope": 240.0}
    result = {
        "minutes": 15.2,
        "wrong": ["learner grows"],
        "faults": [fault, fault],
        "growth": [grown | {"bounded": False}],
        "environment": {"hardware": {"cores": 2}},
    }
    page = with_soak(PAGE.read_text(), result)
    assert "15 minutes on 2 cores, 2 faults: SIGKILL of the learner (2). What went wrong: learner grows." in page
    assert "| learner | 3 | 9 | 800 | 900 | +240.0 |" in page
    assert with_soak(page, result) == page


@pytest.mark.skipif(not RESULT.exists(), reason="make soak has left no result here yet")
def test_the_page_is_of_the_result_that_lies_beside_it():
    assert with_soak(PAGE.read_text(), json.loads(RESULT.read_text())) == PAGE.read_text()
