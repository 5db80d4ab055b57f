"""The log-probability that the engine stored is the one that the learner computes on the recorded windows."""

import numpy as np
import pytest
import torch

from policy.engine import Engine
from policy.model import Policy
from policy.types import Version
from policy.vocabulary import DEFAULT
from replay.batch import collate
from replay.trajectory import ONLINE, Trajectory, cut
from tests.policy.small import CONTINUOUS, DISCRETE, policy, request, seeing


class Exact(Engine):
    """Keeps the log-probabilities before replies round them to float32."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log_probs: list[np.ndarray] = []

    def _act(self, rows):
        drawn = super()._act(rows)
        self.log_probs.append(drawn.log_probs)
        return drawn


def record(
    engine: Exact,
    models: dict[Version, Policy],
    steps: int,
    with_return: bool,
    temperature: float,
    legal,
    ask=None,
):
    """One episode as an actor records it; halfway, new weights are published. `ask` makes requests with images."""
    rng = np.random.default_rng(1)
    rows, pixels, prompted = [], [], {}
    ask = ask or request
    for step in range(steps):
        if step == steps // 2:
            version = Version(0, 1)
            models[version] = policy(seed=5, spread=0.15, attention_steps=engine.config.attention_steps)
            models[version].to(engine.dtype)
            engine.load(models[version].state_dict(), version)
        asked = ask(rng, slots=1, reset=step == 0, legal=legal, with_return=with_return, temperature=temperature)
        if asked.patches is not None:
            pixels.append(asked.patches)
            prompted["patch_intervals"] = asked.patch_intervals
            prompted["tail_patches"] = asked.patches[0]
        if asked.prompt is not None and step == 0:
            prompted["prompt"] = asked.prompt[0]
            prompted["prompt_patches"] = asked.prompt_patches[0]
        reply = engine.act([asked])[0]
        rows.append((np.concatenate([asked.tokens[0], [DEFAULT.separator], reply.tokens[0]]), reply))
    replies = [reply for _, reply in rows]
    return Trajectory(
        task="toy/task",
        source=ONLINE,
        actor=0,
        episode=0,
        first_step=0,
        burn_in=0,
        tokens=np.stack([tokens for tokens, _ in rows]).astype(np.int32),
        tail=np.append(asked.tokens[0], DEFAULT.separator).astype(np.int32),
        legal=legal,
        rewards=np.zeros(steps, dtype=np.float32),
        returns_to_go=np.zeros(steps, dtype=np.float32),
        terminated=True,
        truncated=False,
        log_probs=np.concatenate(engine.log_probs),
        versions=np.concatenate([reply.versions for reply in replies]),
        context_start=np.concatenate([reply.context_start for reply in replies]),
        return_tokens=np.concatenate([reply.return_tokens for reply in replies]),
        temperature=temperature,
        **({"patches": np.concatenate(pixels)} if pixels else {}),
        **prompted,
    )


@pytest.mark.parametrize("legal", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
@pytest.mark.parametrize("with_return", [False, True], ids=["plain", "returns"])
@pytest.mark.parametrize("attention_steps", [None, 0, 1])
@pytest.mark.parametrize(
    ("dtype", "mean", "most"), [(torch.float64, 1e-9, 1e-9), (torch.float32, 1e-4, 1e-4), (torch.bfloat16, 0.02, 0.1)]
)
def test_stored_log_probabilities_are_the_learners(dtype, mean, most, attention_steps, with_return, legal):
    models = {Version(0, 0): policy(spread=0.15, attention_steps=attention_steps).to(dtype)}
    engine = Exact(models[Version(0, 0)], 2)
    trajectory = record(engine, models, 30, with_return, 1.0, legal)
    windows = cut(trajectory, engine.config.context)
    assert len(windows) > 3
    differences = []
    for window in windows:
        batch = collate([window], acted_returns=with_return)
        for version, model in models.items():
            with torch.no_grad():
                hidden = model(batch.tokens, batch.position, batch.timestep).flatten(0, 1)[batch.action_at]
                found = model.log_probs(hidden, batch.action_token, batch.action_range).double()
            acted = window.versions[window.burn_in :]
            mine = torch.from_numpy((acted == np.array(version)).all(axis=1))
            stored = torch.from_numpy(window.log_probs[window.burn_in :]).double()
            differences.append((found.view(stored.shape) - stored)[mine].abs().flatten())
    joined = torch.cat(differences)
    assert len(joined) == 30 * len(legal)
    assert joined.mean() < mean
    assert joined.quantile(0.99) < most


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_at_a_temperature_the_stored_one_is_of_the_tempered_policy(temperature):
    model = policy()
    engine = Exact(model, 2)
    trajectory = record(engine, {}, 6, False, temperature, DISCRETE)
    batch = collate([trajectory.slice(0, 3)])
    with torch.no_grad():
        hidden = model(batch.tokens, batch.position, batch.timestep).flatten(0, 1)[batch.action_at]
        start, stop = DISCRETE[0].tolist()
        log_probs = torch.log_softmax(model.logits(hidden, start, stop) / (temperature or 1.0), dim=1)
    chosen = batch.action_token - start
    assert torch.allclose(log_probs[torch.arange(3), chosen], torch.from_numpy(trajectory.log_probs[:3, 0]))
    if temperature == 0.0:
        assert torch.equal(chosen, log_probs.argmax(dim=1))


@pytest.mark.parametrize("share", [0.001, 1.0], ids=["in turn", "at once"])
@pytest.mark.parametrize(
    ("dtype", "mean", "most"), [(torch.float64, 1e-9, 1e-9), (torch.float32, 1e-4, 1e-4), (torch.bfloat16, 0.02, 0.1)]
)
def test_so_they_are_behind_a_prompt_with_images(dtype, mean, most, share):
    def ask(rng, reset, **fields):
        return seeing(rng, reset=reset, prompt=2 if reset else 0, **fields)

    models = {Version(0, 0): policy(context=80, spread=0.15).to(dtype)}
    engine = Exact(models[Version(0, 0)], 2, rebuild_share=share)
    trajectory = record(engine, models, 30, False, 1.0, CONTINUOUS, ask)
    windows = cut(trajectory, 80)
    assert len(windows) > 3
    assert len(trajectory.prompt) == 2
    differences = []
    for window in windows:
        batch = collate([window])
        for version, model in models.items():
            with torch.no_grad():
                hidden = model(batch.tokens, batch.position, batch.timestep, batch.patches, batch.prompt)
                found = model.log_probs(hidden.flatten(0, 1)[batch.action_at], batch.action_token, batch.action_range)
            mine = torch.from_numpy((window.versions[window.burn_in :] == np.array(version)).all(axis=1))
            stored = torch.from_numpy(window.log_probs[window.burn_in :]).double()
            differences.append((found.double().view(stored.shape) - stored)[mine].abs().flatten())
    joined = torch.cat(differences)
    assert len(joined) == 30 * len(CONTINUOUS)
    assert joined.mean() < mean
    assert joined.quantile(0.99) < most
