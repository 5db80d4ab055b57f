"""The decoder's ways to the same numbers: packed and compiled, or plain."""

import copy

import numpy as np
import pytest
import torch

from policy.engine import Engine
from policy.ragged import passes
from tests.policy.small import policy, request


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
@pytest.mark.parametrize("activation", ["gelu", "geglu"])
def test_packed_and_compiled_blocks_act_as_plain_ones(monkeypatch, activation):
    model = policy(torch.float32, activation=activation)
    packed = Engine(model, 9)
    monkeypatch.setattr("policy.decoder._packs", lambda weight: False)
    plain = Engine(model, 9)
    assert packed.networks.models[0].decoder.packed
    assert not plain.networks.models[0].decoder.packed
    for step in range(20):
        asked = request(np.random.default_rng(step), slots=9, reset=step == 0, temperature=0.0)
        first, second = packed.act([asked])[0], plain.act([asked])[0]
        assert np.array_equal(first.tokens, second.tokens)
        assert np.abs(first.log_probs - second.log_probs).max() < 1e-4


def test_a_copy_of_a_frozen_policy_has_no_decoder():
    model = policy()
    model.freeze()
    assert copy.deepcopy(model).decoder is None


def test_groups_share_passes_up_to_so_many_tokens():
    new = np.array([7] * 8 + [100, 120] + [7] * 8)  # 16 rows of 7 tokens, padded to 7, and 2 rows padded to 128
    assert [len(together) for together in passes(new, 1000)] == [2]
    assert [len(together) for together in passes(new, 300)] == [1, 1]
    assert sorted(np.concatenate([index for together in passes(new, 1000) for index in together])) == list(range(18))
