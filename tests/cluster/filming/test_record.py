"""Videos: what they hold, how they lie side by side, and what is refused before anything is played."""

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from actors.errors import FilmError
from cluster.filming.files import GAP, VideoError
from cluster.filming.record import record
from cluster.filming.values import state_values
from learner.view import View
from policy import checkpoint as checkpoints
from policy.config import PolicyConfig
from policy.model import Policy
from replay.batch import collate
from tests.cluster.small import CARTPOLE

SMALL = PolicyConfig(layers=1, width=32, heads=2, feedforward=64, context=48)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two checkpoints of random policies; the second one's value head is not as it was made."""
    from actors import domains

    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = Policy(SMALL)
        if seed == 2:
            torch.nn.init.normal_(model.value.weight)
        folder = tmp_path_factory.mktemp("checkpoint") / f"seed-{seed}"
        checkpoints.save(folder, model, {CARTPOLE: domains.task_layout(CARTPOLE)}, extra={"updates": seed})
        (folder / "complete").touch()
        found.append(folder)
    return found


def video(file):
    """Frames and rate of an MP4."""
    frames = imageio_ffmpeg.read_frames(str(file))
    about = next(frames)
    width, height = about["size"]
    return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in frames], about


def test_checkpoints_lie_side_by_side_and_starts_below_each_other(folders, tmp_path):
    recorded = record(folders, CARTPOLE, tmp_path / "grid.mp4", episodes=2, temperature=1.0, seed=4)
    frames, about = video(tmp_path / "grid.mp4")
    assert about["codec"] == "h264"
    assert about["fps"] == 25
    longest = max(-(-each.length // 2) for each in recorded)
    assert len(frames) == longest + 25, "the last second stands still"
    assert frames[0].shape[1] == 2 * 320 + GAP
    assert [(each.checkpoint, each.start) for each in recorded] == [
        (str(folder), start) for folder in folders for start in (0, 1)
    ]
    assert [each.value is None for each in recorded] == [True, True, False, False]
    for each in recorded:
        assert each.episode_return == each.length, "CartPole pays one a step"
        assert each.score is not None
    top, bottom = frames[0][: len(frames[0]) // 2], frames[0][len(frames[0]) // 2 :]
    assert (top != bottom).any(), "another start"
    assert frames[-1].mean() < frames[0].mean(), "films that are over are dimmed"


def test_a_gif_moves_and_a_task_that_the_checkpoint_never_saw_is_played(folders, tmp_path):
    recorded = record(folders[:1], "gym/MountainCar-v0", tmp_path / "car.gif")
    assert recorded[0].length == 200
    with Image.open(tmp_path / "car.gif") as gif:
        assert gif.format == "GIF"
        assert gif.n_frames > 50
        assert gif.info["duration"] == 70, "15 pictures a second, in hundredths of a second"


def test_values_are_those_that_the_learner_computes(folders):
    from actors import domains
    from actors.film import film
    from policy.engine import Engine

    model = checkpoints.load(folders[1]).model
    engine = Engine(model, 1)
    layout = domains.task_layout(CARTPOLE)
    (each,) = film(lambda request: engine.act([request])[0], layout, 48, temperature=1.0, seed=9)
    values = state_values(model, each.windows)
    assert values is not None
    assert values.shape == (len(each.rewards),)
    first = each.windows[0]
    alone = View(model, collate([first])).values[0, first.burn_in : len(first)].detach().numpy()
    assert values[: len(alone)] == pytest.approx(alone, rel=1e-5)


def test_what_cannot_be_made_is_refused_and_leaves_nothing(folders, tmp_path):
    with pytest.raises(VideoError, match=r"\.mp4 or \.gif"):
        record(folders, CARTPOLE, tmp_path / "film.avi")
    with pytest.raises(FilmError, match="cannot be drawn"):
        record(folders, "gym/tests.actors.toys:Undrawn-v0", tmp_path / "film.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(VideoError, match="cannot be written"):
        record(folders[:1], CARTPOLE, tmp_path / "file" / "film.gif")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
