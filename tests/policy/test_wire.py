"""Requests and replies survive the way as bytes, and other bytes are refused."""

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from policy.types import ActReply, ActRequest
from policy.wire import HEAD, WireError, pack, unpack


def parts(data: bytes) -> tuple[bytes, bytes]:
    first, second = HEAD.unpack_from(data)
    assert len(data) == HEAD.size + first + second
    return data[HEAD.size : HEAD.size + first], data[HEAD.size + first :]


def same(one, other) -> bool:
    return all(map(equal, dataclasses.astuple(one), dataclasses.astuple(other)))


def equal(a, b) -> bool:
    if not isinstance(a, np.ndarray):
        return a == b
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def numbers(dtype: type) -> st.SearchStrategy[np.ndarray]:
    return arrays(dtype, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))


requests = st.builds(
    ActRequest,
    actor=st.text(),
    run_id=st.integers(0, 2**31 - 1),
    slots=numbers(np.int32),
    reset=numbers(np.bool_),
    tokens=numbers(np.int32),
    legal=numbers(np.int32),
    temperature=st.floats(0, 10),
    with_return=st.booleans(),
    return_kappa=st.floats(0, 100),
    patches=st.none() | numbers(np.uint8),
    patch_intervals=st.none() | numbers(np.int32),
    prompt=st.none() | numbers(np.int32),
    prompt_patches=st.none() | numbers(np.uint8),
)
replies = st.builds(
    ActReply,
    tokens=numbers(np.int32),
    log_probs=numbers(np.float32),
    versions=numbers(np.int32),
    context_start=numbers(np.int32),
    return_tokens=numbers(np.int32),
)


@given(requests | replies)
def test_what_is_packed_comes_back(record):
    assert same(unpack(type(record), *parts(pack(record))), record)


def test_arrays_that_are_no_single_piece_of_memory_come_back():
    tokens = np.arange(24, dtype=np.int32).reshape(4, 6)[::2, ::3]
    reply = ActReply(tokens, tokens.T.astype(np.float32), tokens, tokens, tokens)
    assert same(unpack(ActReply, *parts(pack(reply))), reply)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_other_bytes_are_refused(head, data):
    with pytest.raises(WireError):
        unpack(ActRequest, head, data)


@pytest.mark.parametrize(
    "head",
    [
        b"[{}, []]",
        b'[{}, [["tokens", "O", [1]]]]',
        b'[{}, [["tokens", "<i4", [-1]]]]',
        b'[{}, [["tokens", "<i4", [3]]]]',
        b'[{}, [["tokens", "<i4", [99999999999]]]]',
        b'[{}, [["tokens", "<i4", [' + b"9" * 40 + b"]]]]",
        b"[" * 100_000,
        b'[{"mine": 1}, []]',
        b'{"a": 1}',
    ],
)
def test_heads_that_say_something_else_are_refused(head):
    with pytest.raises(WireError, match="these bytes are no ActReply"):
        unpack(ActReply, head, b"\0" * 8)
