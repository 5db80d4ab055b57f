"""A run under faults at random, for as long as it is told, with the memory of every process: `make soak`.

    python -m tests.cluster.soak --minutes 60 --json benchmarks/results/soak.json --page docs/reliability.md

Whether a process's memory is bounded shows only in a long life, so the time has three parts, and each spares some
processes. Half of it: learners and actors die, but the policy server, the Reverb server, the driver, Ray's own
processes and the oldest of three actors live. Most of the other half: policy servers, Reverb servers and actors die,
but the learner lives. At the end everything dies, the head with all too.

It ends with 1 when a process grows without bound or none of a part of the run lived long enough to tell, when steps or
versions went back, or when Ctrl-C does not stop the run in order at the end.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from cluster.environment import describe_environment
from cluster.interrupt import INTERRUPTED
from cluster.rundir import RunDirectory
from tests.cluster import faults
from tests.cluster.reliability import Fault, with_soak
from tests.cluster.small import FINETUNE, PRETRAIN, changed, write
from tests.cluster.soak_memory import Memory
from tests.cluster.watched import PATIENCE, Watched

TASK = "gym/tests.cluster.faulty:Slow-v0"
EVERY = 20  # updates between checkpoints
STEPS = 30  # environment steps an update
ENDLESS = 10_000_000  # updates
LOOK = 5.0  # seconds between looks
PAUSE = (10.0, 40.0)  # seconds from a fault survived to the next
ACTORS = 3
SPARED = 1  # the oldest actor lives; the others take turns, else one would die too often in a row
SERVERS = ("ray::PolicyServer", "replay.reverb_main")
OF_THE_RUN = ("driver", "learner", "policy server", "replay", "actor", "Ray: gcs_server", "Ray: raylet")
PARTS = (1 / 2, 11 / 12)  # of the time, at which the first part ends and the second


class Soak:
    """One run, its command begun again whenever everything of it was killed.

    Args:
        folder: an empty one, for the run's own clock and configuration.
        disk: where the run is; small, so that it can be filled.
        seed: of the faults.
    """

    def __init__(self, folder: Path, disk: Path, seed: int):
        self.memory = Memory()
        self.faults: list[tuple[float, Fault]] = []
        self.progress: list[dict[str, Any]] = []
        """What checkpoints said: seconds since the soak began, how many commands were begun, version, env_steps."""
        self.wrong: list[str] = []
        self._commands = 1  # that were begun
        self._disk = disk
        self._random = random.Random(seed)
        self._clock = faults.Clock(folder)
        config = changed(
            FINETUNE,
            run={"name": "soak", "folder": str(disk), "updates": ENDLESS, "checkpoint_every": EVERY, "log_every": 10},
            tasks=[{"name": TASK}],
            policy=PRETRAIN["policy"],
            schedule=[{"objective": name, "batch": 4, "data": {"online": 1.0}} for name in ("bc", "iql")],
            actors={"processes": ACTORS, "environments": 4, "steps": STEPS * ENDLESS, "silent": 12.0, "lead": 10},
        )
        self._command = [sys.executable, "-m", "cluster", "finetune", str(write(folder / "run.yaml", config))]
        self._began = time.monotonic()
        self._watched = self._begin()
        self._ended = threading.Event()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def run(self, minutes: float) -> None:
        """Until the time is over and the run has stopped."""
        looking = threading.Thread(target=self._look, daemon=True)
        looking.start()
        try:
            self._watched.wait_for_updates(EVERY)
            kinds = self._kinds(60.0 * minutes)
            while self.seconds < 60.0 * minutes:
                time.sleep(self._random.uniform(*PAUSE))
                inject = next(kinds)
                at = self.seconds
                fault = inject()
                self.faults.append((at, fault))
                print(f"{at / 60:.1f} min: {fault.name}: back after {fault.back:.1f} s", flush=True)
            self._stop()
        finally:
            self._ended.set()
            looking.join()
            faults.kill_family(self._watched.process)

    def _begin(self) -> Watched:
        return Watched(RunDirectory(self._disk / "soak"), faults.begin(self._command, self._clock))

    def _kinds(self, seconds: float) -> Iterator[Callable[[], Fault]]:
        """What may die in the present part of so many seconds, every fault once in an order drawn anew, again and
        again."""
        always: list[Callable[[], Fault]] = [
            self._kill("ray::Actor", SPARED),
            lambda: faults.freeze_an_actor(self._watched, SPARED),
            lambda: faults.fill_the_disk(self._watched, self._disk),
            lambda: faults.set_the_clock(self._watched, self._clock, faults.HOUR, EVERY),
            lambda: faults.set_the_clock(self._watched, self._clock, -faults.HOUR, EVERY),
        ]
        learner, servers = self._kill("ray::LearnerProcess"), [self._kill(title) for title in SERVERS]
        parts = [[*always, learner], [*always, *servers], [*always, learner, *servers, self._kill_everything]]
        while True:
            part = bisect(PARTS, self.seconds / seconds)
            kinds = list(parts[part])
            self._random.shuffle(kinds)
            kinds.sort(key=lambda kind: kind != self._kill_everything)  # which comes first: the last part is short
            for kind in kinds:
                if bisect(PARTS, self.seconds / seconds) == part:
                    yield kind

    def _kill(self, title: str, spared: int = 0) -> Callable[[], Fault]:
        return lambda: faults.kill(self._watched, title, spared)  # whose command may be another by then

    def _kill_everything(self) -> Fault:
        faults.kill_everything_in_a_checkpoint(self._watched)
        self._commands += 1  # before the checkpoint that was seen last may be gone
        newest = faults.damage_the_newest_checkpoint(self._watched.run)
        resumed = self._watched.extra
        self._watched = self._begin()
        lost = newest - resumed["updates"]
        if lost > EVERY:
            self.wrong.append(f"{lost} updates were lost, and {EVERY} lie between checkpoints")
        back = self._watched.wait_for_updates(1)
        return Fault("SIGKILL of the head, driver, learner and all others; same command", None, back, f"{lost} updates")

    def _look(self) -> None:
        """Memory and progress, again and again."""
        while not self._ended.wait(LOOK):
            self.memory.sample(self._watched.process.pid)
            commands, extra = self._commands, self._watched.extra
            if "version" not in extra:
                continue
            now = {"seconds": round(self.seconds, 1), "command": commands}
            now |= {"version": extra["version"], "env_steps": extra["env_steps"]}
            if self.progress:
                self._compare(self.progress[-1], now)
            self.progress.append(now)

    def _compare(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        """Versions and steps only go up, but for what follows the checkpoint from which everything began again."""
        went_on = now["command"] == before["command"]
        if went_on and (now["version"] < before["version"] or now["env_steps"] < before["env_steps"]):
            self.wrong.append(f"went back: {before} to {now}")

    def _stop(self) -> None:
        process = self._watched.process
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        if process.wait(PATIENCE) != INTERRUPTED:
            self.wrong.append(f"Ctrl-C ended the run with {process.returncode}")
        left = [each for each in psutil.wait_procs(family, timeout=30)[1] if each.is_running()]
        if left:
            self.wrong.append(f"left over: {left}")


def soak(minutes: float, seed: int) -> dict[str, Any]:
    """The result, as plain JSON."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        disk = stack.enter_context(faults.small_disk(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        run = Soak(folder, disk, seed)
        try:
            run.run(minutes)
        except (AssertionError, psutil.Error) as error:  # what was waited for did not come, or the run is over
            run.wrong.append(str(error))
        growth = run.memory.growth()
        wrong = [*run.wrong, *(f"{each.name} grows" for each in growth if not each.bounded)]
        judged = {each.name for each in growth}
        wrong += [f"no {name} lived long enough to be judged" for name in OF_THE_RUN if name not in judged]
        return {
            "minutes": run.seconds / 60,
            "wrong": wrong,
            "faults": [{"seconds": round(at, 1), **asdict(fault)} for at, fault in run.faults],
            "growth": [asdict(each) | {"bounded": each.bounded} for each in growth],
            "processes": [asdict(life) for life in run.memory.lives],
            "progress": run.progress,
            "environment": describe_environment(),
        }


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="where the table of the result is put")
    asked = parser.parse_args()
    if faults.COMPILER is None or not faults.MOUNTABLE:
        print("Error: a soak needs root, to mount a small disk, and a C compiler (cc), for a clock of its own")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that run and disk end with it
    result = soak(asked.minutes, asked.seed)
    asked.json.write_text(json.dumps(result) + "\n")
    if asked.page is not None:
        asked.page.write_text(with_soak(asked.page.read_text(), result))
    for line in result["wrong"]:
        print(f"wrong: {line}")
    for each in result["growth"]:
        print(f"{each['name']}: {each['mean']:.0f} MiB, {each['slope']:+.1f} MiB an hour")
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
