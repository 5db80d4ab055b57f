import errno
import json

import pytest

from cluster.config import FinetuneConfig, PretrainConfig
from cluster.rundir import RunDirectory, RunError, find_checkpoint


def config(folder, **run):
    return PretrainConfig(
        run={"name": "test", "folder": str(folder), "updates": 10, **run}, tasks=[{"name": "gym/X-v0"}]
    )


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(config(tmp_path))


def write(text="weights"):
    def into(folder):
        (folder / "training_state").mkdir()
        (folder / "training_state" / "state.json").write_text("{}")
        (folder / "model.safetensors").write_text(text)

    return into


def test_a_new_run_says_what_it_is(run, tmp_path):
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["packages"]["torch"]
    assert environment["hardware"]["cores"] >= 1
    assert (run.path / "config.yaml").exists()


def test_same_configuration_resumes_another_is_refused(run, tmp_path):
    run.add_evaluation({})
    assert RunDirectory.create(config(tmp_path)).path == run.path
    with pytest.raises(RunError, match=r"run.seed: 0, now 1.*--name"):
        RunDirectory.create(config(tmp_path, seed=1))


def test_a_run_that_failed_before_it_began_takes_another_configuration(run, tmp_path):
    RunDirectory.create(config(tmp_path, seed=1))
    assert "seed: 1" in (run.path / "config.yaml").read_text()


def test_a_run_goes_on_with_settings_for_more_machines(tmp_path):
    def settings(processes, steps=100, compiled=False):
        policy = {"layers": 1, "width": 8, "heads": 1, "feedforward": 8, "context": 16}
        return FinetuneConfig(
            run={"name": "online", "folder": str(tmp_path), "updates": 10},
            tasks=[{"name": "gym/X-v0"}],
            policy=policy,
            learner={"compile": compiled},
            actors={"processes": processes, "steps": steps},
        )

    run = RunDirectory.create(settings(2))
    assert RunDirectory.create(settings(5, compiled=True)).path == run.path
    assert "processes: 5" in (run.path / "config.yaml").read_text()
    run.add_evaluation({})
    with pytest.raises(RunError, match=r"\(actors.steps: 100, now 200\)"):
        RunDirectory.create(settings(2, steps=200))
    assert "processes: 5" in (run.path / "config.yaml").read_text()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="no run"):
        RunDirectory.create(config(tmp_path))
    with pytest.raises(RunError, match="no run directory"):
        RunDirectory.open(tmp_path / "test")


def test_a_checkpoint_exists_once_it_is_complete(run):
    assert run.latest_checkpoint() is None
    first = run.save_checkpoint(5, write(), keep=2)
    assert first == run.latest_checkpoint()
    half = run.checkpoints / "step_000009"
    half.mkdir()
    (half / "model.safetensors").write_text("half")
    assert run.latest_checkpoint() == first
    with pytest.raises(RunError, match="complete"):
        find_checkpoint(half)
    assert find_checkpoint(run.path) == first
    assert find_checkpoint(run.checkpoints / "latest") == first
    whole = run.save_checkpoint(9, write("whole"), keep=2)
    assert (whole / "model.safetensors").read_text() == "whole"
    assert find_checkpoint(run.checkpoints / "latest") == whole


def test_old_checkpoints_go(run):
    for step in (1, 2, 999_999, 1_000_000):
        run.save_checkpoint(step, write(), keep=2)
    assert [folder.name for folder in run.complete_checkpoints()] == ["step_999999", "step_1000000"]


def test_no_checkpoint_to_find(run, tmp_path):
    with pytest.raises(RunError, match="no complete checkpoint yet"):
        find_checkpoint(run.path)
    with pytest.raises(RunError, match="no checkpoint at"):
        find_checkpoint(tmp_path / "nothing")


def test_a_full_disk_says_so_and_keeps_the_last_good_checkpoint(run):
    good = run.save_checkpoint(1, write(), keep=1)

    def full(folder):
        (folder / "model.safetensors").write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match="no space left"):
        run.save_checkpoint(2, full, keep=1)
    assert run.complete_checkpoints() == [good]
    assert not (run.checkpoints / "step_000002").exists()


def test_evaluations_survive_a_line_cut_short(run):
    run.add_evaluation({"task": "a", "returns": [1.0]})
    with open(run.path / "evaluations.jsonl", "a") as file:
        file.write('{"task": "b", "ret')
    assert run.evaluations() == [{"task": "a", "returns": [1.0]}]


def test_log_file(run):
    with run.logging() as logger:
        logger.info("begun")
    logger.info("not any more")
    assert "begun" in (run.path / "ocelot.log").read_text()
    assert "any more" not in (run.path / "ocelot.log").read_text()
