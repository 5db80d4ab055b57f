"""Which run of a study begins when, and several in processes of their own. The runs here only wait, and note that."""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.interrupt import Interrupted
from cluster.study.jobs import DONE, FAILED, Row
from cluster.study.running import Left, do

pytestmark = pytest.mark.timeout(60)


@dataclass(frozen=True)
class Run:
    """Stands in for a `cluster.study.jobs.Job`."""

    arm: str
    folder: Path
    waits_for: tuple[str, ...] = ()
    group: str = "one"
    seed: int = 0
    dies: bool = False

    @property
    def name(self) -> str:
        return f"{self.group}/{self.arm}-{self.seed}"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.arm}.log"

    def do(self) -> None:
        print(f"this is {self.arm}", flush=True)
        (self.folder / f"{self.arm} began").touch()
        if self.dies:
            os._exit(9)
        try:
            while not all((self.folder / f"{other} began").exists() for other in self.waits_for):
                time.sleep(0.05)
        except KeyboardInterrupt:
            (self.folder / f"{self.arm} stopped").touch()
            raise Interrupted("stopped") from None
        self.note(Row(DONE, 1.0, {}))

    def fail(self, error: Exception) -> None:
        self.note(Row(FAILED, 1.0, {}, str(error)))

    def note(self, row: Row) -> None:
        (self.folder / f"{self.arm}.json").write_text(json.dumps(vars(row)))

    def row(self) -> Row | None:
        file = self.folder / f"{self.arm}.json"
        return Row(**json.loads(file.read_text())) if file.exists() else None

    def is_done(self) -> bool:
        return (row := self.row()) is not None and row.status == DONE

    def is_here(self) -> bool:
        return True


def test_runs_of_their_own_processes_go_on_at_the_same_time(tmp_path, capfd):
    start = Run("pretrained", tmp_path)
    arms = [Run("cloning", tmp_path, ("alternating",)), Run("alternating", tmp_path, ("cloning",))]
    began = []
    do(Left([start, *arms], [start, *arms]), 2, lambda: False, lambda job: began.append(job.arm))
    assert began == ["pretrained", "cloning", "alternating"]
    assert all(each.is_done() for each in (start, *arms))
    assert [each.log.read_text() for each in arms] == ["this is cloning\n", "this is alternating\n"]
    assert "one/cloning-0: done after 1.00 hours" in capfd.readouterr().out


def test_arms_wait_for_what_they_begin_with(tmp_path):
    start, other = Run("pretrained", tmp_path), Run("pretrained", tmp_path / "other", group="two")
    arm = Run("cloning", tmp_path)
    left = Left([start, arm, other], [start, arm, other])
    assert left.take([]) == start
    assert left.take([start.name]) == other
    assert left.take([start.name, other.name]) is None
    start.note(Row(DONE, 1.0, {}))
    assert left.take([other.name]) == arm


def test_a_process_that_dies_is_a_run_that_failed(tmp_path):
    start = Run("pretrained", tmp_path, dies=True)
    arm = Run("cloning", tmp_path)
    do(Left([start, arm], [start, arm]), 2, lambda: False, lambda job: None)
    assert "ended with status 9" in start.row().error
    assert str(start.log) in start.row().error
    assert "it starts from one/pretrained-0, which failed" in arm.row().error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_all_of_them(tmp_path, number):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # scripts ignore it for what they run behind them
    runs = [Run("pretrained", tmp_path / group, ("nobody",), group) for group in ("one", "two")]
    for each in runs:
        each.folder.mkdir()

    def press() -> None:
        while not all((each.folder / "pretrained began").exists() for each in runs):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=press, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            do(Left(runs, runs), 2, lambda: False, lambda job: None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert all((each.folder / "pretrained stopped").exists() for each in runs)
    assert not any(each.is_done() for each in runs)
