"""A folder of text files as training data: every token is predicted from those before it in its piece."""

from pathlib import Path

import numpy as np

from policy.errors import TokenError
from policy.text import TextTokenizer
from replay.corpus import text_episode
from replay.errors import DatasetError
from replay.trajectory import Trajectory


class TextFolder:
    """A `TextCorpus`: each episode is one timestep, a separator and a piece of a document as its action.

    Documents are cut into pieces as long as the context. Their tokens are kept in memory, two bytes each.

    Args:
        task: its name, text/NAME.
        folder: its files `*.txt`, in folders within it too, are UTF-8 text.
        tokenizer: of the policy.
        context: tokens that the policy sees at once.

    Raises:
        DatasetError: no such folder, no text in it, or text that has no tokens; names the file.
    """

    patches = 0

    def __init__(self, task: str, folder: str | Path, tokenizer: TextTokenizer, context: int):
        self.task = task
        self.step_tokens = context
        self._pieces = len(tokenizer)
        self._parts: list[np.ndarray] = []
        folder = Path(folder)
        if not folder.is_dir():
            raise DatasetError(f"{task}: there is no folder {folder}; name one that holds .txt files")
        for file in sorted(folder.rglob("*.txt")):
            try:
                tokens = np.asarray(tokenizer.encode(file.read_text(encoding="utf-8")), dtype=np.uint16)
            except UnicodeDecodeError as error:
                raise DatasetError(
                    f"{task}: {file} is not UTF-8 text (byte {error.start}); convert or remove it"
                ) from None
            except (TokenError, OSError) as error:
                raise DatasetError(f"{task}: {file}: {error}") from None
            room = context - 1  # a separator stands in front
            self._parts += [tokens[at : at + room] for at in range(0, len(tokens), room)]
        if not self._parts:
            raise DatasetError(f"{task}: {folder} holds no .txt file with text in it")
        self.steps = np.ones(len(self._parts), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._parts)

    def episode(self, index: int) -> Trajectory:
        """Piece `index`."""
        nothing = np.zeros((1, 0), dtype=np.int32)
        return text_episode(self.task, index, nothing, self._parts[index][None].astype(np.int32), self._pieces)
