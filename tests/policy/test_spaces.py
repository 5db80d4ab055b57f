import numpy as np
import pytest

from policy.spaces import difference

ONE = {"kind": "discrete", "n": 4, "start": 0}
BOX = {"kind": "box", "shape": [2], "low": [0.0, 0.0], "high": [1.0, 1.0], "dtype": "float32"}
CELLS = {"kind": "multi_discrete", "nvec": np.full((2, 2, 3), [11, 6, 4]).tolist()}
NUMBERS = {"kind": "multi_discrete", "nvec": np.full((2, 2), 264).tolist()}


def both(image):
    return {"kind": "dict", "spaces": {"direction": ONE, "image": image}}


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (
            both(CELLS),
            both(NUMBERS),
            "key 'image' was 12 values in shape (2, 2, 3), each one of 4 or 6 or 11, "
            "is now 4 values in shape (2, 2), each one of 264",
        ),
        (ONE, ONE | {"n": 5}, "it was one of 4, is now one of 5"),
        (ONE, ONE | {"start": 1}, f"it was {ONE}, is now {ONE | {'start': 1}}"),
        (BOX, BOX | {"dtype": "float64"}, f"it was {BOX}, is now {BOX | {'dtype': 'float64'}}"),
        (both(ONE), ONE, "it had the keys ['direction', 'image'], now ['']"),
        (
            {"kind": "tuple", "spaces": [ONE]},
            {"kind": "dict", "spaces": {"0": ONE}},
            "its parts are the same, nested in another way",
        ),
    ],
)
def test_what_differs_is_said_in_words(before, now, said):
    assert difference(before, now) == said
