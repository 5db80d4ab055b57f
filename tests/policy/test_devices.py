"""An engine on another device than the CPU draws what it draws there."""

import numpy as np
import pytest
import torch

from policy.engine import Engine
from policy.types import ActReply, Version
from tests.elsewhere import pretended
from tests.policy.small import policy, request, seeing

STEPS = 20


def played(device: str, dtype: torch.dtype) -> list[ActReply]:
    """Replies to two actors, one with images and a prompt: resets, slides, and new weights on the way."""
    model = policy().to(device)
    engine = Engine(model, 9, dtype, rebuild_share=1.0)
    replies = []
    for step in range(STEPS):
        rng = np.random.default_rng(step)
        plain = request(rng, slots=5, reset=step in (0, 12), temperature=0.0)
        pictures = seeing(rng, slots=4, reset=step == 0, prompt=2 * (step == 0), temperature=0.0)
        replies += engine.act([plain, pictures])
        if step == 7:
            engine.load({name: value * 1.05 for name, value in model.state_dict().items()}, Version(0, 1))
    assert engine.stats()["slides"] > 3
    return replies


def assert_alike(found: list[ActReply], expected: list[ActReply], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.tokens, other.tokens)
        assert np.abs(one.log_probs - other.log_probs).max() < tolerance


@pytest.mark.filterwarnings("ignore:.*which is a no-op:UserWarning")  # copying to such a tensor: here it is none
def test_the_engine_leaves_no_tensor_on_the_cpu():
    expected = played("cpu", torch.float64)
    with pretended() as device:
        assert_alike(played(device, torch.float64), expected, 1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_a_gpu_acts_as_a_cpu_does(dtype, tolerance):
    assert_alike(played("cuda", dtype), played("cpu", torch.float64), tolerance)
