import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.context import fitting_steps, next_start
from policy.errors import SpaceError


def test_a_slide_keeps_no_step_that_attention_cannot_reach():
    assert next_start(3, 10, 8) == 3
    assert next_start(3, 11, 8) == 7
    assert [next_start(3, 11, 8, reach) for reach in (0, 1, 4, 9)] == [11, 10, 7, 7]


@given(st.integers(1, 300), st.integers(1, 60))
def test_contexts_never_outgrow_their_room_and_slide_by_half(context, size):
    if size > context:
        with pytest.raises(SpaceError, match=f"one timestep has {size} tokens, the policy's context only {context}"):
            fitting_steps(context, size, "toy/task")
        return
    fit = fitting_steps(context, size)
    start = 0
    for step in range(5 * fit + 5):
        before, start = start, next_start(start, step, fit)
        assert 1 <= step - start + 1 <= fit
        assert (step - start + 1) * size <= context
        assert start == before or step - start == fit // 2
