"""What training is said to need is what it takes, and what cannot fit is refused before it begins."""

from dataclasses import replace

import pytest
import torch
import yaml

from cluster.sizes import EXAMPLES
from learner import memory
from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from learner.types import MemoryFullError
from policy.config import PolicyConfig
from policy.model import Policy
from tests.learner import crew
from tests.learner.windows import window

GIB = 2**30
PLAIN = LearnerConfig()
SCHEDULE = Schedule([Entry("bc", batch=8), Entry("awr", batch=16)])


def largest() -> Policy:
    """The paper's largest size, without memory behind it."""
    fields = yaml.safe_load((EXAMPLES / "1180m.yaml").read_text())["policy"]
    with torch.device("meta"):
        return Policy(PolicyConfig(**fields))


def test_exact_parts_are_what_a_learner_holds():
    learner = crew.make(crew.Alone(), [Entry("awr", batch=crew.BATCH)])
    said = memory.parts(learner.policy, learner.config, learner.schedule)
    crew.updates(learner, 1)
    assert said["weights"] == said["gradients"] == size(learner.policy.parameters())
    assert said["moving average"] == size(learner.average.parameters())
    trained = learner.optimiser.state
    idle = [each for each in learner.policy.parameters() if each not in trained]  # the ids of texts, other heads
    moments = [value for state in trained.values() for value in state.values() if value.dim()]
    assert said["AdamW's moments"] == size(moments) + 2 * size(idle)


def size(tensors) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


def test_activations_are_near_what_autograd_saves():
    sizes = PolicyConfig(layers=4, width=64, heads=2, feedforward=256, context=128, action_bins=64)
    policy, batch = Policy(sizes), [window(seed, 25, observed=3) for seed in range(16)]  # 129 tokens each
    learner = Learner(policy, crew.TASKS, PLAIN, Schedule([Entry("bc", batch=16)]))
    weights = {each.untyped_storage().data_ptr() for each in policy.parameters()}
    held: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        entry = learner.schedule.at(0)
        learner.loss(entry, learner.batch(entry, lambda table, count: batch))
    saved = sum(each.nbytes() for each in held.values())
    assert memory.activations(policy, PLAIN, learner.schedule) == pytest.approx(saved, rel=0.4)


@pytest.mark.parametrize(
    ("config", "grown"),
    [
        ({}, 1075),
        ({"checkpointing": True}, 531),
        ({"accumulation": 4}, 470),
        ({"accumulation": 4, "checkpointing": True}, 358),
    ],
)
def test_need_is_near_what_a_process_was_measured_to_grow_by(config, grown):
    """6 blocks of width 256, 32 windows of 256 tokens, bc, in MB: the table of docs/scale-out.md."""
    with torch.device("meta"):
        policy = Policy(PolicyConfig(layers=6, width=256, heads=8, feedforward=1024, context=256))
    need = memory.parts(policy, LearnerConfig(**config), Schedule([Entry("bc", batch=32)]))
    in_updates = need["gradients"] + need["AdamW's moments"] + need["activations"]
    assert in_updates / 1e6 == pytest.approx(grown, rel=0.3)


def test_the_largest_policy_is_planned_without_being_made():
    need = memory.parts(largest(), PLAIN, SCHEDULE)
    assert need["weights"] == pytest.approx(4 * 1.2e9, rel=0.1)
    assert need["AdamW's moments"] == 2 * need["weights"]
    cut = memory.parts(largest(), PLAIN, SCHEDULE, workers=4, sharded=True)
    assert cut["weights"] == pytest.approx(need["weights"] / 4, rel=1e-6)
    assert cut["activations"] == pytest.approx(need["activations"] / 4, rel=1e-6)


def test_what_cannot_fit_is_refused_with_what_would(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: (16 if device.type == "cuda" else 200) * GIB)
    with pytest.raises(MemoryFullError) as refused:
        memory.check(largest(), PLAIN, SCHEDULE, torch.device("cuda:0"))
    text = str(refused.value)
    assert "of cuda:0, and 16 GiB are free: weights" in text
    assert "8 GPUs with parallel.sharding full, on each" in text
    assert "learner.accumulation" not in text  # which leaves the weights as they are


def test_what_will_come_to_lie_beside_is_planned_for(monkeypatch, caplog):
    policy = crew.make(crew.Alone(), [Entry("bc")]).policy
    room = 2 * sum(memory.parts(policy, PLAIN, SCHEDULE).values())
    monkeypatch.setattr(memory, "available", lambda device: room)
    memory.check(policy, PLAIN, SCHEDULE, torch.device("cuda:0"), beside={"KV cache": room // 4})
    assert not caplog.text
    with pytest.raises(MemoryFullError, match=r"KV cache [\d.e+-]+ GiB\. .*fewer actors\.environments"):
        memory.check(policy, PLAIN, SCHEDULE, torch.device("cuda:0"), beside={"KV cache": room})


def test_a_checkpoint_that_has_no_room_to_be_copied_to_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: (16 if device.type == "cpu" else 200) * GIB)
    with pytest.raises(MemoryFullError, match=r"takes 19 GiB, and 16 GiB are free: a smaller policy"):
        memory.check(largest(), PLAIN, SCHEDULE, torch.device("cuda:0"))
    monkeypatch.setattr(memory, "available", lambda device: 20 * GIB)
    with pytest.raises(MemoryFullError, match=r"a checkpoint's copy 19 GiB"):
        memory.check(largest(), PLAIN, SCHEDULE, torch.device("cpu"))


def test_a_checkpoints_copy_takes_what_is_planned_for_it():
    learner = crew.make(crew.Alone(), [Entry("awr", batch=crew.BATCH)])
    crew.updates(learner, 1)
    trained = [each for each in learner.policy.parameters() if each in learner.optimiser.state]
    copied = [value for value in learner.snapshot().tensors.values() if value.dim()]
    idle = size(learner.policy.parameters()) - size(trained)  # has no moments
    assert size(copied) + 2 * idle == memory.COPIED * size(learner.policy.parameters())


def test_activations_that_are_not_likely_to_fit_are_warned_of(monkeypatch, caplog):
    policy = crew.make(crew.Alone(), [Entry("bc")]).policy
    need = memory.parts(policy, PLAIN, SCHEDULE)
    monkeypatch.setattr(memory, "available", lambda device: sum(need.values()) - need["activations"] // 8)
    memory.check(policy, replace(PLAIN), SCHEDULE, torch.device("cuda:0"))
    assert "What would fit: learner.accumulation 4" in caplog.text


def test_enough_memory_says_nothing(caplog):
    memory.check(crew.make(crew.Alone(), [Entry("bc")]).policy, PLAIN, SCHEDULE, torch.device("cpu"))
    assert not caplog.text
