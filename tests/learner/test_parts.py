"""Less memory changes nothing: batches in parts, and blocks that compute their activations again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from learner import parts
from learner.config import LearnerConfig
from learner.objectives import OBJECTIVES
from learner.schedule import Entry
from learner.view import View
from policy.model import Policy
from replay.batch import Batch, collate
from replay.trajectory import Trajectory
from tests.learner import crew
from tests.learner.windows import mixed

EVERY = [Entry(name, batch=crew.BATCH, entropy=0.01) for name in OBJECTIVES]
NORMALISED = Entry("iql", batch=crew.BATCH, settings={"normalise": True, "limit": 3.0})
UPDATES = 2 * (len(EVERY) + 1)


def batch() -> Batch:
    """Six windows of three tasks, some with images and some with a prompt."""
    plain = mixed(4)
    steps = np.repeat(plain[0].tokens[:1], 2, axis=0)
    windows: list[Trajectory] = [replace(plain[0], prompt=steps), *plain[1:], *crew.unlike(0)[:2]]
    return collate(windows)


def policy(**sizes: Any) -> Policy:
    torch.manual_seed(7)
    return Policy(replace(crew.SIZES, **sizes)).double().train()


def gradients(subject: Policy, whole: Batch, number: int = 1) -> dict[str, torch.Tensor]:
    """Of every parameter, for a loss that reads actions and values, from one state of the random numbers."""
    torch.manual_seed(11)
    subject.zero_grad()
    view = View(subject, whole, number)
    (view.action_log_probs.sum() + (view.hidden**2).sum()).backward()
    return {name: p.grad.clone() for name, p in subject.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def at_once() -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    return crew.alone([*EVERY, NORMALISED], UPDATES)


@pytest.mark.parametrize("number", [2, 4, 100])
def test_a_batch_in_parts_is_the_same_batch(at_once, number):
    losses, weights = crew.alone([*EVERY, NORMALISED], UPDATES, accumulation=number)
    for found, expected in zip(losses, at_once[0], strict=True):
        assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)
    for name, value in at_once[1].items():
        torch.testing.assert_close(weights[name], value, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("steps", [None, 0, 2])
def test_parts_of_windows_with_images_and_prompts(steps):
    subject, whole = policy(attention_steps=steps).eval(), batch()  # in training, intervals of patches are random
    expected = gradients(subject, whole)
    found = gradients(subject, whole, 4)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9)


def test_what_is_random_in_a_part_is_the_same_the_second_time(monkeypatch):
    subject, whole = policy(layers=3, stochastic_depth=0.4), batch()
    again = gradients(subject, whole, 3)
    monkeypatch.setattr(parts, "checkpoint", lambda run, *arguments, **_: run(*arguments))
    kept = gradients(subject, whole, 3)
    assert again.keys() == kept.keys()
    assert all(torch.equal(value, again[name]) for name, value in kept.items())


@pytest.mark.parametrize("steps", [None, 0, 2])
def test_checkpointing_gives_the_same_gradients_to_the_bit(steps):
    subject, whole = policy(layers=3, stochastic_depth=0.4, attention_steps=steps), batch()
    kept = gradients(subject, whole)
    subject.transformer.checkpointing = True
    again = gradients(subject, whole)
    assert again.keys() == kept.keys()
    assert all(torch.equal(value, again[name]) for name, value in kept.items())


def test_a_learner_with_checkpointing_learns_the_same_to_the_bit(at_once):
    losses, weights = crew.alone([*EVERY, NORMALISED], UPDATES, checkpointing=True)
    assert str(losses) == str(at_once[0])
    assert all(torch.equal(weights[name], value) for name, value in at_once[1].items())


@pytest.mark.parametrize(("number", "checkpointing"), [(3, False), (1, True)])
def test_activations_are_not_kept(number, checkpointing):
    subject, whole = policy(layers=4), batch()
    every = _kept(subject, whole)
    subject.transformer.checkpointing = checkpointing
    assert _kept(subject, whole, number) < 0.5 * every


def _kept(subject: Policy, whole: Batch, number: int = 1) -> int:
    """Bytes that a forward pass keeps for its gradient."""
    found: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in subject.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        view = View(subject, whole, number)
    assert view.hidden.requires_grad
    return sum(size for at, size in found.items() if at not in weights)


def test_no_parts_are_refused():
    with pytest.raises(ValueError, match="accumulation 0 must be at least 1"):
        LearnerConfig(accumulation=0)
