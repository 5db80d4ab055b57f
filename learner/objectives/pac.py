"""A KL-regularised actor-critic in the manner of PAC (arXiv 2402.05546, section 3.1).

(1 - cloning) KL(pi' exp(Q' / temperature) / Z || pi) + cloning KL(data || pi) + a critic that evaluates the policy,
pi' and Q' of the moving-average network. The paper estimates the first term with sampled actions; here it is exact
over the legal ids of each action token, given the tokens before it: the KL divergence of actions is the sum of their
tokens'. With `cloning` 1 the policy's loss is that of bc.
"""

from dataclasses import dataclass

from learner.action_critic import critic
from learner.advantage import divisors
from learner.losses import cloning, cross_entropy_to, improved
from learner.targets import Backup
from learner.types import Loss, Objective, Update
from policy.values import symexp


@dataclass(frozen=True)
class Settings(Backup):
    temperature: float = 1.0
    """Price of leaving the moving-average policy, in units of the task's running scale of advantages."""
    cloning: float = 0.5
    """Share of cloning in the policy's loss; 1 is bc, 0 the improved policy alone."""
    value_weight: float = 0.5
    """Weight of Q's loss beside 1 for the policy."""
    warmup: int = 0
    """Updates in which the policy only clones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.cloning <= 1.0:
            raise ValueError(f"cloning {self.cloning} must lie in [0, 1]")


def loss(update: Update) -> Loss:
    settings, view, batch = update.settings, update.view, update.view.batch
    assert update.target is not None
    found = critic(update, "expected", settings)
    log_probs = view.action_log_probs
    policy = cloning(log_probs, log_probs.new_ones(()), update.count)
    metrics = found.metrics() | {"cloning": policy.detach()}
    scale = divisors(update, found.advantages)[batch.action_step // batch.rewards.shape[1]]  # [M]
    if update.number >= settings.warmup and settings.cloning < 1.0:
        better = policy.new_zeros(())
        for choice, slow in zip(view.choices, update.target.choices, strict=True):
            real = choice.index < len(log_probs)
            at = choice.index[real]
            wanted = improved(slow.log_probs[real], symexp(slow.q[real]), settings.temperature * scale[at])  # [m, V]
            better = better + cross_entropy_to(wanted, choice.log_probs[real]).sum() / update.count
        policy = (1.0 - settings.cloning) * better + settings.cloning * policy
        metrics["improvement"] = better.detach()
    return policy + settings.value_weight * found.loss, metrics | {"policy": policy.detach()}


OBJECTIVE = Objective("pac", Settings, loss, uses_target=True)
