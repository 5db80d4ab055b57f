"""Actors and learner end together, and never wait for each other."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.pacing import Pacing, divide


@given(updates=st.integers(1, 500), steps=st.integers(1, 5000), lead=st.integers(1, 50), jump=st.integers(1, 400))
def test_one_of_the_two_may_always_go_on(updates: int, steps: int, lead: int, jump: int):
    pacing = Pacing(updates, steps, lead)
    done, stepped = 0, 0
    while (done, stepped) != (updates, steps):
        learns = pacing.updates_allowed(stepped)
        acts = pacing.steps_allowed(done)
        assert learns > done or acts > stepped
        assert acts <= steps
        assert learns <= updates
        if learns > done:
            done = min(learns, done + jump)
        else:
            stepped = min(acts, stepped + jump)


def test_actors_are_ahead_by_the_lead_at_most():
    pacing = Pacing(updates=100, steps=1000, lead=5)
    assert pacing.steps_allowed(0) == 50
    assert pacing.steps_allowed(99) == 1000
    assert pacing.updates_allowed(9) == 0
    assert pacing.updates_allowed(1000) == 100


@given(total=st.integers(1, 200), weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=10))
def test_shares_are_whole_and_complete(total: int, weights: list[float]):
    shares = divide(total, weights)
    assert len(shares) == len(weights)
    assert min(shares) >= 1
    assert sum(shares) == max(total, len(weights))


def test_shares_follow_the_weights():
    assert divide(10, [1, 4]) == [2, 8]
    assert divide(4, [1, 1, 100]) == [1, 1, 2]
    assert divide(3, [1, 1]) in ([1, 2], [2, 1])
