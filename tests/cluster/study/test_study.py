"""A study runs what is left, notes what fails, and says what came out."""

import json
import shutil
import threading
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cluster.cli import app
from cluster.comparing.comparison import Comparison
from cluster.config import FinetuneConfig
from cluster.rundir import RunDirectory
from cluster.study.config import study_config
from cluster.study.jobs import StudyError, jobs
from cluster.study.run import study
from policy.errors import OcelotError
from tests.cluster.conftest import ROOT
from tests.cluster.small import CARTPOLE, FINETUNE, PRETRAIN, changed, write

EVALUATED = {"episodes": 2, "temperatures": [0.0], "clips": False}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small study of one task: two arms that run, and one whose learner diverges."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", "elsewhere")  # restored after the study has set its own
    tasks = [{"name": CARTPOLE, "datasets": ["ocelot/gym/CartPole-v1-random-v0"]}]
    start = changed(PRETRAIN, run__updates=4, evaluation=EVALUATED) | {"tasks": tasks}
    shared = changed(FINETUNE, run__updates=6, evaluation=EVALUATED | {"every": 3}, actors__steps=200) | {
        "tasks": tasks
    }
    del shared["schedule"]
    write(tmp_path / "pretrain.yaml", start)
    write(tmp_path / "finetune.yaml", shared)
    write(tmp_path / "cloning.yaml", {"schedule": [{"objective": "bc", "batch": 4}]})
    write(
        tmp_path / "alternating.yaml",
        {"schedule": [{"objective": "awr", "batch": 4, "data": {"online": 1.0}}, {"objective": "bc", "batch": 4}]},
    )
    write(
        tmp_path / "breaks.yaml",
        {"schedule": [{"objective": "bc", "batch": 4}], "learner": {"learning_rate": 1e20, "warmup_updates": 1}},
    )
    group = {
        "demonstrations": [{"task": CARTPOLE, "quality": "random", "episodes": 4}],
        "pretrain": ["pretrain.yaml"],
        "finetune": ["finetune.yaml"],
        "arms": {arm: [f"{arm}.yaml"] for arm in ("breaks", "cloning", "alternating")},
    }
    settings = {
        "groups": {"one": group},
        "folder": str(tmp_path / "runs"),
        "results": str(tmp_path / "results"),
        "seeds": [0],
        "player_episodes": 2,
        "floors": {CARTPOLE: 495},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


@pytest.mark.timeout(240)
@pytest.mark.parametrize("at_once", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_study_on_the_real_processes(folder, ray_cluster, capsys, at_once):
    file = folder / "study.yaml"
    config = study_config(file)
    assert not study(file, config, "ocelot study study.yaml", at_once)
    rows = {path.parent.name: json.loads(path.read_text()) for path in (folder / "results").rglob("run.json")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "pretrained-0": "done",
        "breaks-0": "failed",
        "cloning-0": "done",
        "alternating-0": "done",
    }
    assert "not finite" in rows["breaks-0"]["error"] or "is nan" in rows["breaks-0"]["error"]
    assert all(row["hours"] > 0 for row in rows.values() if row["status"] == "done")
    comparison = Comparison.load(folder / "results" / "one" / "comparison.json")
    assert {row.arm for row in comparison.rows} == {
        "random", "demonstrations", "expert", "pretrained", "cloning", "alternating",
    }  # fmt: skip
    assert all(len(row.returns) == row.episodes == 2 for row in comparison.rows if row.run is not None)
    page = (folder / "results" / "README.md").read_text()
    for expected in ("`ocelot study study.yaml`", "3 of 4 runs done", "failed: one/breaks-0"):
        assert expected in page
    assert "| difference over all tasks, paired by seed | greedy |" in page
    assert "\n| alternating - cloning | " in page
    assert "| first evaluation online minus before | greedy |" in page
    assert (folder / "results" / "one" / "comparison.png").exists()

    # All arms begin with the same weights, which the pretrained run has evaluated already.
    start, cloning = (RunDirectory(folder / "runs" / "one" / f"{arm}-0") for arm in ("pretrained", "cloning"))
    before = [line for line in cloning.evaluations() if line["updates"] == 0]
    assert [line["returns"] for line in before] == [line["returns"] for line in start.evaluations()]
    assert {(line["arm"], line["env_steps"]) for line in before} == {("cloning", 0)}
    assert "1 evaluations before any update are those of" in (cloning.path / "ocelot.log").read_text()

    # Rows and results alone came to another machine: what the arm that is left starts from is made anew, first.
    capsys.readouterr()
    shutil.rmtree(folder / "runs" / "one")
    assert not study(file, config, "elsewhere", at_once)
    printed = capsys.readouterr().out
    assert "3 of 4 runs are done, 1 are left" in printed
    assert "[1/1] one/breaks-0" in printed
    assert "one/pretrained-0 is done, but its run is not on this machine" in printed
    assert "3 of 4 runs done" in (folder / "results" / "README.md").read_text()


def test_rows_of_other_settings_are_refused(folder):
    file = folder / "study.yaml"
    job = jobs(study_config(file), folder)[0]
    job.fail(OcelotError("no"))
    assert job.row().status == "failed"
    noted = json.loads(job.row_file.read_text())
    del noted["config"]["learner"]["compile"]  # of a time when there was no such setting
    job.row_file.write_text(json.dumps(noted))
    assert job.row().status == "failed"
    write(
        folder / "pretrain.yaml", changed(PRETRAIN, run__updates=5, evaluation=EVALUATED) | {"tasks": PRETRAIN["tasks"]}
    )
    with pytest.raises(StudyError, match=r"run\.updates: 4, now 5"):
        study(file, study_config(file), "ocelot study")


def test_weak_experts_are_refused(folder):
    file = folder / "study.yaml"
    config = study_config(file).model_copy(update={"floors": {CARTPOLE: 501.0}})
    with pytest.raises(StudyError, match="at least 501, the reference is 500"):
        study(file, config, "ocelot study")


def test_arms_whose_start_failed_are_left_out_and_time_ends_a_study(folder, monkeypatch):
    calls = []

    def driver(config, run: RunDirectory):
        calls.append(run.path.name)
        if len(calls) == 1:
            raise OcelotError("no room")
        threading.Event().wait(30)

    monkeypatch.setattr("cluster.pretrain.pretrain", driver)
    monkeypatch.setattr("cluster.study.run.record", lambda demonstrations, seed: None)
    file = folder / "study.yaml"
    assert not study(file, study_config(file), "ocelot study")
    assert calls == ["pretrained-0"]
    errors = {job.arm: job.row().error for job in jobs(study_config(file), folder)}
    assert errors["pretrained"] == "no room"
    assert all("it starts from one/pretrained-0" in errors[arm] for arm in ("cloning", "alternating", "breaks"))
    (folder / "results" / "README.md").unlink()
    assert not study(file, study_config(file, hours=0.0), "ocelot study")
    assert calls == ["pretrained-0"], "no hours: nothing is run"
    assert "failed: one/pretrained-0: no room" in (folder / "results" / "README.md").read_text()
    assert not study(file, study_config(file, hours=5 / 3600), "ocelot study")
    assert calls == ["pretrained-0"] * 2
    assert jobs(study_config(file), folder)[0].row().error == "no room", "a run that was stopped leaves no row"


def test_other_seeds_have_other_folders(folder):
    tuned = study_config(folder / "study.yaml", seeds=[100, 101])
    assert tuned.results.endswith("results-seeds-100-101")
    assert {job.seed for job in jobs(tuned, folder)} == {100, 101}


def test_seeds_are_given_either_way_and_the_page_quotes_what_makes_the_same_results(folder, monkeypatch):
    told = []

    def noted(file, config, command, at_once):
        told.append((config.seeds, command, at_once))
        return True

    monkeypatch.setattr("cluster.study.run.study", noted)
    file = str(folder / "study.yaml")
    given = ["study", file, "--seeds", "100", "--seeds", "102,101", "--hours", "2", "--at-once", "2"]
    assert CliRunner().invoke(app, given, catch_exceptions=False).exit_code == 0
    assert CliRunner().invoke(app, ["study", file], catch_exceptions=False).exit_code == 0
    assert told == [
        ([100, 102, 101], f"ocelot study {file} --seeds 100,102,101 --at-once 2", 2),
        ([0], f"ocelot study {file}", 1),
    ]
    refused = CliRunner().invoke(app, ["study", file, "--seeds", "1,x"])
    assert refused.exit_code == 2
    assert "'1,x' must be whole numbers" in " ".join(refused.output.split())


def test_the_shipped_study_gives_every_arm_the_same_work():
    file = ROOT / "examples" / "study.yaml"
    every = jobs(study_config(file), file.parent)
    assert len(every) == 5 * (5 + 3 * 8)
    for group in {job.group for job in every}:
        online = [job.config for job in every if job.group == group and isinstance(job.config, FinetuneConfig)]
        assert len({(config.run.updates, config.actors.steps, config.evaluation.episodes) for config in online}) == 1
        assert {config.evaluation.temperatures[0] for config in online} == {0.0}
