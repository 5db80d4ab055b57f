import json

import pytest

from cluster import quickstart
from cluster.comparing.aggregates import EPISODES
from cluster.comparing.comparison import Comparison
from cluster.config import FinetuneConfig, PretrainConfig
from cluster.config_files import ConfigError, load
from cluster.preflight import problems
from cluster.quickstart_config import EXAMPLES, quickstart_config
from cluster.rundir import RunDirectory

TASKS = ("gym/CartPole-v1", "gym/Pendulum-v1")


def test_shipped_settings_are_valid_and_give_every_arm_the_same_work():
    config = quickstart_config(EXAMPLES)
    pretraining = load(PretrainConfig, [EXAMPLES / config.pretrain])
    arms = {
        arm: load(FinetuneConfig, [EXAMPLES / config.finetune, EXAMPLES / file], ["checkpoint=runs/x"])
        for arm, file in config.arms.items()
    }
    assert set(config.default_arms) <= arms.keys()
    assert {"cloning", "alternating", "filtered_cloning"} <= arms.keys()
    assert {arm.run.updates for arm in arms.values()} == {arms["cloning"].run.updates}
    assert {arm.actors.steps for arm in arms.values()} == {arms["cloning"].actors.steps}
    for run in (pretraining, *arms.values()):
        assert tuple(task.name for task in run.tasks) == TASKS
        assert run.evaluation.episodes >= 50
        assert set(run.evaluation.temperatures) == {0.0, 1.0}
    assert {entry.objective for entry in arms["cloning"].schedule} == {"bc"}
    assert {table for entry in arms["cloning"].schedule for table in entry.data} == {"expert"}


def test_unknown_arm_and_missing_settings(tmp_path):
    with pytest.raises(ConfigError, match="unknown arm 'clone'"):
        quickstart.quickstart(tmp_path, arms=["clone"])
    with pytest.raises(ConfigError, match=r"quickstart\.yaml"):
        quickstart.quickstart(tmp_path, settings=tmp_path)


@pytest.fixture
def drivers(monkeypatch):
    """Drivers that note their calls and leave what real ones leave: evaluations after the last update."""
    calls = []

    def driver(config, run: RunDirectory):
        calls.append((run.path.name, config.run.seed))
        for task in config.tasks:
            for temperature in config.evaluation.temperatures:
                run.add_evaluation(
                    {
                        "task": task.name,
                        "arm": config.run.arm,
                        "updates": config.run.updates,
                        "temperature": temperature,
                        "checkpoint": f"{run.path}/checkpoints/step_000001",
                        "returns": [100.0, 120.0],
                    }
                )

    monkeypatch.setattr("cluster.pretrain.pretrain", driver)
    monkeypatch.setattr("cluster.finetune.finetune", driver)
    return calls


def test_stages_once_each_and_compared(tmp_path, drivers, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", "elsewhere")  # restored after the quickstart has set its own
    settings = tmp_path / "settings"
    (settings / "arms").mkdir(parents=True)
    for file in EXAMPLES.rglob("*.yaml"):
        text = file.read_text().replace("episodes: 100", "episodes: 3")
        (settings / file.relative_to(EXAMPLES)).write_text(text)
    with open(settings / "quickstart.yaml", "a") as file:
        file.write("player_episodes: 2\n")
    out = tmp_path / "out"
    comparison = quickstart.quickstart(out, seed=4, settings=settings)
    assert drivers == [("pretrained", 4), ("cloning", 4), ("alternating", 4)]
    arms = {row.arm for row in comparison.rows}
    assert arms == {"random", "demonstrations", "expert", "pretrained", "cloning", "alternating"}
    assert {row.seed for row in comparison.rows} == {4}
    recorded = [row for row in comparison.rows if row.arm == "demonstrations"]
    assert [(row.task, row.episodes) for row in recorded] == [(task, 3) for task in TASKS]
    assert Comparison.load(out / "comparison.json") == comparison
    assert {a.interval for a in comparison.aggregates if a.metric == "score"} == {EPISODES}
    assert EPISODES in (out / "comparison.md").read_text()
    assert json.loads((out / "players-gym-CartPole-v1.json").read_text())["expert"]
    again = quickstart.quickstart(out, seed=4, arms=["cloning", "filtered_cloning"], settings=settings)
    assert drivers[3:] == [("filtered_cloning", 4)], "what is done is not done again"
    assert "alternating" not in {row.arm for row in again.rows}
    assert f"ocelot evaluate {out / 'filtered_cloning'} --episodes 100" in quickstart.further(again, out)


def test_this_machine_is_fit():
    assert problems() == []
