"""Which number format serves faster here: bfloat16 halves what is read, but not every CPU computes in it."""

import time

import numpy as np
import torch

from policy.engine import Engine
from policy.model import Policy
from policy.types import ActRequest
from policy.vocabulary import DEFAULT

ROWS = 16
STEP = 8  # tokens
REPEATS = 5
CANDIDATES = (torch.float32, torch.bfloat16)


def fastest(model: Policy) -> torch.dtype:
    """Of float32 and bfloat16, by a few steps of decoding on the model's device."""
    times: dict[torch.dtype, list[float]] = {dtype: [] for dtype in CANDIDATES}
    steps = min(16, model.config.context // STEP)
    engines = {dtype: Engine(model, ROWS, dtype) for dtype in CANDIDATES}
    for _ in range(REPEATS):
        for dtype, engine in engines.items():  # in turns, so that whatever else runs meets both alike
            began = time.perf_counter()
            for step in range(steps):
                engine.act([_request(step == 0)])
            times[dtype].append(time.perf_counter() - began)
    return min(CANDIDATES, key=lambda dtype: min(times[dtype]))


def _request(reset: bool) -> ActRequest:
    start = DEFAULT.continuous.start
    return ActRequest(
        actor="measurement",
        run_id=0,
        slots=np.arange(ROWS, dtype=np.int32),
        reset=np.full(ROWS, reset),
        tokens=np.full((ROWS, STEP - 2), start, dtype=np.int32),
        legal=np.array([[start, DEFAULT.continuous.stop]], dtype=np.int32),
    )
