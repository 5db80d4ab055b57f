"""How a run stands: kept while it goes on, true when its process was killed."""

import io
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from cluster.interrupt import Interrupted
from cluster.rundir import RunDirectory, RunError
from cluster.watching.runs import find_runs, runs_table
from cluster.watching.state import kept, read_state
from policy.errors import OcelotError
from tests.cluster.processes_of import wait_for


@pytest.fixture
def run(tmp_path):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "config.yaml").write_text("run: {updates: 10}\n")
    return RunDirectory(tmp_path / "runs" / "one")


def test_a_run_that_goes_on_is_running_and_then_finished(run):
    assert read_state(run) is None
    with kept(run, 10) as keeper:
        keeper.progress(4, 100)
        assert read_state(run).state == "running"
    state = read_state(run)
    assert (state.state, state.updates, state.total, state.env_steps) == ("finished", 4, 10, 100)


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (Interrupted("stopped"), "interrupted", ""),
        (KeyboardInterrupt(), "interrupted", ""),
        (OcelotError("the disk burns\nin detail"), "failed", "the disk burns"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
    ],
)
def test_how_it_ended_is_noted(run, error, state, message):
    with pytest.raises(type(error)), kept(run, 10):
        raise error
    assert (read_state(run).state, read_state(run).message) == (state, message)


KEEP = "import sys, time; from cluster.watching.state import kept; from cluster.rundir import RunDirectory; "
KEEP += "from pathlib import Path\nwith kept(RunDirectory(Path(sys.argv[1])), 10) as k: time.sleep(600)"


def test_two_processes_cannot_train_one_run_and_a_killed_one_is_interrupted(run):
    process = subprocess.Popen([sys.executable, "-c", KEEP, str(run.path)])
    try:
        wait_for(lambda: read_state(run) is not None, 60, "the state of the run")
        assert read_state(run).state == "running"
        with pytest.raises(RunError, match=f"trained already by process {process.pid} on"), kept(run, 10):
            pass
        assert read_state(run).state == "running", "the second changed nothing"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert read_state(run).state == "interrupted"
    with kept(run, 10):
        pass
    assert read_state(run).state == "finished"


def test_runs_are_listed_with_state_progress_and_score(watched, offline):
    listed = {each.name: each for each in find_runs(watched.path.parent)}
    assert set(listed) == {"watched", "offline"}
    run = listed["watched"]
    assert (run.state, run.updates, run.total) == ("finished", run.total, run.total)
    assert run.env_steps >= 700
    assert len(run.scores) == 3, "before the first update, on the way, and at the end"
    assert listed["offline"].scores == []


def test_a_run_of_one_task_without_a_score_shows_its_return(run):
    for update, mean in ((0, -5.0), (10, -2.0)):
        for temperature in (0.0, 1.0):
            run.add_evaluation(
                {
                    "task": "gym/mine:Own-v0",
                    "updates": update,
                    "temperature": temperature,
                    "returns": [mean, mean + 1.0],
                }
            )
    (listed,) = find_runs(run.path.parent)
    assert (listed.scores, listed.returns) == ([], [-4.5, -1.5])
    console = Console(file=io.StringIO(), width=100)
    console.print(runs_table([listed]))
    assert "return -1.5" in console.file.getvalue()
    assert "▁█" in console.file.getvalue()


def test_runs_without_a_state_are_judged_by_their_checkpoints(run):
    assert [each.state for each in find_runs(run.path.parent)] == ["interrupted"]
    run.save_checkpoint(10, lambda folder: None, keep=1)
    assert [(each.state, each.updates) for each in find_runs(run.path.parent)] == [("finished", 10)]


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        find_runs(tmp_path)
    with pytest.raises(RunError, match="no folder"):
        find_runs(tmp_path / "missing")
