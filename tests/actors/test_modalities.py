"""Images, text, tensors and prompts from observation to learner: what was acted is what the learner computes."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from actors.recorder import Recorder
from actors.spaces import describe
from policy.engine import Engine
from policy.layout import Layout
from policy.text import TextTokenizer
from policy.types import ActRequest
from policy.vocabulary import DEFAULT
from replay.batch import collate
from replay.packing import decode, encode, pack, unpack
from replay.prompts import NO_PROMPT, Prompt
from tests.policy.small import policy
from tests.replay.samples import same

TASK = "toy/modalities"
OBSERVATION = spaces.Dict(
    {
        "camera": spaces.Box(0, 255, (20, 32, 3), np.uint8),
        "joints": spaces.Tuple((spaces.Box(-1.0, 1.0, (2,)), spaces.Discrete(3))),
        "mission": spaces.Text(20),
    }
)
ACTION = spaces.Dict({"grip": spaces.Discrete(2), "move": spaces.Box(-1.0, 1.0, (2,))})
MISSIONS = ("go to the red ball", "open the door", "put the key next to the box")
CONTEXT, SLOTS, STEPS = 140, 3, 18


def layout() -> Layout:
    return Layout(
        TASK, describe(OBSERVATION, TASK), describe(ACTION, TASK), text=TextTokenizer.default(), text_tokens=10
    )


def seen(rng: np.random.Generator, n: int) -> dict:
    return {
        "camera": rng.integers(0, 256, (n, 20, 32, 3)).astype(np.uint8),
        "joints": (rng.uniform(-1, 1, (n, 2)), rng.integers(0, 3, n)),
        "mission": [MISSIONS[index] for index in rng.integers(0, 3, n)],
    }


def prompt(own: Layout, rng: np.random.Generator, steps: int) -> Prompt:
    """Random steps, as a demonstration would be."""
    observation, (low, high) = seen(rng, steps), own.legal.T
    separator = np.full((steps, 1), DEFAULT.separator)
    acted = rng.integers(low, high, (steps, len(low)))
    tokens = np.concatenate([own.encode_observation(observation), separator, acted], axis=1)
    return Prompt(tokens.astype(np.int32), own.encode_patches(observation))


def play(engine: Engine, prompts: int, seed: int = 0, temperature: float = 1.0) -> list:
    """What an actor records of a few episodes; those of slot 0 never end before the last step."""
    own, rng = layout(), np.random.default_rng(seed)
    recorder = Recorder(own, 0, SLOTS, CONTEXT, temperature, run_id=7)
    rows, reset, windows = np.arange(SLOTS), np.ones(SLOTS, dtype=bool), []
    observation = seen(rng, SLOTS)
    for step in range(STEPS):
        tokens, patches = own.encode_observation(observation), own.encode_patches(observation)
        drawn = [prompt(own, rng, prompts) for _ in rows[reset]] if prompts else []
        if drawn:
            recorder.begin(rows[reset], drawn)
        asked = ActRequest(
            f"actor {seed}",
            7,
            rows.astype(np.int32),
            reset,
            tokens,
            own.legal,
            temperature,
            patches=patches,
            patch_intervals=own.patch_intervals,
            prompt=np.stack([each.tokens for each in drawn]) if drawn else None,
            prompt_patches=np.stack([each.patches for each in drawn]) if drawn else None,
        )
        reply = engine.act([asked])[0]
        windows += recorder.acted(rows, tokens, reply, patches)
        own.decode_action(reply.tokens)
        observation = seen(rng, SLOTS)
        ended = (rng.random(SLOTS) < 0.1) & (rows > 0) | (step == STEPS - 1)
        final = own.encode_observation(observation), own.encode_patches(observation)
        none = np.zeros(SLOTS, dtype=bool)
        windows += recorder.stepped(rows, rng.normal(size=SLOTS), ended, none, none, *final)
        reset = ended
    return windows


def learned(model, windows) -> torch.Tensor:
    """Log-probabilities of every acted token that has a loss, as the learner computes them in one batch."""
    batch = collate(windows)
    with torch.no_grad():
        hidden = model(batch.tokens, batch.position, batch.timestep, batch.patches, batch.prompt).flatten(0, 1)
        return model.log_probs(hidden[batch.action_at], batch.action_token, batch.action_range)


def stored(windows) -> torch.Tensor:
    return torch.cat([torch.from_numpy(window.log_probs[window.burn_in :]).flatten() for window in windows])


@pytest.mark.parametrize(
    ("dtype", "tolerance", "attention_steps", "prompts"),
    [
        *((torch.float64, 1e-6, attention_steps, prompts) for attention_steps in (None, 0, 1) for prompts in (0, 2)),
        (torch.float32, 1e-4, None, 2),
    ],
)
def test_stored_log_probabilities_are_the_learners(dtype, tolerance, attention_steps, prompts):
    model = policy(dtype, context=CONTEXT, spread=0.1, attention_steps=attention_steps)
    windows = play(Engine(model, SLOTS), prompts)
    assert sum(len(window) - window.burn_in for window in windows) == SLOTS * STEPS
    assert any(window.burn_in or window.first_step for window in windows)  # contexts slid
    assert {len(window.prompt) for window in windows} == {prompts}
    found = learned(model, windows)  # windows of all lengths side by side: padding is part of the test
    assert (found - stored(windows)).abs().max() < tolerance
    alone = torch.cat([learned(model, [window]) for window in windows])
    assert (found - alone).abs().max() < (1e-9 if dtype == torch.float64 else 1e-4)


def test_the_comparison_would_notice_another_prompt_or_image():
    model = policy(context=CONTEXT, spread=0.1)
    windows = play(Engine(model, SLOTS), 2)
    before = learned(model, windows)
    windows[0].prompt_patches[0, 0] ^= 255
    windows[1].prompt[0, 14] = 32500
    windows[2].patches[0, 1] ^= 255
    at = np.cumsum([0, *(3 * (len(window) - window.burn_in) for window in windows)])
    moved = (learned(model, windows) - before).abs()
    for index in range(3):
        assert moved[at[index] : at[index + 1]].max() > 1e-3
    assert moved[at[3] :].max() < 1e-9


def test_records_travel_as_they_are():
    windows = play(Engine(policy(context=CONTEXT), SLOTS), 2)
    for window in windows:
        window.check()
        assert same(decode(encode(window)), window)
    assert all(same(left, right) for left, right in zip(unpack(pack(windows)), windows, strict=True))


def test_a_prompt_ends_with_its_episode():
    own, rng = layout(), np.random.default_rng(0)
    recorder = Recorder(own, 0, 1, CONTEXT, 1.0, run_id=7)
    recorder.begin(np.array([0]), [prompt(own, rng, 2)])
    recorder._end(0, np.zeros(own.observation_tokens, dtype=np.int32), None, True, False)
    assert recorder._prompts == [NO_PROMPT]
