"""Training a SentencePiece tokenizer on a person's own text."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from policy.errors import TokenError
from policy.text import MOST_PIECES, TextTokenizer

LONGEST = 4096  # bytes of a training sentence; longer lines are cut there
FEWEST = 260  # pieces: the 256 bytes that stand for characters which the text does not hold, and three marks


def train(files: Sequence[str | Path], out: str | Path, pieces: int = MOST_PIECES) -> TextTokenizer:
    """Trains a byte-pair model on the lines of text files, and writes it: whole, or not at all.

    Any text can be encoded afterwards: what the files do not hold is spelled in bytes, and comes back as it was.

    Args:
        files: UTF-8 text.
        out: the model's file; made anew.
        pieces: of its vocabulary, at most; fewer when the text does not give so many.

    Returns:
        The tokenizer.

    Raises:
        TokenError: a file that is missing, not UTF-8 or without text; a number of pieces that cannot be.
    """
    import sentencepiece

    if not FEWEST <= pieces <= MOST_PIECES:
        raise TokenError(f"a vocabulary of {pieces} pieces is not possible; take {FEWEST} to {MOST_PIECES:,}")
    if not any(line for line in _lines(files)):
        raise TokenError(f"there is no text in {', '.join(map(str, files))}; name files that hold some")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(files),
            model_writer=model,
            vocab_size=pieces,
            model_type="bpe",
            byte_fallback=True,
            hard_vocab_limit=False,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=LONGEST,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise TokenError(f"SentencePiece cannot make {pieces} pieces of this text: {error}") from None
    tokenizer = TextTokenizer(model.getvalue())
    out = Path(out)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(tokenizer.model)
        os.replace(partial, out)
    except OSError as error:
        raise TokenError(f"{out} cannot be written: {error.strerror}") from None
    return tokenizer


def _lines(files: Sequence[str | Path]) -> Iterator[str]:
    for file in files:
        try:
            with open(file, encoding="utf-8") as lines:
                yield from (line.rstrip("\n")[: LONGEST // 4] for line in lines if line.strip())
        except OSError as error:
            raise TokenError(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise TokenError(f"{file} is not UTF-8 text (byte {error.start}); convert it, or leave it out") from None
