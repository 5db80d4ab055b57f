"""Two small runs that everything that shows runs is tested on."""

import pytest

from cluster.config import FinetuneConfig, PretrainConfig
from cluster.config_files import load
from cluster.finetune import finetune
from cluster.pretrain import pretrain
from cluster.rundir import RunDirectory
from learner.objectives import OBJECTIVES
from tests.cluster.small import FINETUNE, MIXED, PRETRAIN, changed, write

UPDATES = 2 * len(OBJECTIVES)


@pytest.fixture(scope="session")
def offline(demonstrations: None, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run of `ocelot pretrain` that trained values too, and held episodes out."""
    folder = tmp_path_factory.mktemp("watched")
    schedule = [{"objective": "bc", "batch": 4}, {"objective": "awr", "batch": 4}]
    settings = changed(
        PRETRAIN, run__folder=str(folder), run__name="offline", run__updates=4, held_out=0.25, schedule=schedule
    )
    config = load(PretrainConfig, [write(folder / "offline.yaml", settings)])
    run = RunDirectory.create(config)
    pretrain(config, run)
    return run


@pytest.fixture(scope="session")
def watched(ray_cluster: None, offline: RunDirectory) -> RunDirectory:
    """A finished run of `ocelot finetune`, from the one above and beside it: all objectives, evaluated on its way."""
    folder = offline.path.parent
    schedule = [{"objective": name, "batch": 4, "data": MIXED, "entropy": 0.01} for name in OBJECTIVES]
    settings = changed(
        FINETUNE,
        run__folder=str(folder),
        run__name="watched",
        run__updates=UPDATES,
        run__log_every=1,
        actors__steps=700,
        schedule=schedule,
        checkpoint=str(offline.path),
        replay__backend="memory",
        evaluation={"every": len(OBJECTIVES), "episodes": 2},
    )
    config = load(FinetuneConfig, [write(folder / "watched.yaml", settings)])
    run = RunDirectory.create(config)
    finetune(config, run)
    return run
