"""Films: the episodes that an evaluation plays, with pictures; what cannot be drawn says so."""

import dataclasses

import numpy as np
import pytest

from actors import domains
from actors.errors import FilmError
from actors.evaluation import evaluate, random_policy
from actors.film import film

CARTPOLE = "gym/CartPole-v1"


def player():
    """Random actions by their request alone, as if one policy had acted in one context."""
    act = random_policy(3)
    return lambda request: dataclasses.replace(act(request), context_start=np.zeros(len(request.slots), np.int32))


def test_films_are_the_first_episodes_of_an_evaluation():
    layout = domains.task_layout(CARTPOLE)
    films = film(player(), layout, context=600, episodes=3, temperature=1.0, seed=5)
    evaluation = evaluate(player(), layout, 3, 1.0, 5, environments=3)
    assert [sum(each.rewards) for each in films] == evaluation.returns
    assert [len(each.rewards) for each in films] == evaluation.lengths
    for each in films:
        steps = len(each.rewards)
        assert each.fps == 25.0, "50 a second are too many: every second step is drawn"
        assert each.shown == list(range(0, steps, 2))
        assert len(each.frames) == len(each.shown)
        assert {frame.shape for frame in each.frames} == {(400, 600, 3)}
        assert each.frames[0].dtype == np.uint8
        assert (each.frames[0] != each.frames[-1]).any(), "something moves"
        assert len(each.actions) == steps
        (window,) = each.windows
        assert len(window) == steps
        assert window.rewards.tolist() == each.rewards
        assert window.tokens[:, -1].tolist() == [33024 + action for action in each.actions]


def test_the_number_of_pictures_can_be_bounded():
    layout = domains.task_layout(CARTPOLE)
    (short,) = film(player(), layout, context=600, temperature=1.0, seed=5, most_frames=3)
    assert len(short.frames) == 3
    assert len(short.rewards) > 6, "the episode is played to its end"
    (shorter,) = film(player(), layout, context=600, temperature=1.0, seed=5, most_seconds=0.0)
    assert len(shorter.frames) == 1
    assert shorter.rewards == short.rewards


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("gym/tests.actors.toys:Toy-v0", "render_mode"),  # its constructor takes none
        ("gym/tests.actors.toys:Undrawn-v0", "returned NoneType"),
        ("gym/tests.actors.toys:BrokenCamera-v0", "OSError: no lens"),
    ],
)
def test_what_cannot_be_drawn_says_so(task, reason):
    layout = domains.task_layout(task)
    with pytest.raises(FilmError, match="cannot be drawn") as error:
        film(player(), layout, context=600)
    assert reason in str(error.value)
