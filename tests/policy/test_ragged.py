import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.ragged import SHORT, Rows, groups, padded
from tests.policy.small import CONTINUOUS, request


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(8, 1000))
def test_groups_hold_every_row_once_and_pad_little(new, tokens):
    new = np.array(new)
    found = list(groups(new, tokens))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(new)))
    for index in found:
        longest = int(new[index].max())
        assert longest <= max(SHORT, 2 * int(new[index].min()))
        assert len(index) == 1 or len(index) * longest <= tokens


def test_sizes_are_padded_to_few_without_much_waste():
    sizes = {padded(count) for count in range(1, 1025)}
    assert len(sizes) <= 40
    assert [padded(count) for count in (1, 7, 8, 9, 33, 64, 133)] == [1, 7, 8, 10, 40, 64, 160]
    assert all(count <= padded(count) <= 1.25 * count for count in range(1, 1025))


def test_rows_are_sorted_by_slot_and_replies_return_to_their_requests():
    rng = np.random.default_rng(0)
    requests = [request(rng, "a", 2, legal=CONTINUOUS), request(rng, "b", 3, observed=2, temperature=0.5)]
    rows = Rows.gather(requests, [np.array([7, 3]), np.array([1, 9, 4])])
    assert rows.slots.tolist() == [1, 3, 4, 7, 9]
    assert rows.acting.tolist() == [1, 3, 1, 3, 1]
    assert rows.observed.tolist() == [2, 4, 2, 4, 2]
    assert rows.temperature.tolist() == [0.5, 1.0, 0.5, 1.0, 0.5]
    assert rows.observation[1].tolist() == requests[0].tokens[1].tolist()
    tokens = np.repeat(rows.slots[:, None], 3, axis=1)
    first, second = rows.replies(requests, tokens, tokens * 0.5, rows.slots, rows.slots, rows.slots[:, None])
    assert first.tokens.tolist() == [[7] * 3, [3] * 3]
    assert second.tokens.tolist() == [[1], [9], [4]]
    assert second.log_probs.tolist() == [[0.5], [4.5], [2.0]]
    assert second.context_start.tolist() == [1, 9, 4]
    assert first.versions.tolist() == [[7], [3]]


def test_a_slot_that_is_asked_for_twice_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="same slot"):
        Rows.gather([request(rng, "a", 1), request(rng, "b", 1)], [np.array([2]), np.array([2])])
