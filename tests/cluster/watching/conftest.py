"""One small run that everything that shows runs is tested on."""


import pytest

from cluster.config import FinetuneConfig
from cluster.config_files import load
from cluster.finetune import finetune
from cluster.rundir import RunDirectory
from tests.cluster.small import FINETUNE, changed, write

UPDATES = 24


@pytest.fixture(scope="session")
def watched(ray_cluster: None, pretrained: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run of two tasks with all objectives, evaluated on its way, beside the run that it began with."""
    folder = tmp_path_factory.mktemp("watched")
    settings = changed(
        FINETUNE,
        run__folder=str(folder),
        run__name="watched",
        run__updates=UPDATES,
        checkpoint=str(pretrained.path),
        replay__backend="memory",
        evaluation={"every": 12, "episodes": 2},
    )
    config = load(FinetuneConfig, [write(folder / "config.yaml", settings)])
    run = RunDirectory.create(config)
    finetune(config, run)
    return run
