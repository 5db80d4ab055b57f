import json

import pytest
from typer.testing import CliRunner

from cluster.commands.demos import app
from cluster.commands.experts import app as experts
from replay.errors import DatasetError

TASK = "sokoban/6x6-1"
NAME = "ocelot/sokoban/6x6-1-expert-v0"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Ten episodes of the Sokoban solver, recorded by the command."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder / "datasets"))
        patch.setenv("OCELOT_EXPERTS_PATH", str(folder / "own"))
        patch.chdir(folder)
        arguments = ["collect", TASK, "--quality", "expert", "--episodes", "10", "--seed", "3"]
        done = CliRunner().invoke(experts, [*arguments, "--json", "made.json"], catch_exceptions=False)
        assert json.loads((folder / "made.json").read_text())["dataset"] == NAME
        assert NAME in done.output
        yield folder


def test_show_tells_and_draws(recorded):
    done = CliRunner().invoke(app, ["show", NAME, "--out", "pictures", "--json", "shown.json"], catch_exceptions=False)
    shown = json.loads((recorded / "shown.json").read_text())
    assert (shown["task"], shown["quality"], shown["expert"], shown["seed"]) == (TASK, "expert", "sokoban-a-star", 3)
    assert (shown["episodes"], shown["terminated"], shown["step_tokens"]) == (10, 10, 38)
    assert shown["tokens"] == 38 * shown["steps"]
    assert shown["returns"][0] <= shown["mean_return"] <= shown["returns"][-1] < 11.0
    assert shown["filter"]["played"] == 10
    assert f"tokens: {shown['tokens']:,}, 38 a step" in done.output
    for picture in ("histograms", "filmstrip"):
        file = recorded / "pictures" / f"ocelot-sokoban-6x6-1-expert-v0-{picture}.png"
        assert file.read_bytes().startswith(b"\x89PNG")


def test_a_dataset_of_another_task_is_named(recorded):
    with pytest.raises(DatasetError, match="was not made for sokoban/8x8-2"):
        CliRunner().invoke(app, ["show", NAME, "--task", "sokoban/8x8-2"], catch_exceptions=False)


def test_import_brings_it_in(recorded, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(recorded / "imported"))
    done = CliRunner().invoke(app, ["import", str(recorded / "datasets" / NAME)], catch_exceptions=False)
    assert f"Dataset: {NAME}" in done.output
    assert (recorded / "imported" / NAME / "data" / "main_data.hdf5").exists()
