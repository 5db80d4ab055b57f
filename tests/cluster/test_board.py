import subprocess
import sys
import types

import numpy as np
import pytest

from cluster.board import Board


def read(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))  # no TensorFlow
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_scalars_are_read_back(tmp_path, monkeypatch):
    board = Board(tmp_path)
    board.scalars(
        {"losses/bc/loss": 1.5, "charts/episodic_return/gym/CartPole-v1": 200.0, "replay/age": float("nan")}, 10
    )
    board.scalars({"losses/bc/loss": 1.25}, 20)
    board.close()
    events = read(tmp_path, monkeypatch)
    assert sorted(events.Tags()["scalars"]) == ["charts/episodic_return/gym/CartPole-v1", "losses/bc/loss"]
    assert [(point.step, point.value) for point in events.Scalars("losses/bc/loss")] == [(10, 1.5), (20, 1.25)]


def test_hyperparameters_stand_in_the_run_itself(tmp_path, monkeypatch):
    board = Board(tmp_path)
    board.hyperparameters({"run": {"seed": 3, "arm": None}, "tasks": [{"name": "gym/X-v0"}]}, ["eval/score/gym/X-v0"])
    board.close()
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "no sub-run"
    content = read(tmp_path, monkeypatch).summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"run.seed" in content
    assert b"tasks.0.name" in content
    beside = read(tmp_path, monkeypatch).summary_metadata["_hparams_/experiment"].plugin_data.content
    assert b"offline/eval/score/gym/X-v0" in beside


def test_offline_steps_have_tags_of_their_own(tmp_path, monkeypatch):
    board = Board(tmp_path, offline=True)
    board.scalars({"losses/bc/loss": 1.5}, 10)
    board.histograms({"losses/bc/values": np.arange(10.0), "replay/ages": np.zeros(0)}, 10)
    board.close()
    events = read(tmp_path, monkeypatch)
    assert events.Tags()["scalars"] == ["offline/losses/bc/loss"]
    assert events.Tags()["histograms"] == ["offline/losses/bc/values"], "an empty one is left out"
    assert events.Histograms("offline/losses/bc/values")[0].histogram_value.num == 10


def test_unknown_groups_are_refused(tmp_path):
    with pytest.raises(ValueError, match="loss/bc"):
        Board(tmp_path).scalars({"loss/bc": 1.0}, 0)


def test_tensorflow_is_not_imported(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from cluster.board import Board\n"
        "board = Board(pathlib.Path(sys.argv[1]))\n"
        "board.hyperparameters({'a': 1}, [])\n"
        "board.scalars({'losses/bc': 1.0}, 1)\n"
        "board.close()\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=120).returncode == 0
