"""Drawing tokens from logits, with their log-probabilities."""

import torch


def draw(
    logits: torch.Tensor, temperature: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token of each row.

    Args:
        logits: float32 or float64 [M, K].
        temperature: [M]; 0 takes the most likely token.
        generator: on the logits' device.

    Returns:
        int64 [M], and their log-probabilities [M] at that temperature (greedy: at temperature 1).
    """
    sampled = temperature > 0
    scale = torch.where(sampled, temperature, torch.ones_like(temperature)).to(logits.dtype)
    log_probs = torch.log_softmax(logits / scale.unsqueeze(1), dim=1)  # [M, K]
    # Gumbel-max: the argmax of log p - log E, E exponential, is a draw from p.
    noise = torch.empty_like(log_probs).exponential_(generator=generator).log_()
    picked = (log_probs - noise * sampled.unsqueeze(1)).argmax(dim=1)
    return picked, log_probs.gather(1, picked.unsqueeze(1)).squeeze(1)
