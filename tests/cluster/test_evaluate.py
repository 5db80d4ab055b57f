"""Evaluations: the same episodes however they are divided, under one version, named as the checkpoint says."""

import shutil

import pytest

from cluster.evaluate import evaluate_checkpoint
from cluster.evaluation_pool import ENVIRONMENTS, Job, slots
from cluster.rundir import RunDirectory
from cluster.scores import interquartile_mean, scalars
from cluster.start import fresh
from replay.errors import DatasetError
from tests.cluster.small import CARTPOLE, PENDULUM

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def rows(ray_cluster, pretrained: RunDirectory) -> list[dict]:
    return evaluate_checkpoint(pretrained.path, episodes=4, temperatures=(0.0, 1.0), seed=5)


def test_every_task_at_every_temperature(rows: list[dict], pretrained: RunDirectory):
    assert [(row["task"], row["temperature"]) for row in rows] == [
        (CARTPOLE, 0.0),
        (CARTPOLE, 1.0),
        (PENDULUM, 0.0),
        (PENDULUM, 1.0),
    ]
    for row in rows:
        assert len(row["returns"]) == len(row["lengths"]) == 4
        assert row["version"] == [0, 12]
        assert row["updates"] == 12
        assert row["env_steps"] == 0
        assert row["arm"] == "pretrained"
        assert row["checkpoint"] == str(pretrained.latest_checkpoint())


def test_greedy_episodes_do_not_depend_on_who_plays_them(rows: list[dict], pretrained: RunDirectory):
    again = evaluate_checkpoint(pretrained.path, [CARTPOLE], 4, (0.0,), seed=5, processes=1)
    assert again[0]["returns"] == rows[0]["returns"]
    other = evaluate_checkpoint(pretrained.path, [CARTPOLE], 4, (0.0,), seed=6, processes=1, arm="other")
    assert other[0]["returns"] != rows[0]["returns"]
    assert other[0]["arm"] == "other"


def test_a_demonstration_or_its_end_stands_in_front(rows: list[dict], pretrained: RunDirectory, tmp_path):
    for kind in ("demonstration", "goal"):
        prompted = evaluate_checkpoint(pretrained.path, [CARTPOLE], 4, (0.0,), seed=5, processes=1, prompt=kind)
        assert prompted[0]["prompt"] == kind
        assert len(prompted[0]["returns"]) == 4
    assert "prompt" not in rows[0]
    newest = pretrained.latest_checkpoint()
    assert newest is not None
    shutil.copytree(newest, tmp_path / "alone")
    with pytest.raises(DatasetError, match=f"{CARTPOLE}: prompts are taken from demonstrations, and no datasets"):
        evaluate_checkpoint(tmp_path / "alone", [CARTPOLE], 4, (0.0,), prompt="goal")


def test_scalars_score_by_the_references(rows: list[dict]):
    values = scalars(rows)
    assert values[f"eval/return/{CARTPOLE}/greedy"] == pytest.approx(sum(rows[0]["returns"]) / 4)
    # 0 is the random player, 1 the expert: twelve updates on random episodes are near the first.
    assert -0.5 < values[f"eval/score/{CARTPOLE}/greedy"] < 0.5
    assert -1.0 < values["eval/interquartile_mean/temperature_1"] < 0.5


def test_the_interquartile_mean_leaves_out_the_outer_quarters():
    assert interquartile_mean([0, 0, 4, 6, 100, 100, -100, 5]) == pytest.approx(15 / 4)
    assert interquartile_mean([3.0]) == 3.0


def test_each_process_needs_slots_of_its_own(demonstrations):
    from cluster.config import TaskConfig
    from policy.config import PolicyConfig

    begin = fresh(PolicyConfig(layers=1, width=16, heads=2, feedforward=16), [TaskConfig(name=CARTPOLE)], None, 0)
    job = Job(begin.layouts[CARTPOLE], episodes=100, temperature=0.0, seed=0)
    assert slots([job], processes=4) == ENVIRONMENTS
    assert slots([job, job, job], processes=2) == 2 * ENVIRONMENTS
