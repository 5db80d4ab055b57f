"""What happens to a pass's new tokens in the blocks of a transformer: free functions of tensors, so that PyTorch can
compile them (`torch.jit.script`) and run them without Python, and its lock, between kernels.
"""

from typing import NamedTuple

import torch
from torch.nn import functional


class Part(NamedTuple):
    """Rows of a pass that have as many new tokens each, padding included; in the pass they follow each other.

    `fresh` rows have nothing in the cache: they attend to their own new tokens alone.
    """

    rows: int
    tokens: int  # new ones of each row
    fresh: bool
    runs: list[tuple[int, int]]  # (first slot, slots) of neighbours, together all rows in order; empty: too many
    slots: torch.Tensor  # int64 [rows]
    mask: torch.Tensor  # additive, float32 or wider [rows, 1, tokens, keys], over the new tokens or the first columns
    last: torch.Tensor  # int64 [rows]: index of each row's last new token


def blocks(
    x: torch.Tensor,
    turn: torch.Tensor,
    slots: torch.Tensor,
    columns: torch.Tensor,
    parts: list[Part],
    last: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    weights: list[list[torch.Tensor]],
    gated: bool,
    packed: bool,
) -> torch.Tensor:
    """All blocks; the last one for each row's last token alone, for the others leave only their keys and values there.

    Args:
        x: embedded tokens [N, width], part after part, row after row.
        turn: complex [N, 2, 1, key / 2]: what turns queries and keys to their places; scales the queries, too.
        slots, columns: int64 [N]: where in the cache each token's key and value go.
        parts: B rows in all.
        last: int64 [B]: which of the N tokens are their rows' last ones.
        keys, values: the cache's, [layers, slots, heads, columns, key].
        weights: of each block, as `policy.decoder` puts them.
        gated: the activation is GEGLU.
        packed: weights are in oneDNN's order.

    Returns:
        [B, width].
    """
    heads, key = keys.shape[2], keys.shape[4]
    width = heads * key
    for layer, block in enumerate(weights):
        joint = _linear(
            functional.layer_norm(x, [width], block[0], block[1]), block[2], block[3], packed
        )  # [N, 3 width]
        pairs = joint[:, : 2 * width].to(turn.real.dtype).view(len(x), 2, heads, key // 2, 2)
        turned = torch.view_as_real(torch.view_as_complex(pairs) * turn)  # [N, 2, heads, key / 2, 2]
        q, k = turned.flatten(3).to(joint.dtype).unbind(1)  # each [N, heads, key]
        v = joint[:, 2 * width :].view(len(x), heads, key)
        keys[layer].transpose(1, 2).index_put_([slots, columns], k)
        values[layer].transpose(1, 2).index_put_([slots, columns], v)
        ending = layer == len(weights) - 1
        if ending:
            x, q = x[last], q[last]
        attended: list[torch.Tensor] = []
        token, row = 0, 0  # where the part begins among k and v, and among x and q
        for part in parts:
            count = 1 if ending else part.tokens
            own = q[row : row + part.rows * count].view(part.rows, count, heads, key)
            mask = part.mask
            if ending:  # of the last tokens alone: [rows, 1, 1, keys]
                mask = mask.gather(2, part.last[:, None, None, None].expand(-1, -1, -1, mask.shape[3]))
            if part.fresh:
                some = [each[token : token + part.rows * part.tokens] for each in (k, v)]
                some = [each.view(part.rows, part.tokens, heads, key).transpose(1, 2) for each in some]
                one = _attend(own, some[0], some[1], mask)
            else:
                one = _attend_cached(own, part, keys[layer], values[layer], mask)
            attended.append(one)
            token += part.rows * part.tokens
            row += part.rows * count
        joined = attended[0] if len(attended) == 1 else torch.cat(attended)
        if len(joined) < len(x):  # padding, which attends to nothing
            joined = functional.pad(joined, [0, 0, 0, len(x) - len(joined)])
        x = _linear_added(joined, block[4], block[5], x, packed)
        y = functional.layer_norm(x, [width], block[6], block[7])
        if gated:
            gate, value = _linear(y, block[8], block[9], packed).chunk(2, dim=-1)
            y = functional.gelu(gate) * value
        else:
            y = _linear_gelu(y, block[8], block[9], packed)
        x = _linear_added(y, block[10], block[11], x, packed)
    return x


def _attend_cached(
    queries: torch.Tensor, part: Part, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Attention of queries [rows, T, heads, key] to the first columns of a layer's cache; [rows * T, width]."""
    span = mask.shape[3]
    if len(part.runs) == 0:
        some = [each[:, :, :span].index_select(0, part.slots) for each in (keys, values)]
        return _attend(queries, some[0], some[1], mask)
    found: list[torch.Tensor] = []
    row = 0
    for first, count in part.runs:
        some = [each[first : first + count, :, :span] for each in (keys, values)]
        found.append(_attend(queries[row : row + count], some[0], some[1], mask[row : row + count]))
        row += count
    return found[0] if len(found) == 1 else torch.cat(found)


def _attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Attention of scaled queries [rows, T, heads, key] to keys and values [rows, heads, keys, key]; [rows * T, width].

    Written out, because PyTorch's fused kernels take two to four times as long on CPUs for a few queries a row.
    """
    rows, count, heads, key = queries.shape
    q = queries.transpose(1, 2).reshape(rows * heads, count, key)
    scores = torch.bmm(q, keys.flatten(0, 1).transpose(1, 2)).view(rows, heads, count, keys.shape[2])
    weights = torch.softmax(scores.to(mask.dtype).add_(mask), dim=-1).to(values.dtype)
    found = torch.bmm(weights.flatten(0, 1), values.flatten(0, 1)).view(rows, heads, count, key)
    return found.transpose(1, 2).reshape(rows * count, heads * key)


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, packed: bool) -> torch.Tensor:
    if packed:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "none")
    return functional.linear(x, weight, bias)


def _linear_gelu(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, packed: bool) -> torch.Tensor:
    if packed:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], "none")
    return functional.gelu(functional.linear(x, weight, bias))


def _linear_added(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, other: torch.Tensor, packed: bool
) -> torch.Tensor:
    if packed:
        # Its own way to add within the product takes up to 0.7 ms a call longer, whatever the size.
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "none").add_(other)
    return other + functional.linear(x, weight, bias)
