"""Ocelot's loop beside those of other libraries: the same environments, cores and seconds, one after the other."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from cluster.bench.figures import Figure
from cluster.bench.loop import running
from cluster.bench.loop_meter import PARTS, WARM, Measured, Meter
from cluster.bench.loop_simulators import FOLDER, TASKS
from cluster.launch.token import use_own_token
from policy.errors import OcelotError

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "baselines"
OTHERS = {"RLlib IMPALA": "loop_rllib.py", "stable-baselines3 PPO": "loop_sb3.py"}
"""Libraries, and the scripts that measure them."""
OWN = {"policy": "policy server", "replay": "replay", "learner": "learner"}
"""Parts that are processes of ours."""
ALONE, WITH_LEARNER = "Ocelot without a learner", "Ocelot"
SLOW, BAR = "busy", 0.6
"""With slow simulators, these should have this share of all processor time where nobody learns."""
NICENESS = "RAY_worker_niceness"
"""Environment variable: by Ray's default its workers give way to who started it, which starves those that step
environments for RLlib's learner."""
PATIENCE = 600.0  # seconds beyond those that are measured


class ContestError(OcelotError):
    """A library that cannot be measured."""


def contest(task: str, seconds: float, dtype: str, pythons: Mapping[str, str]) -> dict[str, Measured]:
    """Every loop on a task, by name.

    Args:
        task: of `TASKS`.
        seconds: that each is measured.
        dtype: of Ocelot's weights while acting.
        pythons: interpreters that have the libraries of OTHERS.

    Raises:
        ContestError: a library's loop failed.
    """
    found = _ours(task, seconds, dtype)
    return found | {name: _other(name, python, task, seconds) for name, python in pythons.items()}


def figures(task: str, measured: Mapping[str, Measured]) -> list[Figure]:
    """Rows: ours held against the fastest of the others, and the simulators' share against its bar."""
    others = [each.steps_per_second for name, each in measured.items() if name in OTHERS]
    found = []
    for name, each in measured.items():
        fastest = max(others) if others and name == WITH_LEARNER else None
        found.append(_figure(f"{task}, {name}: environments", each.steps_per_second, "env steps/s", fastest))
        found.append(_figure(f"{task}, {name}: learner", each.updates_per_second, "updates/s"))
        found.append(_figure(f"{task}, {name}: memory, PSS", each.memory_mib, "MiB"))
        found.append(_figure(f"{task}, {name}: busy cores", each.cores, "cores"))
        for part in PARTS:
            bar = BAR if (task, name, part) == (SLOW, ALONE, "simulator") else None
            found.append(_figure(f"{task}, {name}: time in {part}", each.shares[part], "of 1", bar))
    return found


def _figure(name: str, value: float, unit: str, baseline: float | None = None) -> Figure:
    return Figure(name, value, unit, baseline, value / baseline if baseline else None)


def _ours(task: str, seconds: float, dtype: str) -> dict[str, Measured]:
    with _clocks(), running(f"gym/{TASKS[task]}", dtype) as loop:
        alone = _measure(seconds)
        with loop.learning() as updates:
            learning = _measure(seconds)
    return {ALONE: alone, WITH_LEARNER: replace(learning, updates_per_second=updates())}


def _measure(seconds: float) -> Measured:
    time.sleep(WARM)
    meter = Meter(metadata.version("ocelot"), "simulator", own=OWN)
    time.sleep(seconds)
    return meter.stop()


def _other(name: str, python: str, task: str, seconds: float) -> Measured:
    with _clocks() as folder:
        file = folder / "result.json"
        use_own_token()  # for RLlib's Ray, which reads it when it is imported
        command = [python, str(SCRIPTS / OTHERS[name]), TASKS[task], str(seconds), str(file)]
        # Its own folder comes first on its path, and then ours.
        variables = os.environ | {"PYTHONPATH": str(SCRIPTS.parents[1])}
        try:
            done = subprocess.run(
                command, env=variables, capture_output=True, text=True, timeout=seconds + PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ContestError(f"{name} under {python}: {error}") from None
        if done.returncode != 0:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise ContestError(
                f"{name} under {python}: {last}; benchmarks/baselines/README.md says what that Python must have"
            )
        return Measured.load(file)


@contextmanager
def _clocks() -> Iterator[Path]:
    """A folder for the clocks of all processes that are started meanwhile, none of which gives way to another."""
    variables = {NICENESS: "0"}
    with tempfile.TemporaryDirectory(prefix="ocelot-clocks-") as folder:
        variables[FOLDER] = folder
        before = {name: os.environ.get(name) for name in variables}
        os.environ |= variables
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def pythons(sb3: str | None) -> dict[str, str]:
    """Interpreters by library: RLlib is in ours, stable-baselines3 where a person has put it."""
    return {"RLlib IMPALA": sys.executable} | ({"stable-baselines3 PPO": sb3} if sb3 else {})
