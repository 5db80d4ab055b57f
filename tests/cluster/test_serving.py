"""What policy servers are said to need is what they take."""

import pytest
import torch

from cluster.serving import needs
from policy.config import PolicyConfig
from policy.engine import Engine
from policy.model import Policy
from policy.networks import OnNewWeights, sets
from policy.types import Version

SLOTS = 5


@pytest.mark.parametrize("on_new_weights", ["rebuild", "keep"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_servers_take_what_they_are_said_to_need(dtype: str, on_new_weights: OnNewWeights):
    model = Policy(PolicyConfig(layers=2, width=32, heads=2, feedforward=64, context=31, action_bins=16))
    engine = Engine(model, SLOTS, getattr(torch, dtype), on_new_weights=on_new_weights)
    for update in range(1, 4):
        engine.load(model.state_dict(), Version(0, update))
    networks = engine.networks
    held = [*networks.models, *([networks._spare] if networks._spare else [])]
    assert len(held) == sets(on_new_weights)
    need = needs(model, SLOTS, dtype, on_new_weights)
    assert need["policy servers' weights"] == sum(
        each.numel() * each.element_size() for network in held for each in network.parameters()
    )
    assert need["policy servers' KV cache"] == engine.cache.keys.nbytes + engine.cache.values.nbytes
    assert needs(model, SLOTS, dtype, on_new_weights, replicas=3) == {name: 3 * size for name, size in need.items()}
