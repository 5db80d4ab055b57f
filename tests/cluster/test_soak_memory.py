"""What grows is told from what warms up, from noise and from processes that are replaced."""

import contextlib
import json
import mmap
import os
import shutil
import subprocess

import numpy as np
import pytest

from tests.cluster.reliability import PAGE, with_soak
from tests.cluster.soak_memory import Life, Memory, growth

RESULT = PAGE.parents[1] / "benchmarks" / "results" / "soak.json"


def life(
    name: str,
    lasts: float,
    size: float,
    slope: float = 0.0,
    noise: float = 0.0,
    begins: float = 0.0,
    loads: float = 60.0,
) -> Life:
    """A process that loads libraries for a minute and then grows by `slope` MiB an hour; now and then it needs much."""
    seconds = np.arange(begins, begins + lasts, 5.0)
    age = seconds - begins
    random = np.random.default_rng(int(begins))
    sizes = size * np.minimum(1.0, age / loads) + slope / 3600.0 * age + noise * random.exponential(size=len(age))
    return Life(name, int(begins), seconds.tolist(), sizes.tolist(), begins + loads)


def test_a_leak_is_found():
    found = growth("learner", [life("learner", 1800.0, 500.0, slope=240.0, noise=5.0)])
    assert found is not None
    assert found.lives == 1
    assert found.minutes == pytest.approx(14.5, abs=1.0)
    assert 160.0 < found.slope < 260.0  # its largest rise, of fourteen, is left out
    assert not found.bounded


def test_a_leak_is_found_over_several_lives():
    lives = [life("learner", 700.0, 500.0, slope=100.0, noise=2.0, begins=begins) for begins in range(0, 2800, 700)]
    found = growth("learner", lives)
    assert found is not None
    assert found.lives == 4
    assert not found.bounded


def test_what_levels_off_is_no_leak_nor_are_moments_of_work():
    seconds = np.arange(0.0, 1800.0, 5.0)
    sizes = 250.0 - 40.0 * np.exp(-seconds / 240.0)  # 24 MiB in the first four minutes, less in each that follow
    sizes[::7] += 30.0
    found = growth("policy server", [Life("policy server", 1, seconds.tolist(), sizes.tolist(), 0.0)])
    assert found is not None
    assert found.bounded
    assert found.mean < 251.0
    assert found.most > 275.0


@pytest.mark.parametrize(
    ("steps", "bounded"), [([1000.0], True), ([1350.0], True), ([1700.0], True), ([1020.0, 1300.0, 1580.0], False)]
)
def test_one_step_is_no_leak_and_many_are(steps: list[float], bounded: bool):
    seconds = np.arange(0.0, 1800.0, 5.0)
    sizes = 250.0 + 6.0 * np.searchsorted(steps, seconds, side="right")  # as learners are replaced
    found = growth("policy server", [Life("policy server", 1, seconds.tolist(), sizes.tolist(), 0.0)])
    assert found is not None
    assert found.bounded == bounded


def test_a_successor_that_is_larger_is_no_growth():
    lives = [life("actor", 900.0, 400.0 + begins / 10, noise=2.0, begins=begins) for begins in (0.0, 900.0, 1800.0)]
    found = growth("actor", lives)
    assert found is not None
    assert abs(found.slope) < 10.0


def test_a_life_begins_with_its_work_however_long_it_has_loaded():
    late = life("actor", 1000.0, 400.0, loads=380.0)
    found = growth("actor", [late])
    assert found is not None
    assert abs(found.slope) < 1.0
    late.works = None  # it never came to work
    assert growth("actor", [late]) is None


def test_lives_too_short_to_judge_say_nothing():
    assert growth("actor", [life("actor", 500.0, 400.0, slope=1000.0)]) is None


def test_work_begins_after_the_constructor():
    titles = {"ray::Actor.__init__": None, "ray::LearnerProcess": "at once"}  # as Ray calls its workers
    with contextlib.ExitStack() as stack:
        memory = Memory()
        for title in titles:
            process = subprocess.Popen([title, "60"], executable=shutil.which("sleep"))
            stack.enter_context(process)
            stack.callback(process.kill)
        memory.sample(os.getpid())
    works = {each.name.split(" ")[0]: each.works for each in memory.lives}
    assert works["actor"] is None
    assert works["learner"] is not None


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
