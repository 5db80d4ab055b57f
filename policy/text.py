"""Text and its tokens: SentencePiece, ids in [0, 32000)."""

import base64
from pathlib import Path

from policy.errors import TokenError
from policy.vocabulary import DEFAULT

MOST_PIECES = len(DEFAULT.text)  # that have ids
DEFAULT_MODEL = Path(__file__).parent / "data" / "missions.model"


class TextTokenizer:
    """A SentencePiece model of at most 32,000 pieces.

    Models of ours have byte fallback: any text has tokens, and they decode to it. Where a model has none, text that it
    does not know is an error, for its one token for the unknown would lose it.

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
        if len(self) > MOST_PIECES:
            raise TokenError(f"{len(self)} pieces, at most {MOST_PIECES:,} have ids; train a smaller model")
        self._unknown = self._processor.unk_id()

    def encode(self, text: str) -> list[int]:
        """Piece ids of a text.

        Raises:
            TokenError: for text that the model has no pieces for; names it.
        """
        ids = self._processor.encode(text)
        if self._unknown in ids:
            pieces = self._processor.encode(text, out_type=str)
            unknown = pieces[ids.index(self._unknown)]
            raise TokenError(
                f"the text tokenizer has no pieces for {unknown!r} in {text!r:.80}; make one with byte fallback "
                "(`ocelot tokenizer train` does)"
            )
        return ids

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
