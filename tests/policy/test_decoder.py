"""The decoder's ways to the same numbers: packed and compiled, or plain."""

import copy
import re

import numpy as np
import pytest
import torch

from policy.engine import Engine
from policy.ragged import padded, passes
from policy.types import Version
from tests.policy.small import policy, request


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
@pytest.mark.parametrize("activation", ["gelu", "geglu"])
def test_packed_and_compiled_blocks_act_as_plain_ones(monkeypatch, activation):
    monkeypatch.setattr("policy.native.load", lambda: None)
    model = policy(torch.float32, activation=activation)
    packed = Engine(model, 9)
    monkeypatch.setattr("policy.decoder.packs", lambda weight: False)
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


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
def test_few_products_are_compiled_whatever_the_mix_of_rows(capfd):
    model = policy(torch.float32, context=96, feedforward=72)  # a size that no test before has had compiled
    engine = Engine(model, 12, rebuild_share=0.5)
    random = np.random.default_rng(0)
    capfd.readouterr()
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON_CREATION):
        for step in range(60):
            # Some of three actors ask, in the middle of episodes of their own; new weights come now and then.
            reset = random.random(4) < (1.0 if step < 3 else 0.1)
            names = [f"actor {step}"] if step < 3 else [f"actor {each}" for each in range(3) if random.random() < 0.6]
            if names:
                engine.act([request(random, name, slots=4, reset=reset) for name in names])
            if step % 5 == 4:
                engine.load(model.state_dict(), Version(1, step))
    compiled = re.findall(r"create:cache_miss,cpu,inner_product.*,mb(\d+)ic", capfd.readouterr().out)
    assert len(compiled) > 20
    assert {int(count) for count in compiled} <= {padded(count) for count in range(1, 12 * 96)}
