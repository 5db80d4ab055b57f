"""Which of our processes is which, for benchmarks that say what each one takes."""

from collections.abc import Iterator

import psutil

NAMES = (
    ("replay.reverb_main", "replay"),
    ("ray::PolicyServer", "policy server"),
    ("ray::LearnerProcess", "learner"),
    ("ray::ReplayGate", "gate"),
    ("ray::Crowd", "simulated actors"),
)
"""What a command line holds, and what the process is called."""


def processes(root: psutil.Process | None = None) -> Iterator[tuple[str, psutil.Process]]:
    """Name and process of a run's command (None: of this process) and of all that descends from it."""
    root = root or psutil.Process()
    for process in [root, *root.children(recursive=True)]:
        try:
            yield "driver" if process == root else _name(process.pid, " ".join(process.cmdline())), process
        except psutil.NoSuchProcess:
            continue


def cpu_seconds() -> dict[str, float]:
    """Seconds of processor time so far, by name."""
    seconds: dict[str, float] = {}
    for name, process in processes():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds[name] = seconds.get(name, 0.0) + times.user + times.system
    return seconds


def thread_seconds(name: str) -> dict[int, float]:
    """Seconds of processor time so far of every thread, by its id, of the processes of this name."""
    threads = [thread for each, process in processes() if each == name for thread in process.threads()]
    return {thread.id: thread.user_time + thread.system_time for thread in threads}


def _name(pid: int, command: str) -> str:
    for title, name in NAMES:
        if title in command:
            return name
    return f"actor {pid}" if "ray::Actor" in command else "Ray itself"
