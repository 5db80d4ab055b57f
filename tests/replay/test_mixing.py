import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import DatasetError
from replay.mixing import shares


def test_without_domains_tasks_are_weighed_against_each_other():
    assert shares({"a/x": 1.0, "a/y": 1.0, "b/z": 2.0}, {}) == {"a/x": 0.25, "a/y": 0.25, "b/z": 0.5}


def test_a_domains_share_is_divided_among_its_tasks_by_their_weights():
    found = shares({"a/x": 1.0, "a/y": 3.0, "b/z": 5.0, "c/w": 1.0}, {"a": 2.0, "b": 1.0})
    assert found == pytest.approx({"a/x": 0.125, "a/y": 0.375, "b/z": 0.25, "c/w": 0.25})


@given(
    st.dictionaries(st.sampled_from([f"{d}/{n}" for d in "abc" for n in range(4)]), st.floats(0.1, 10), min_size=1),
    st.floats(0.1, 10),
)
def test_shares_sum_to_one_and_domains_get_theirs(tasks, weight):
    domain = next(iter(tasks)).partition("/")[0]
    found = shares(tasks, {domain: weight})
    assert sum(found.values()) == pytest.approx(1.0)
    others = len({task.partition("/")[0] for task in tasks}) - 1
    got = sum(share for task, share in found.items() if task.startswith(f"{domain}/"))
    assert got == pytest.approx(weight / (weight + others))


def test_wrong_weights_are_named():
    with pytest.raises(DatasetError, match="domain_weights names bb, but there are only tasks of a"):
        shares({"a/x": 1.0}, {"bb": 1.0})
    with pytest.raises(DatasetError, match="one of them above"):
        shares({"a/x": 1.0}, {"a": 0.0})
    with pytest.raises(DatasetError, match="at least 0"):
        shares({"a/x": 1.0, "a/y": -1.0}, {})
