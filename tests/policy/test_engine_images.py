"""Images and prompts in slots: the cache equals a full recompute, and what is kept is what was sent."""

import numpy as np
import pytest
import torch

from policy.context import next_start
from policy.engine import Engine
from policy.errors import SpaceError
from policy.types import Version
from policy.vocabulary import DEFAULT
from tests.policy.small import CONTINUOUS, DISCRETE, numbers_of, policy, request, seeing, steps
from tests.policy.watched import Watched

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}


def play(engine: Watched, model, count: int = 30) -> None:
    """Images, prompts and plain tasks side by side: resets, slides, new weights."""
    rng, ids = np.random.default_rng(0), numbers_of(model)
    for step in range(count):
        resets = (rng.random(2) < 0.1) | (step == 0)
        prompted = request(rng, "told", 2, resets, legal=CONTINUOUS, numbers=ids)
        prompted.prompt = steps(rng, int(resets.sum()), 2, 4, CONTINUOUS, ids)
        eyes = seeing(rng, "told eyes", 1, step % 11 == 0, prompt=1, numbers=ids)
        requests = [request(rng, "plain", 2, resets, numbers=ids), prompted, eyes]
        if step % 2 == 0:
            requests.append(seeing(rng, reset=step == 0, numbers=ids))
        engine.act(requests)
        if step % 10 == 7:
            engine.load({name: tensor * 1.05 for name, tensor in model.state_dict().items()}, Version(0, step))


@pytest.mark.parametrize("attention_steps", [None, 1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("share", "vectors"), [(0.0, False), (1.0, False), (1.0, True)])
def test_images_text_and_prompts_share_a_batch_exactly(dtype, attention_steps, share, vectors):
    model = policy(attention_steps=attention_steps, vectors=vectors)
    engine = Watched(model, 7, dtype, rebuild_share=share)
    play(engine, model)
    assert engine.worst < TOLERANCES[dtype]
    assert engine.stats()["slides"] > (1 if vectors else 5)  # which make contexts last longer
    assert (engine.stats()["rebuilds"] > (1 if vectors else 5)) == (share == 1.0)


def test_bfloat16_stays_near_a_full_recompute():
    model = policy(torch.float32, spread=0.15)
    engine = Watched(model, 7, torch.bfloat16, rebuild_share=1.0)
    play(engine, model)
    differences = torch.cat(engine.differences).float()
    assert differences.mean() < 0.02
    assert differences.sort().values[int(0.99 * len(differences))] < 0.1


def test_the_image_matters_and_is_embedded_once(monkeypatch):
    model = policy()
    engine, rng = Engine(model, 2), np.random.default_rng(0)
    embedded = []
    network = engine.networks.models[0].embedding.patches
    network.register_forward_hook(lambda _, arguments, __: embedded.append(len(arguments[0])))
    for step in range(4):
        engine.act([seeing(rng, slots=1, reset=step == 0)])
    assert embedded == [4] * 4
    other = seeing(rng, slots=1, temperature=0.0)
    before = engine.forward.feed
    found = []
    monkeypatch.setattr(engine.forward, "feed", lambda *args: found.append(before(*args)) or found[-1])
    engine.act([other])
    engine.contexts.length[0] -= 9  # the same step again, with another image
    engine.contexts.cached[0] = engine.contexts.length[0] - 1
    engine.contexts.step[0] -= 1
    other.patches = 255 - other.patches
    engine.act([other])
    assert float((found[0] - found[1]).abs().max()) > 1e-3


def test_a_prompt_stays_in_front_and_is_prefilled_once():
    engine, rng = Watched(policy(context=48), 1), np.random.default_rng(0)  # 6 tokens a step: 8 steps, 3 of them prompt
    prompt, starts, expected, start = steps(rng, 1, 3, 4, DISCRETE), [], [], 0
    for step in range(14):
        asked = request(rng, slots=1, reset=step == 0)
        asked.prompt = prompt if step == 0 else None
        starts.append(int(engine.act([asked])[0].context_start[0]))
        start = next_start(start, step, 5)
        expected.append(start)
        assert engine.contexts.tokens[0, :18].tolist() == prompt.reshape(-1).tolist()
    assert starts == expected
    assert engine.stats()["slides"] == len(set(starts)) - 1
    assert (
        engine.stats()["tokens"] == 18 + 14 * 6 - 1 + engine.stats()["slides"] * 11
    )  # two steps, but for one token, anew
    engine.act([request(rng, slots=1, reset=True)])
    assert engine.contexts.prompt[0] == 0
    assert engine.contexts.length[0] == 6


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"patches": np.zeros((2, 4, 16, 16, 3), dtype=np.float32)}, ValueError, "dtype float32; they are uint8"),
        ({"patches": np.zeros((2, 4, 16, 16, 1), dtype=np.uint8)}, ValueError, "16, 16, 1"),
        (
            {"patches": np.zeros((2, 3, 16, 16, 3), dtype=np.uint8)},
            ValueError,
            "3 patches a row for [4, 4] image tokens",
        ),
        ({"patches": None}, ValueError, "brings no patches"),
        ({"patch_intervals": None}, ValueError, "patch_intervals of shape None"),
        ({"prompt": np.zeros((1, 2, 8), dtype=np.int32)}, ValueError, "for 2 rows that reset"),
        ({"prompt": np.zeros((2, 2, 7), dtype=np.int32)}, ValueError, "8 tokens a timestep"),
        ({"prompt": np.zeros((2, 6, 8), dtype=np.int32)}, SpaceError, "leaves no room"),
        ({"prompt": np.full((2, 1, 8), DEFAULT.patch)}, ValueError, "16 image tokens and 0 patches"),
        ({"with_return": True, "prompt": np.zeros((2, 1, 9), dtype=np.int32)}, ValueError, "return tokens"),
    ],
)
def test_images_and_prompts_that_do_not_fit_are_refused(change, error, message):
    engine, asked = Watched(policy(), 4), seeing(np.random.default_rng(0), reset=True)
    for name, value in change.items():
        setattr(asked, name, value)
    with pytest.raises(error, match="actor 'eyes'") as caught:
        engine.act([asked])
    assert message in str(caught.value)
