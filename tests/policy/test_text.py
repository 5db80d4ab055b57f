import io

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from policy.data.make_missions import PIECES, sentences
from policy.errors import TokenError
from policy.text import DEFAULT_MODEL, TextTokenizer

TOKENIZER = TextTokenizer.default()


@given(st.text(max_size=40))
def test_any_text_comes_back_as_it_was(text):
    text = text.replace("\0", "").replace("▁", "")  # the one mark that SentencePiece keeps for itself
    ids = TOKENIZER.encode(text)
    assert all(0 <= i < PIECES for i in ids)
    assert TOKENIZER.decode(ids) == text


def test_missions_are_short():
    assert len(TOKENIZER.encode("put the red ball next to a green box behind you")) <= 12


def test_json_keeps_the_model():
    again = TextTokenizer.from_json(TOKENIZER.to_json())
    assert again.encode("open the door") == TOKENIZER.encode("open the door")


def test_the_shipped_model_is_what_its_command_makes(tmp_path):
    from policy.data.make_missions import main

    main(tmp_path / "again.model")
    again = TextTokenizer((tmp_path / "again.model").read_bytes())
    assert again.encode("unlock the blue door") == TOKENIZER.encode("unlock the blue door")
    assert DEFAULT_MODEL.stat().st_size < 50_000


def test_what_is_no_model_is_refused():
    with pytest.raises(TokenError, match="not a SentencePiece model"):
        TextTokenizer(b"something else")


def test_too_many_pieces_are_refused(monkeypatch):
    monkeypatch.setattr("policy.text.sentencepiece", sentencepiece, raising=False)
    monkeypatch.setattr(sentencepiece.SentencePieceProcessor, "vocab_size", lambda self: 32001)
    with pytest.raises(TokenError, match="32001 pieces, at most 32,000"):
        TextTokenizer(TOKENIZER.model)


def test_a_model_of_ones_own_text_works():
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences(1), model_writer=file, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    own = TextTokenizer(file.getvalue())
    assert own.decode(own.encode("go to the red ball")) == "go to the red ball"
