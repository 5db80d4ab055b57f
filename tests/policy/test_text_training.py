"""A tokenizer of one's own text: it knows that text, spells the rest, and is refused where it cannot be made."""

import io

import pytest
import sentencepiece

from policy.errors import TokenError
from policy.layout import Layout
from policy.text import TextTokenizer
from policy.text_training import train

TEXT = "the gripper lifts the crate\nthe crate stands on the belt\nlift it again, gently\n" * 20


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text(TEXT)
    return path


def test_its_own_words_become_few_pieces_and_any_text_comes_back(file, tmp_path):
    made = train([file], tmp_path / "deep" / "own.model", 320)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["own.model"]
    again = TextTokenizer.load(tmp_path / "deep" / "own.model")
    assert len(again) == len(made) <= 320
    assert len(again.encode("the gripper lifts the crate")) <= 6
    assert len(again.encode("zyx")) >= 3
    for text in ("the crate", "Größe 3 €", "日本", "  two  spaces ", "tab\there"):
        assert again.decode(again.encode(text)) == text


def test_a_vocabulary_larger_than_the_text_gives_is_made_smaller(file, tmp_path):
    assert 260 < len(train([file], tmp_path / "own.model", 32_000)) < 1000


@pytest.mark.parametrize(
    ("content", "pieces", "message"),
    [
        (None, 300, "No such file"),
        (b"", 300, "there is no text in"),
        (b"\n \n", 300, "there is no text in"),
        (b"caf\xe9 au lait\n", 300, r"is not UTF-8 text \(byte 3\)"),
        (b"good text\n", 32_001, "a vocabulary of 32001 pieces is not possible; take 260 to 32,000"),
        (b"good text\n", 10, "a vocabulary of 10 pieces"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_and_leaves_nothing(tmp_path, content, pieces, message):
    path = tmp_path / "own.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TokenError, match=message):
        train([path], tmp_path / "own.model", pieces)
    assert not (tmp_path / "own.model").exists()


def test_a_tokenizer_that_is_not_there_or_none_is_named(file, tmp_path):
    with pytest.raises(TokenError, match=r"text tokenizer .*none\.model: No such file.*ocelot tokenizer train"):
        TextTokenizer.load(tmp_path / "none.model")
    with pytest.raises(TokenError, match=r"text tokenizer .*own\.txt: not a SentencePiece model"):
        TextTokenizer.load(file)


def test_text_outside_a_tokenizer_without_bytes_is_refused_by_name():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    own = TextTokenizer(model.getvalue())
    with pytest.raises(TokenError, match=r"no pieces for .*€.* in 'the crate is €'"):
        own.encode("the crate is €")
    space = {"kind": "dict", "spaces": {"mission": {"kind": "text", "max_length": 30}}}
    layout = Layout("toy/text", space, {"kind": "discrete", "n": 2, "start": 0}, text=own)
    with pytest.raises(TokenError, match="toy/text, key 'mission': the text tokenizer has no pieces"):
        layout.encode_observation({"mission": ["the crate", "€"]})
