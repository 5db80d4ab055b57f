import json

import minari
import numpy as np
import pytest
from typer.testing import CliRunner

from actors.experts import references
from actors.experts.types import ExpertError
from cluster.commands.experts import app

TASK = "gym/CartPole-v1"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    monkeypatch.setenv("OCELOT_EXPERTS_PATH", str(tmp_path / "own"))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_several_processes_record_what_one_would(ray_cluster, own_folders):
    for processes, name in ((1, "tests/one-v0"), (2, "tests/two-v0")):
        run("collect", TASK, "--quality", "mixed", "--episodes", 25, "--dataset", name, "--processes", processes)
    one, two = (list(minari.load_dataset(name)) for name in ("tests/one-v0", "tests/two-v0"))
    assert len(one) == len(two) == 25
    for left, right in zip(one, two, strict=True):
        assert np.array_equal(left.observations, right.observations)
        assert np.array_equal(left.actions, right.actions)
    seeds = [each["seed"] for each in minari.load_dataset("tests/two-v0").storage.get_episode_metadata(range(25))]
    assert len(set(seeds)) == 25


def test_measuring_goes_on_where_it_stopped(own_folders):
    file = own_folders / "references.json"
    run("measure", TASK, "--episodes", 3, "--into", file, "--processes", 1)
    first = json.loads(file.read_text())
    with pytest.raises(ExpertError, match="gym/Taxi-v3 has no expert expert"):
        run("measure", "gym/MountainCar-v0", "gym/Taxi-v3", "--episodes", 3, "--into", file, "--processes", 1)
    assert list(json.loads(file.read_text())) == [TASK, "gym/MountainCar-v0"]
    marked = first[TASK] | {"random": first[TASK]["random"] | {"player": "measured before"}}
    file.write_text(json.dumps({TASK: marked}))
    done = run(
        "measure",
        TASK,
        "gym/MountainCar-v0",
        "--episodes",
        3,
        "--into",
        file,
        "--processes",
        1,
        "--json",
        file.parent / "r",
    )
    assert references.entry(TASK, file).random.player == "measured before"  # it was not measured again
    assert references.entry("gym/MountainCar-v0", file).expert.episodes == 3
    assert "gym/MountainCar-v0: random -200.00" in done.output
    assert [row["task"] for row in json.loads((file.parent / "r").read_text())] == [TASK, "gym/MountainCar-v0"]
    run("measure", TASK, "--episodes", 4, "--into", file, "--processes", 1)
    assert references.entry(TASK, file).random.player == "random"
