"""MARWIL as a setting of awr, against RLlib's own loss."""

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from learner.view import View
from policy.values import expectation
from replay.batch import collate
from tests.learner.test_objectives import learner
from tests.learner.windows import window

MARWIL = {
    "lambda_": 1.0,
    "limit": None,
    "value_loss": "squared",
    "value_weight": 1.0,
    "temperature": 1.25,  # RLlib's beta 0.8
    "scale_start": 100.0,
    "scale_rate": 0.01,
}


class Recorded:
    """Log-probabilities that were computed before, as the distribution that RLlib asks for them."""

    def __init__(self, log_probs):
        self.logp = lambda actions: log_probs

    @classmethod
    def from_logits(cls, logits):
        return cls(logits)


def test_two_updates_equal_rllib():
    from ray.rllib.algorithms.marwil.torch.marwil_torch_learner import MARWILTorchLearner
    from ray.rllib.evaluation.postprocessing import Postprocessing

    subject = learner("awr", MARWIL)
    averages = defaultdict(lambda: torch.tensor(100.0, dtype=torch.float64))
    for seed in (0, 10):
        batch = collate([window(seed, steps=6), window(seed + 1, steps=4), window(seed + 2, steps=5)])
        loss, _ = subject.loss(subject.schedule.at(0), batch)
        view = View(subject.policy, batch)
        targets = []
        for row, length in enumerate(batch.length.tolist()):
            total, column = 0.0, []
            for step in reversed(range(length)):
                total = float(batch.rewards[row, step]) + 0.9 * total
                column.insert(0, total)
            targets += column
        values = expectation(view.value_logits[:, :-1][batch.loss], subject.policy.bins)
        module = SimpleNamespace(
            get_train_action_dist_cls=lambda: Recorded, compute_values=lambda batch, embeddings, values=values: values
        )
        theirs = SimpleNamespace(
            module={"default": SimpleNamespace(unwrapped=lambda module=module: module)},
            moving_avg_sqd_adv_norms_per_module=averages,
            metrics=SimpleNamespace(log_dict=lambda *arguments, **named: None),
        )
        config = SimpleNamespace(
            beta=0.8, moving_average_sqd_adv_norm_update_rate=0.01, bc_logstd_coeff=0.0, vf_coeff=1.0
        )
        expected = MARWILTorchLearner.compute_loss_for_module(
            theirs,
            module_id="default",
            config=config,
            batch={"actions": None, Postprocessing.VALUE_TARGETS: torch.tensor(targets, dtype=torch.float64)},
            fwd_out={"action_dist_inputs": view.action_log_probs},
        )
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-8)
        gradients = [
            torch.autograd.grad(one, (subject.policy.value.weight, subject.policy.embedding.table.weight))
            for one in (loss, expected)
        ]
        for mine, other in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-10)
