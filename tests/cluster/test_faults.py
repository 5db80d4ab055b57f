"""One run that is frozen, starved of disk, set to another time, and killed while it writes a checkpoint."""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.incarnation import current_incarnation
from cluster.rundir import RunDirectory
from tests.cluster.faults import (
    COMPILER,
    HOUR,
    MOUNTABLE,
    Clock,
    begin,
    damage_the_newest_checkpoint,
    fill_the_disk,
    freeze_an_actor,
    kill_everything_in_a_checkpoint,
    set_the_clock,
    small_disk,
)
from tests.cluster.processes_of import scalars
from tests.cluster.reliability import Fault
from tests.cluster.small import FINETUNE, PRETRAIN, changed, write
from tests.cluster.watched import PATIENCE, Watched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(COMPILER is None, reason="a clock of the run's own takes a C compiler (cc)"),
    pytest.mark.skipif(not MOUNTABLE, reason="a disk that is soon full is a tmpfs, which needs root to be mounted"),
]

TASK = "gym/tests.cluster.faulty:Slow-v0"
UPDATES, STEPS = 240, 7200
EVERY = 10  # updates between checkpoints


@dataclass
class Story:
    """What was seen from outside."""

    run: RunDirectory
    finished_with: int
    resumed_at: dict
    """What the checkpoint says of itself from which the run went on after everything was killed."""
    log: str


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk that is soon full."""
    with small_disk(tmp_path_factory.mktemp("disk")) as folder:
        yield folder


@pytest.fixture(scope="module")
def story(disk: Path, tmp_path_factory: pytest.TempPathFactory, reliability: list[Fault]) -> Story:
    folder = tmp_path_factory.mktemp("faults")
    clock = Clock(folder)
    config = changed(
        FINETUNE,
        run={"name": "faults", "folder": str(disk), "updates": UPDATES, "checkpoint_every": EVERY, "log_every": 5},
        tasks=[{"name": TASK}],
        policy=PRETRAIN["policy"],
        schedule=[{"objective": "bc", "batch": 4, "data": {"online": 1.0}}],
        actors={"processes": 2, "environments": 4, "steps": STEPS, "silent": 12.0, "lead": 10},
    )
    command = [sys.executable, "-m", "cluster", "finetune", str(write(folder / "run.yaml", config))]
    run = RunDirectory(disk / "faults")
    watched = Watched(run, begin(command, clock))
    try:
        watched.wait(lambda: watched.noted("acts")[0] >= 2, "two actors")
        watched.wait_for_updates(1)
        reliability.append(freeze_an_actor(watched))
        reliability.append(fill_the_disk(watched, disk))
        for seconds in (HOUR, -HOUR):
            reliability.append(set_the_clock(watched, clock, seconds, 2 * EVERY))
        seen = watched.extra["updates"]
        kill_everything_in_a_checkpoint(watched)
        newest = damage_the_newest_checkpoint(run)
        resumed_at = watched.extra
        began = time.monotonic()
        # On a machine of another size: one actor more.
        watched = Watched(run, begin([*command, "--set", "actors.processes=3"], clock))
        back = watched.wait_for_updates(1)
        lost = f"{newest - resumed_at['updates']} updates ({EVERY} between checkpoints)"
        reliability.append(Fault("SIGKILL of the head, driver, learner and all others; same command", None, back, lost))
        reliability.append(Fault("a checkpoint cut off half-way; same command", None, back, lost))
        assert resumed_at["updates"] >= seen - EVERY
        watched.process.communicate(timeout=PATIENCE)
        print(f"finished {time.monotonic() - began:.0f} s after it was begun again")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(watched.process.pid, signal.SIGKILL)
    return Story(run, watched.process.returncode, resumed_at, watched.log)


def by_command(run: RunDirectory, folder: Path) -> list[dict[str, list[tuple[int, float]]]]:
    """The points of each command, from its own file. The clock names them wrongly: the disk's own times order them."""
    files = sorted(run.path.glob("events.*"), key=lambda file: file.stat().st_mtime)
    for number, file in enumerate(files):
        (folder / str(number)).mkdir()
        shutil.copy(file, folder / str(number))
    return [scalars(folder / str(number)) for number in range(len(files))]


def test_the_run_ends_as_an_undisturbed_one(story: Story):
    assert story.finished_with == 0
    latest = story.run.latest_checkpoint()
    assert latest is not None
    assert latest.name == f"step_{UPDATES:06d}"
    extra = json.loads((latest / "config.json").read_text())["extra"]
    assert STEPS <= extra["env_steps"] <= STEPS + 50
    assert extra["version"] == [2, UPDATES]
    assert current_incarnation(story.run.path) == 2


def test_faults_are_counted_and_nothing_goes_backwards(story: Story, tmp_path: Path):
    first, second = by_command(story.run, tmp_path)
    assert max(value for _, value in first["faults/actor_restarts"]) >= 1
    assert max(value for _, value in first["faults/failed_checkpoints"]) >= 1
    for points in (first, second):
        for name in ("learner", "server", "replay"):
            assert max(value for _, value in points[f"faults/{name}_restarts"]) == 0, name
        steps, updates = zip(*points["charts/updates"], strict=True)
        assert list(steps) == sorted(steps)
        assert list(updates) == sorted(updates)
    # TensorBoard hides what the first wrote after the checkpoint from which the second went on.
    assert second["charts/updates"][0][0] > story.resumed_at["env_steps"]


def test_replay_came_back_with_the_learner(story: Story, tmp_path: Path):
    first, second = by_command(story.run, tmp_path)
    before = max(size for step, size in first["replay/size/online"] if step <= story.resumed_at["env_steps"])
    assert second["replay/size/online"][0][1] >= 0.9 * before


def test_the_clock_was_set(story: Story):
    hours = {int(line[11:13]) for line in story.log.splitlines()}
    assert len(hours) >= 2


def test_more_actors_finished_it(story: Story):
    assert "actor 2 (" in story.log
    assert "processes: 3" in (story.run.path / "config.yaml").read_text()
