"""Attention within whole sequences, by whichever way is faster."""

import torch
from torch.nn import functional

# On CPUs the fused kernel takes up to eight times as long for short sequences, most of it in its backward pass; written
# out, long ones lose to it. So many tokens: causal, and under a mask, where the fused kernel can leave nothing out.
# (Measured with 2 threads, AVX512-BF16, 4 heads of 32.)
WRITTEN_OUT = {torch.float32: (64, 64), torch.float64: (64, 64), torch.bfloat16: (256, 640)}


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """softmax(query key^T / sqrt(size)) value (arXiv 1706.03762, equation 1).

    Args:
        query: [B, heads, T, size].
        key, value: [B, heads, S, size].
        mask: bool [B, 1, T, S] (True: may attend; no row without any); None: the same and earlier places, of S = T.

    Returns:
        [B, heads, T, size].
    """
    rows, heads, count, size = query.shape
    seen = key.shape[2]
    longest = WRITTEN_OUT.get(query.dtype, (0, 0))[mask is not None]
    if query.device.type != "cpu" or seen > longest:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
    q, k, v = (part.reshape(rows * heads, -1, size) for part in (query, key, value))
    hidden = torch.zeros(count, seen, dtype=q.dtype, device=q.device)
    if mask is None:
        hidden = hidden.fill_(-torch.inf).triu(1).expand(rows * heads, -1, -1)
    else:
        hidden = hidden.expand(rows, 1, -1, -1).masked_fill(~mask, -torch.inf)  # [B, 1, T, S]
        hidden = hidden.expand(-1, heads, -1, -1).reshape(rows * heads, count, seen)
    scores = torch.baddbmm(hidden, q * size**-0.5, k.transpose(1, 2))  # [B * heads, T, S]
    return torch.bmm(scores.softmax(-1), v).view(rows, heads, count, size)
