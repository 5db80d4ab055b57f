"""What tests of whole runs share: small demonstrations, a small pretrained policy, one Ray."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.config import FinetuneConfig, PretrainConfig
from cluster.config_files import load
from cluster.rundir import RunDirectory
from learner.objectives import OBJECTIVES
from tests.cluster.reliability import Fault
from tests.cluster.reliability import write as write_table
from tests.cluster.small import CARTPOLE, FINETUNE, MIXED, PENDULUM, PRETRAIN, changed, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Random episodes of the two tasks, in a Minari folder of their own; processes find the tests' environments too."""
    from actors.experts.collect import collect

    folder = tmp_path_factory.mktemp("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(ROOT))
        for task in (CARTPOLE, PENDULUM):
            collect(task, "random", 12)
        yield folder


@pytest.fixture(scope="session")
def pretrained(demonstrations: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of a few updates."""
    from cluster.pretrain import pretrain

    folder = tmp_path_factory.mktemp("pretrained")
    config = load(PretrainConfig, [write(folder / "pretrain.yaml", PRETRAIN)], [f"run.folder={folder}"])
    run = RunDirectory.create(config)
    pretrain(config, run)
    return run


@pytest.fixture(scope="session")
def offline(demonstrations: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run of `ocelot pretrain` that trained values too, and held episodes out."""
    from cluster.pretrain import pretrain

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
    from cluster.finetune import finetune

    folder = offline.path.parent
    schedule = [{"objective": name, "batch": 4, "data": MIXED, "entropy": 0.01} for name in OBJECTIVES]
    settings = changed(
        FINETUNE,
        run__folder=str(folder),
        run__name="watched",
        run__updates=2 * len(OBJECTIVES),
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


@pytest.fixture(scope="session")
def ray_cluster(demonstrations: Path) -> Iterator[None]:
    """One Ray for all runs in this process; its processes see the environment variables of `demonstrations`."""
    from cluster.local_ray import local_ray

    assert "MINARI_DATASETS_PATH" in os.environ
    with local_ray():
        yield


@pytest.fixture(scope="session")
def reliability() -> Iterator[list[Fault]]:
    """Where tests note the faults that they injected; at the end it is the table of docs/reliability.md."""
    faults: list[Fault] = []
    yield faults
    write_table(faults)
