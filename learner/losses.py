"""Losses as pure functions of tensors. Nothing here knows a model, a batch or a file.

Every policy loss is a sum of weight times cross-entropy over loss tokens, divided by the number of those tokens
(a global number, given by the caller): with all weights one, each of them is cloning, to the bit.
"""

import torch

from policy.values import histogram, symlog


def cloning(log_probs: torch.Tensor, weights: torch.Tensor, count: torch.Tensor | float) -> torch.Tensor:
    """-sum_i w_i log pi_i / count: masked next-token cross-entropy (Gato, arXiv 2205.06175, equation 1), weighted.

    Args:
        log_probs: [M], of each loss token.
        weights: [M], detached by the caller.
        count: the global number of loss tokens.
    """
    return -(weights * log_probs).sum() / count


def exponential_weights(
    advantages: torch.Tensor, temperature: float, limit: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """min(exp(A / temperature), limit) (AWR, arXiv 1910.00177, equation 9; IQL, arXiv 2110.06169, equation 7).

    Returns:
        The weights, and which of them were cut off at the limit (None: there is none), bool.
    """
    raw = torch.exp((advantages / temperature).clamp(max=80.0))  # beyond e^80 float32 overflows
    if limit is None:
        return raw, torch.zeros_like(raw, dtype=torch.bool)
    return raw.clamp(max=limit), raw > limit


def lambda_returns(
    rewards: torch.Tensor,
    next_values: torch.Tensor,
    terminated: torch.Tensor,
    length: torch.Tensor,
    discount: torch.Tensor,
    lambda_: float,
) -> torch.Tensor:
    """G_t = r_t + discount (1 - d_t) ((1 - lambda) V_{t+1} + lambda G_{t+1}), G after the last step being V there.

    (Sutton and Barto, 2nd edition, equation 12.18; with lambda 1 the Monte-Carlo return, bootstrapped at the cut.)

    Args:
        rewards: [B, N].
        next_values: [B, N], V of the state that follows each step.
        terminated: bool [B, N]; nothing follows such a step. A truncated step bootstraps.
        length: int64 [B], steps in each row; the rest is padding.
        discount: [B].

    Returns:
        [B, N], zero at padding.
    """
    steps = rewards.shape[1]
    alive = 1.0 - terminated.to(rewards.dtype)
    result = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    for step in range(steps - 1, -1, -1):
        last = length - 1 == step
        following = torch.where(last, next_values[:, step], following)
        mixed = (1.0 - lambda_) * next_values[:, step] + lambda_ * following
        following = rewards[:, step] + discount * alive[:, step] * mixed
        result[:, step] = torch.where(step < length, following, torch.zeros_like(following))
    return result


def n_step_returns(
    rewards: torch.Tensor,
    next_values: torch.Tensor,
    terminated: torch.Tensor,
    length: torch.Tensor,
    discount: torch.Tensor,
    steps: int,
) -> torch.Tensor:
    """G_t = r_t + ... + discount^(n-1) r_{t+n-1} + discount^n V_{t+n}, n = `steps` or what is left of the row.

    (Sutton and Barto, 2nd edition, equation 7.1.) Arguments and result as `lambda_returns`.
    """
    alive = 1.0 - terminated.to(rewards.dtype)
    factor = discount.unsqueeze(1) * alive  # [B, N]
    place = torch.arange(rewards.shape[1], device=rewards.device)
    last = place >= (length - 1).unsqueeze(1)  # [B, N]
    result = rewards + factor * next_values
    for _ in range(steps - 1):
        following = torch.where(last, next_values, result.roll(-1, dims=1))
        result = rewards + factor * following
    return torch.where(place < length.unsqueeze(1), result, torch.zeros_like(result))


def expectile_weights(differences: torch.Tensor, tau: float) -> torch.Tensor:
    """|tau - 1(u < 0)| for u = Q - V (IQL, arXiv 2110.06169, equation 4). Any shape."""
    return torch.where(differences < 0, 1.0 - tau, tau)


def categorical(
    logits: torch.Tensor, targets: torch.Tensor, bins: torch.Tensor, weights: torch.Tensor, count: torch.Tensor | float
) -> torch.Tensor:
    """Weighted cross-entropy of value logits against histograms of symlog targets, divided by `count`.

    With expectile weights its minimum is the expectile in symlog space: the weighted mean of the targets, weights as in
    `expectile_weights` (the gradient of the asymmetric square is that of a weighted mean).

    Args:
        logits: [S, K].
        targets: [S], returns.
        bins: [K], centres in symlog space.
        weights: [S].
        count: the global number of targets.
    """
    log_probs = torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=-1)
    target = histogram(symlog(targets.to(log_probs.dtype)), bins.to(log_probs.dtype))  # [S, K]
    return -(weights * (target * log_probs).sum(-1)).sum() / count


def squared(values: torch.Tensor, targets: torch.Tensor, count: torch.Tensor | float) -> torch.Tensor:
    """sum 0.5 (target - value)^2 / count (MARWIL's value loss, RLlib). Both [S]; targets detached by the caller."""
    return 0.5 * ((targets - values) ** 2).sum() / count


def conservative(
    q: torch.Tensor, taken: torch.Tensor, floor: torch.Tensor | None, count: torch.Tensor | float
) -> torch.Tensor:
    """sum (logsumexp_i Q_i - Q_taken) / count (CQL(H), arXiv 2006.04779, equation 4).

    Args:
        q: [S, V].
        taken: int64 [S], in [0, V).
        floor: [S]; given, max(Q_i, floor) stands in the first term (Cal-QL, arXiv 2303.05479, equation 5.2): what the
            data's own return shows to be reachable is not pushed down further.
        count: the global number of positions.
    """
    pushed = q if floor is None else torch.maximum(q, floor.unsqueeze(1))
    return (torch.logsumexp(pushed, dim=1) - q.gather(1, taken.unsqueeze(1)).squeeze(1)).sum() / count


def cross_entropy_to(target: torch.Tensor, log_probs: torch.Tensor) -> torch.Tensor:
    """-sum_i target_i log pi_i of each row; the gradient of KL(target || pi). Both [S, V] -> [S]."""
    return -(target * log_probs).sum(dim=1)


def improved(log_probs: torch.Tensor, values: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
    """The policy pi exp(Q / temperature) / Z: the best one at a price for its KL divergence from pi.

    (PAC, arXiv 2402.05546, section 3.1; MPO, arXiv 1806.06920, equation 7.)

    Args:
        log_probs: [S, V], of pi; zeros for the Boltzmann policy of Q alone.
        values: [S, V], Q.
        temperature: [S].
    """
    return torch.softmax(log_probs + values / temperature.unsqueeze(1), dim=1)


def outside(targets: torch.Tensor, trained: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
    """How many returns of each row lie beyond the outermost of the bins [K], and so are clipped to it. int64 [B].

    Args:
        targets: [B, N].
        trained: bool [B, N], which of them count.
        bins: centres in symlog space, [K].
    """
    return ((symlog(targets).abs() > bins[-1]) & trained).sum(dim=1)
