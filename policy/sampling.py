"""Drawing tokens from logits, with their log-probabilities."""

import torch

from policy import native


def draw(
    logits: torch.Tensor, temperature: torch.Tensor, level: torch.Tensor, median: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token of each row.

    Args:
        logits: float32 or float64 [M, K].
        temperature: [M]; 0 is greedy.
        level: float64 [M]: a number drawn uniformly from [0, 1) for each row.
        median: the tokens are ordered, and greedy takes the first at which the summed probabilities exceed a half;
            otherwise it takes the most likely one.

    Returns:
        int64 [M], and their log-probabilities [M] at that temperature (greedy: at temperature 1).
    """
    if logits.device.type == "cpu" and logits.dtype == torch.float32 and (kernel := native.draw()) is not None:
        return kernel(logits, temperature, level, median)
    sampled = temperature > 0
    scale = torch.where(sampled, temperature, torch.ones_like(temperature)).to(logits.dtype)
    log_probs = torch.log_softmax(logits / scale.unsqueeze(1), dim=1)  # [M, K]
    # The first token at which the summed probabilities exceed a uniform number: one random number a row, where other
    # ways draw one a token. In float64, so that no rounding of the sum makes a token more or less likely.
    summed = log_probs.exp().double().cumsum_(1)  # [M, K]
    if median:
        level = torch.where(sampled, level, torch.full_like(level, 0.5))
    picked = torch.searchsorted(summed, level.unsqueeze(1) * summed[:, -1:], right=True).squeeze(1)
    picked = picked.clamp_(max=logits.shape[1] - 1)
    if not median and not sampled.all():
        picked = torch.where(sampled, picked, log_probs.argmax(dim=1))
    return picked, log_probs.gather(1, picked.unsqueeze(1)).squeeze(1)
