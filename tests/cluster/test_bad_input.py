"""What a person can get wrong: told in a sentence that names it, without a traceback, with nothing lost."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster import cli
from cluster.rundir import RunDirectory
from tests.cluster.faulty import PREFIX
from tests.cluster.processes_of import scalars
from tests.cluster.small import FINETUNE, PRETRAIN, changed, write

pytestmark = pytest.mark.timeout(180)

ONLINE = [{"objective": "bc", "batch": 4, "data": {"online": 1.0}}]

Command = Callable[..., str]


@pytest.fixture
def ocelot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command that must fail with exit status 2; returns what it said on standard error."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["ocelot", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr().err
        assert ended.value.code == cli.PERSON, said
        assert "cluster/cli.py" not in said  # an environment's own traceback may be there, ours never
        return said

    return run


def online(folder: Path, task: str, **changes: Any) -> Path:
    """A configuration that trains one task from its own episodes alone, with a fresh policy."""
    config = changed(
        FINETUNE,
        run__folder=str(folder),
        tasks=[{"name": task}],
        schedule=ONLINE,
        policy=PRETRAIN["policy"],
        **changes,
    )
    return write(folder / "config.yaml", config)


def from_pretrained(folder: Path, pretrained: RunDirectory, **changes: Any) -> Path:
    config = changed(FINETUNE, run__folder=str(folder), checkpoint=str(pretrained.path), **changes)
    return write(folder / "config.yaml", config)


def test_an_unknown_task_names_the_nearest(demonstrations, tmp_path, ocelot: Command):
    said = ocelot("finetune", online(tmp_path, "gym/CartPol-v1"))
    assert "gym/CartPol-v1" in said
    assert "CartPole" in said


def test_an_unknown_key_names_the_nearest(demonstrations, tmp_path, ocelot: Command):
    said = ocelot("finetune", online(tmp_path, "gym/CartPole-v1", actors__procesess=3))
    assert "procesess" in said
    assert "processes" in said
    assert not (tmp_path / "finetuned").exists()


def test_a_missing_checkpoint_is_named(demonstrations, tmp_path, ocelot: Command):
    config = changed(FINETUNE, run__folder=str(tmp_path), checkpoint=str(tmp_path / "nowhere"))
    said = ocelot("finetune", write(tmp_path / "config.yaml", config))
    assert "no checkpoint at" in said
    assert "nowhere" in said


@pytest.mark.parametrize(("name", "why"), [("Graph-v0", "Graph"), ("Unbounded-v0", "without finite bounds")])
def test_a_space_that_cannot_become_tokens_is_named(demonstrations, tmp_path, ocelot: Command, name: str, why: str):
    said = ocelot("finetune", online(tmp_path, PREFIX + name))
    assert PREFIX + name in said
    assert why in said


def test_a_run_directory_of_another_configuration_is_not_touched(pretrained: RunDirectory, ocelot: Command):
    before = sorted(pretrained.path.rglob("*"))
    config = changed(PRETRAIN, run__folder=str(pretrained.path.parent), run__updates=13)
    said = ocelot("pretrain", write(pretrained.path.parent / "other.yaml", config))
    assert "another configuration" in said
    assert sorted(pretrained.path.rglob("*")) == before


def test_a_checkpoint_of_another_layout_is_refused(pretrained: RunDirectory, tmp_path, ocelot: Command):
    latest = pretrained.latest_checkpoint()
    assert latest is not None
    other = tmp_path / "other"
    shutil.copytree(latest, other)
    content = json.loads((other / "config.json").read_text())
    content["layouts"]["gym/CartPole-v1"]["action"]["n"] = 3
    (other / "config.json").write_text(json.dumps(content))
    config = changed(FINETUNE, run__folder=str(tmp_path), checkpoint=str(other))
    said = ocelot("finetune", write(tmp_path / "config.yaml", config))
    assert "another layout of gym/CartPole-v1" in said
    assert "of its action, it was one of 3, is now one of 2" in said


def test_fewer_actors_than_tasks_are_refused(pretrained: RunDirectory, tmp_path, ocelot: Command):
    said = ocelot("finetune", from_pretrained(tmp_path, pretrained, actors__processes=1))
    assert "actors.processes to at least 2" in said


def test_expert_data_without_datasets_is_refused(demonstrations, tmp_path, ocelot: Command):
    file = online(tmp_path, "gym/CartPole-v1")
    said = ocelot("finetune", file, "--set", "schedule=[{objective: bc}]")
    assert "no task names datasets" in said


def test_steps_that_never_fill_replay_end_the_run(ray_cluster, tmp_path, monkeypatch, ocelot: Command):
    monkeypatch.setattr("cluster.finetune.GIVE_UP", 10.0)
    file = online(tmp_path, "gym/CartPole-v1", actors__steps=100, replay__tables__online__min_size=200)
    said = ocelot("finetune", file)
    assert "all 100 environment steps are done" in said
    assert "lower replay.tables.online.min_size" in said


def test_an_unknown_task_of_a_checkpoint_is_refused(pretrained: RunDirectory, ocelot: Command):
    said = ocelot("evaluate", pretrained.path, "--tasks", "gym/Acrobot-v1")
    assert "gym/Acrobot-v1" in said
    assert "gym/CartPole-v1" in said


def test_a_taken_port_is_named(ray_cluster, tmp_path, monkeypatch, ocelot: Command):
    monkeypatch.setattr("cluster.fence.can_seal", lambda: False)  # sealed off, it has all ports to itself
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = ocelot("finetune", online(tmp_path, "gym/CartPole-v1", replay__port=port))
    assert f"port {port}" in said
    assert "replay.port" in said


@pytest.mark.parametrize(("name", "why"), [("NaN-v0", "is not finite"), ("Raises-v0", "the toy broke in step")])
def test_an_environment_that_always_fails_ends_the_run(ray_cluster, tmp_path, ocelot: Command, name: str, why: str):
    said = ocelot("finetune", online(tmp_path, PREFIX + name))
    assert f"{PREFIX}{name}: environment" in said
    assert "times in a row" in said
    assert why in said


def test_an_environment_that_fails_rarely_is_rebuilt_and_counted(ray_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ocelot", "finetune", str(online(tmp_path, PREFIX + "Rarely-v0"))])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert scalars(tmp_path / "finetuned")["faults/environments"][-1][1] > 0


def test_a_reward_that_makes_the_loss_infinite_names_its_episodes(ray_cluster, tmp_path, ocelot: Command):
    schedule = [{"objective": "awr", "batch": 4, "data": {"online": 1.0}}]
    file = online(tmp_path, PREFIX + "Huge-v0")
    said = ocelot("finetune", file, "--set", f"schedule={json.dumps(schedule)}")
    assert "Huge-v0 episode" in said
    assert "1e6" in said
