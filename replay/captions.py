"""A folder of images with captions, or with questions and answers, as training data (Gato, arXiv 2205.06175, 2.2)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy.context import fitting_steps
from policy.errors import SpaceError, TokenError
from policy.images import ImageShape
from policy.text import TextTokenizer
from policy.vocabulary import DEFAULT
from replay.corpus import text_episode
from replay.errors import DatasetError
from replay.trajectory import Trajectory

PAIRS = 5  # of an image and its text in an episode, as in the paper


@dataclass(frozen=True)
class Pair:
    """An image and what is said of it."""

    image: Path
    question: list[int]
    answer: list[int]


class CaptionFolder:
    """A `TextCorpus`: a timestep is a question (if any), an image, a separator and the caption or answer as its action.

    Five of them are an episode. Only captions and answers have a loss.

    Args:
        task: its name, captions/NAME.
        folder: holds images, and files `*.jsonl` with an object in each line: {"image": "dog.png", "caption": "a dog"}
            or {"image": "dog.png", "question": "what is it?", "answer": "a dog"}. Paths are relative to the folder.
        tokenizer: of the policy.
        context: tokens that the policy sees at once.
        image_size: height and width, multiples of 16, to which images are resized.

    Raises:
        DatasetError: no such folder, no pairs in it, a line that cannot be used, an image that is missing, or a pair
            that is longer than the context; names file and line.
    """

    def __init__(
        self, task: str, folder: str | Path, tokenizer: TextTokenizer, context: int, image_size: tuple[int, int]
    ):
        self.task = task
        self._pieces = len(tokenizer)
        self._image = ImageShape(1, *image_size, 3, image_size)
        self.patches = self._image.patches
        folder = Path(folder)
        if not folder.is_dir():
            raise DatasetError(f"{task}: there is no folder {folder}; name one that holds images and .jsonl files")
        pairs = []
        for file in sorted(folder.glob("*.jsonl")):
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                if line.strip():
                    pairs.append(_pair(f"{task}: {file}, line {number}", line, folder, tokenizer))
        if not pairs:
            raise DatasetError(
                f'{task}: {folder} holds no pairs; write lines such as {{"image": "dog.png", "caption": "a dog"}} into '
                "a file pairs.jsonl in it"
            )
        self._episodes = [pairs[at : at + PAIRS] for at in range(0, len(pairs), PAIRS)]
        self.steps = np.asarray([len(episode) for episode in self._episodes], dtype=np.int64)
        self.step_tokens = max(self._size(episode) for episode in self._episodes)
        try:
            fitting_steps(context, self.step_tokens, task)
        except SpaceError as error:
            raise DatasetError(f"{error}, or make image_size or the texts smaller ({self.patches} patches)") from None

    def __len__(self) -> int:
        return len(self._episodes)

    def episode(self, index: int) -> Trajectory:
        """Episode `index`; its images are read now.

        Raises:
            DatasetError: when one of them cannot be read.
        """
        pairs = self._episodes[index]
        asked = _padded([pair.question for pair in pairs])  # [N, question tokens]
        images = np.full((len(pairs), self.patches), DEFAULT.patch, dtype=np.int32)
        pixels = np.stack([self._read(pair.image) for pair in pairs])  # [N, P, 16, 16, 3]
        answers = _padded([pair.answer for pair in pairs])  # [N, answer tokens]
        observations = np.concatenate([asked, images], axis=1)
        return text_episode(self.task, index, observations, answers, self._pieces, pixels, self._image.intervals)

    def _size(self, pairs: list[Pair]) -> int:
        """Tokens of a timestep of an episode."""
        question = max(len(pair.question) for pair in pairs)
        return question + self.patches + 1 + max(len(pair.answer) for pair in pairs)

    def _read(self, path: Path) -> np.ndarray:
        """An image as patches uint8 [P, 16, 16, 3]."""
        from PIL import Image

        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"{self.task}: the image {path} cannot be read ({error}); replace or remove it"
            ) from None
        height, width = pixels.shape[:2]
        return ImageShape(1, height, width, 3, self._image.size).cut(pixels[None])[0]


def _pair(where: str, line: str, folder: Path, tokenizer: TextTokenizer) -> Pair:
    try:
        data: Any = json.loads(line)
    except ValueError as error:
        raise DatasetError(f"{where} is not JSON: {error}") from None
    keys = set(data) if isinstance(data, dict) else set()
    if keys not in ({"image", "caption"}, {"image", "question", "answer"}) or not all(
        isinstance(value, str) and value for value in data.values()
    ):
        raise DatasetError(f"{where}: it must have the texts image and caption, or image, question and answer")
    path = folder / data["image"]
    if not path.is_file():
        raise DatasetError(f"{where}: there is no image {path}")
    try:
        question = tokenizer.encode(data.get("question", ""))
        answer = tokenizer.encode(data.get("caption") or data["answer"])
    except TokenError as error:
        raise DatasetError(f"{where}: {error}") from None
    return Pair(path, question, answer)


def _padded(rows: list[list[int]]) -> np.ndarray:
    """Token lists as int32 [rows, longest]."""
    result = np.full((len(rows), max(len(row) for row in rows)), DEFAULT.pad, dtype=np.int32)
    for row, tokens in enumerate(rows):
        result[row, : len(tokens)] = tokens
    return result
