"""Makes missions.model, the small SentencePiece model that ships: `python -m policy.data.make_missions`.

The text is made here: instructions in the grammar of BabyAI (arXiv 1810.08272, section 3.2) and MiniGrid's missions,
and plain sentences about control, so that a person's own short texts become few pieces. Bytes stand in for characters
that it has never seen, so that every text can be encoded and comes back as it was.
"""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import sentencepiece

PIECES = 700
SENTENCES = 6000
COLOURS = ["red", "green", "blue", "purple", "yellow", "grey"]
OBJECTS = ["ball", "box", "key"]
PLACES = ["", "", "", " in front of you", " behind you", " on your left", " on your right"]
FIXED = [
    "get to the green goal square",
    "avoid the lava and get to the green goal square",
    "find the opening and get to the green goal square",
    "traverse the rooms to get to the goal",
    "use the key to open the door and then get to the goal",
    "open the box and pick up the object inside",
    "unlock the door and pick up the object behind it",
]
SUBJECTS = ["the robot", "the arm", "the agent", "the player", "the cart", "the walker", "the gripper", "you"]
VERBS = ["move", "turn", "reach", "push", "pull", "lift", "hold", "drop", "place", "press", "slide", "balance", "swing"]
THINGS = ["the pole", "the door", "the drawer", "the button", "the window", "the handle", "the block", "the cup"]
WAYS = ["slowly", "quickly", "to the left", "to the right", "up", "down", "forward", "back", "without falling", "again"]
QUESTIONS = ["what is", "where is", "how many", "which one is", "is there", "can you see"]


def _object(draw: random.Random) -> str:
    article = draw.choice(["a", "the"])
    words = [article, draw.choice(["", *COLOURS]), draw.choice([*OBJECTS, "object"])]
    return " ".join(word for word in words if word) + draw.choice(PLACES)


def _clause(draw: random.Random) -> str:
    door = f"{draw.choice(['a', 'the'])} {draw.choice(COLOURS)} door{draw.choice(PLACES)}"
    return draw.choice(
        [
            f"go to {_object(draw)}",
            f"go to {door}",
            f"open {door}",
            f"pick up {_object(draw)}",
            f"get {_object(draw)}",
            f"go fetch {_object(draw)}",
            f"put {_object(draw)} next to {_object(draw)}",
        ]
    )


def _mission(draw: random.Random) -> str:
    joined = [_clause(draw) for _ in range(draw.choice([1, 1, 1, 2, 2, 3, 4]))]
    return "".join(
        part
        for pair in itertools.zip_longest(joined, [_joint(draw) for _ in joined[1:]], fillvalue="")
        for part in pair
    )


def _joint(draw: random.Random) -> str:
    return draw.choice([" and ", ", then ", " after you "])


def _sentence(draw: random.Random) -> str:
    if draw.random() < 0.2:
        return f"{draw.choice(QUESTIONS)} {draw.choice(THINGS)}?"
    subject = draw.choice(SUBJECTS)
    told = f"{subject} should {draw.choice(VERBS)} {draw.choice(THINGS)} {draw.choice(WAYS)}"
    return draw.choice([told, told.capitalize() + ".", f"{told} {draw.randint(0, 99)} times, then stop"])


def sentences(seed: int = 0) -> Iterator[str]:
    """The text that the model is trained on."""
    draw = random.Random(seed)
    for _ in range(SENTENCES):
        yield _mission(draw) if draw.random() < 0.6 else draw.choice([*FIXED, _sentence(draw), _sentence(draw)])


def main(target: Path = Path(__file__).parent / "missions.model") -> None:
    """Trains the model and writes it."""
    with target.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences(),
            model_writer=file,
            vocab_size=PIECES,
            model_type="bpe",  # whole words: unigram would take missions apart
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            minloglevel=2,
        )


if __name__ == "__main__":
    main()
