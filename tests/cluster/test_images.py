"""A task of images, behind prompts, through the whole loop: demonstrations, pretraining, actors, Reverb, evaluation."""

import pytest

from cluster.config import FinetuneConfig, PretrainConfig
from cluster.config_files import load
from cluster.evaluate import evaluate_checkpoint
from cluster.finetune import finetune
from cluster.pretrain import pretrain
from cluster.rundir import RunDirectory
from tests.cluster.processes_of import scalars
from tests.cluster.small import FINETUNE, MIXED, PRETRAIN, changed, write

TASK = "sokoban/6x6-1-rendered"
TASKS = [{"name": TASK, "datasets": [f"ocelot/{TASK}-expert-v0"]}]
PROMPTS = {"share": 0.5}
UPDATES = 12


@pytest.fixture(scope="module")
def run(ray_cluster, tmp_path_factory) -> RunDirectory:
    from actors.experts.collect import collect

    folder = tmp_path_factory.mktemp("images")
    collect(TASK, "expert", 12)
    begin = changed(PRETRAIN, run__folder=str(folder), run__updates=UPDATES, tasks=TASKS, prompts=PROMPTS)
    offline = RunDirectory.create(load(PretrainConfig, [write(folder / "pretrain.yaml", begin)]))
    pretrain(load(PretrainConfig, [folder / "pretrain.yaml"]), offline)
    settings = changed(
        FINETUNE,
        run__folder=str(folder),
        run__updates=UPDATES,
        checkpoint=str(offline.path),
        tasks=TASKS,
        schedule=[{"objective": name, "batch": 8, "data": MIXED} for name in ("bc", "iql")],
        replay={"tables": {"online": {"min_size": 8, "max_size": 200}}},
        actors={"processes": 1, "environments": 4, "steps": 400, "prompts": True},
        prompts=PROMPTS,
        evaluation={"episodes": 1, "temperatures": [1.0]},
    )
    config = load(FinetuneConfig, [write(folder / "finetune.yaml", settings)])
    run = RunDirectory.create(config)
    finetune(config, run)
    return run


def test_it_learns_from_images_that_came_through_reverb(run: RunDirectory):
    points = scalars(run.path)
    assert points["replay/size/online"][-1][1] > 8
    assert run.evaluations()[-1]["env_steps"] == 400
    assert {"losses/bc/loss", "losses/iql/loss"} <= points.keys()


def test_what_it_learned_acts_on_images_behind_a_prompt(run: RunDirectory):
    (row,) = evaluate_checkpoint(run.path, [TASK], 2, [1.0], prompt="demonstration")
    assert len(row["returns"]) == 2
