"""Requests and replies as bytes: a head in JSON, the arrays behind it as they lie in memory. Nothing is unpickled."""

import dataclasses
import json
import math
import struct
from typing import Any, TypeVar

import numpy as np

from policy.errors import OcelotError

HEAD = struct.Struct("<II")  # bytes of the JSON, and of the arrays
KINDS = "biuf"  # of numbers, as numpy names them

Record = TypeVar("Record")


class WireError(OcelotError):
    """Bytes that are no request and no reply."""


def pack(record: Any) -> bytes:
    """A dataclass of arrays, numbers, texts and None as bytes: `HEAD`, and what follows it."""
    plain: dict[str, Any] = {}
    arrays: list[tuple[str, str, tuple[int, ...]]] = []
    parts = []
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray):
            arrays.append((field.name, value.dtype.str, value.shape))
            parts.append(value.tobytes())
        else:
            plain[field.name] = value
    head = json.dumps((plain, arrays)).encode()
    return b"".join([HEAD.pack(len(head), sum(map(len, parts))), head, *parts])


def unpack(cls: type[Record], head: bytes | bytearray, data: bytes | bytearray) -> Record:
    """The dataclass again, from the two parts behind `HEAD`. Its arrays lie in `data`.

    Raises:
        WireError: other bytes.
    """
    try:
        plain, arrays = json.loads(head)
        at = 0
        for name, kind, shape in arrays:
            dtype = np.dtype(kind)
            if dtype.kind not in KINDS:
                raise ValueError(f"{name} holds no numbers but {kind}")
            count = math.prod(shape)
            plain[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
            at += count * dtype.itemsize
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes are left over")
        return cls(**plain)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise WireError(f"these bytes are no {cls.__name__}: {error}") from None
