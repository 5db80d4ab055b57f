"""Folders of texts, and of images with texts, as training data: what is predicted, and what is refused."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from learner.types import TaskInfo
from policy.config import PolicyConfig
from policy.images import ImageShape, resize
from policy.model import Policy
from policy.returns import ReturnScale
from policy.text import TextTokenizer
from policy.vocabulary import DEFAULT
from replay.batch import collate
from replay.captions import CaptionFolder
from replay.errors import DatasetError
from replay.pretraining import DemonstrationStream
from replay.texts import TextFolder
from tests.replay.drawings import caption_folder, text_folder
from tests.replay.samples import same

TOKENIZER = TextTokenizer.default()
CONTEXT = 64


@pytest.fixture
def texts(tmp_path) -> TextFolder:
    return TextFolder("text/shapes", text_folder(tmp_path / "texts"), TOKENIZER, CONTEXT)


def captions(tmp_path, questions=False) -> CaptionFolder:
    folder = caption_folder(tmp_path / f"captions{questions}", questions=questions)
    return CaptionFolder("captions/shapes", folder, TOKENIZER, 200, (32, 32))


def test_every_token_of_a_text_is_predicted_once(texts, tmp_path):
    pieces = [texts.episode(index) for index in range(len(texts))]
    batch = collate(pieces)
    assert batch.tokens.shape[1] <= CONTEXT + 1  # the tail's separator
    files = sorted((tmp_path / "texts").rglob("*.txt"))
    assert batch.action_token.tolist() == [token for file in files for token in TOKENIZER.encode(file.read_text())]
    assert len(files) == 3
    flat = batch.tokens.reshape(-1)
    assert torch.equal(flat[batch.action_at + 1], batch.action_token)
    assert batch.action_range.unique(dim=0).tolist() == [[0, len(TOKENIZER)]]
    assert not batch.rewards.any()
    for piece in pieces:
        piece.check()


@pytest.mark.parametrize("questions", [False, True])
def test_only_captions_and_answers_have_a_loss(tmp_path, questions):
    corpus = captions(tmp_path, questions)
    lines = [json.loads(line) for line in (corpus_folder(tmp_path, questions) / "pairs.jsonl").read_text().splitlines()]
    assert corpus.steps.tolist() == [5, 5, 2]  # five pairs an episode
    for number in range(len(corpus)):
        episode = corpus.episode(number)
        episode.check()
        assert episode.tokens.shape[1] <= corpus.step_tokens
        batch = collate([episode])
        mine = lines[5 * number : 5 * number + 5]
        answers = [line.get("answer") or line["caption"] for line in mine]
        assert batch.action_token.tolist() == [token for answer in answers for token in TOKENIZER.encode(answer)]
        assert not (batch.action_token == DEFAULT.pad).any()
        counts = Counter(batch.action_step.tolist())
        assert [counts[step] for step in range(len(mine))] == [len(TOKENIZER.encode(answer)) for answer in answers]
        for step, line in enumerate(mine):
            observed = episode.tokens[step, : len(episode.tail) - 1]
            question = [int(token) for token in observed if token not in (DEFAULT.pad, DEFAULT.patch)]
            assert TOKENIZER.decode(question) == line.get("question", "")
            assert (observed == DEFAULT.patch).sum() == 4
            assert (observed[-4:] == DEFAULT.patch).all()  # the question comes before the image


def corpus_folder(tmp_path, questions):
    return tmp_path / f"captions{questions}"


def test_pictures_are_resized_to_one_size(tmp_path):
    from PIL import Image

    episode = captions(tmp_path).episode(0)
    for step in range(5):
        with Image.open(corpus_folder(tmp_path, False) / f"{step}.png") as picture:
            pixels = np.asarray(picture)[None]
        expected = ImageShape(1, 32, 32, 3).cut(resize(pixels, 32, 32))[0]
        np.testing.assert_array_equal(episode.patches[step], expected)


def mixture(tmp_path, texts, seed=0) -> DemonstrationStream:
    corpora = {"text/shapes": texts, "captions/shapes": captions(tmp_path)}
    weights = {"text/shapes": 1.0, "captions/shapes": 3.0}
    return DemonstrationStream({}, {}, 200, weights, seed, texts=corpora, prompts=0.5)


def test_texts_stream_by_their_weights_and_resume_to_the_bit(tmp_path, texts):
    first = mixture(tmp_path, texts)
    drawn = Counter(window.task for window in first.windows(800))
    assert drawn["captions/shapes"] / 800 == pytest.approx(0.75, abs=0.06)
    (tmp_path / "captionsFalse").rename(tmp_path / "moved")
    second = mixture(tmp_path, texts)
    second.restore(json.loads(json.dumps(first.state())))
    after = second.windows(60)
    assert all(same(left, right) for left, right in zip(first.windows(60), after, strict=True))
    assert not any(len(window.prompt) for window in after)


@pytest.mark.parametrize("objective", ["bc", "return_conditioned", "awr"])
def test_a_policy_learns_what_is_said(tmp_path, texts, objective):
    torch.manual_seed(0)
    stream = mixture(tmp_path, texts)
    tasks = dict.fromkeys(("text/shapes", "captions/shapes"), TaskInfo(1.0, ReturnScale(0.0, 1.0)))
    small = PolicyConfig(layers=1, width=32, heads=2, feedforward=64, context=200, patch_channels=32)
    learner = Learner(
        Policy(small),
        tasks,
        LearnerConfig(learning_rate=5e-3, warmup_updates=2),
        Schedule([Entry(objective, batch=6)]),
    )
    losses = [learner.update(lambda table, count: stream.windows(count))[f"{objective}/loss"] for _ in range(25)]
    assert losses[-1] < 0.6 * losses[0]


def test_folders_that_cannot_be_read_are_named(tmp_path, texts):
    with pytest.raises(DatasetError, match=r"text/none: there is no folder .*nowhere"):
        TextFolder("text/none", tmp_path / "nowhere", TOKENIZER, CONTEXT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"holds no \.txt file with text"):
        TextFolder("text/empty", tmp_path / "empty", TOKENIZER, CONTEXT)
    (tmp_path / "empty" / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DatasetError, match=r"a\.txt is not UTF-8 text \(byte 3\)"):
        TextFolder("text/latin", tmp_path / "empty", TOKENIZER, CONTEXT)
    with pytest.raises(DatasetError, match="captions/none: there is no folder"):
        CaptionFolder("captions/none", tmp_path / "nowhere", TOKENIZER, CONTEXT, (32, 32))
    with pytest.raises(DatasetError, match="holds no pairs; write lines"):
        CaptionFolder("captions/empty", tmp_path / "empty", TOKENIZER, CONTEXT, (32, 32))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ('{"image": "0.png"}', "line 2: it must have the texts image and caption"),
        ('{"image": "0.png", "caption": ""}', "line 2: it must have"),
        ('{"image": "0.png", "caption": 3}', "line 2: it must have"),
        ("[1]", "line 2: it must have"),
        ('{"image": "9.png", "caption": "a"}', r"line 2: there is no image .*9\.png"),
        (
            json.dumps({"image": "0.png", "caption": "a " * 300}),
            "captions/bad: one timestep has .* make image_size or the texts smaller",
        ),
    ],
)
def test_lines_that_cannot_be_used_are_named(tmp_path, line, message):
    folder = caption_folder(tmp_path / "bad", pictures=1)
    with open(folder / "pairs.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(DatasetError, match=message):
        CaptionFolder("captions/bad", folder, TOKENIZER, 200, (32, 32))


def test_a_damaged_image_is_named(tmp_path):
    corpus = captions(tmp_path)
    broken = corpus_folder(tmp_path, False) / "2.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DatasetError, match=r"captions/shapes: the image .*2\.png cannot be read"):
        corpus.episode(0)
