"""Text and its tokens: SentencePiece, ids in [0, 32000)."""

import base64
from pathlib import Path

from policy.errors import TokenError

DEFAULT_MODEL = Path(__file__).parent / "data" / "missions.model"


class TextTokenizer:
    """A SentencePiece model of at most 32,000 pieces.

    Args:
        model: the serialised model, as `spm_train` writes it.

    Raises:
        TokenError: when the bytes are no SentencePiece model, or hold too many pieces.
    """

    def __init__(self, model: bytes):
        import sentencepiece

        self.model = model
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise TokenError(f"not a SentencePiece model ({len(model)} bytes): {error}") from None
        if self._processor.vocab_size() > 32000:
            raise TokenError(f"{self._processor.vocab_size()} pieces, at most 32,000 have ids; train a smaller model")

    def encode(self, text: str) -> list[int]:
        """Piece ids of a text."""
        return self._processor.encode(text)

    def decode(self, ids: list[int]) -> str:
        """The text of piece ids."""
        return self._processor.decode([int(i) for i in ids])

    def to_json(self) -> str:
        return base64.b64encode(self.model).decode("ascii")

    @classmethod
    def from_json(cls, data: str) -> "TextTokenizer":
        return cls(base64.b64decode(data))

    @classmethod
    def load(cls, path: str | Path) -> "TextTokenizer":
        """A model's file, as `ocelot tokenizer train` or `spm_train` writes it.

        Raises:
            TokenError: when there is no such file, or it is no model.
        """
        try:
            return cls(Path(path).read_bytes())
        except OSError as error:
            raise TokenError(
                f"text tokenizer {path}: {error.strerror}; make one with `ocelot tokenizer train`, or leave `text` out"
            ) from None
        except TokenError as error:
            raise TokenError(f"text tokenizer {path}: {error}") from None

    def __len__(self) -> int:
        return self._processor.vocab_size()

    @classmethod
    def default(cls) -> "TextTokenizer":
        """The small model that ships, for missions and tests."""
        return cls(DEFAULT_MODEL.read_bytes())
