"""The embedding of image patches, and a policy that sees them: in training and from a cache."""

import numpy as np
import torch

from policy.images import ImageShape
from policy.patches import PatchEmbedding, Patches
from policy.vocabulary import DEFAULT
from tests.policy.small import policy


def embedding(seed: int = 0) -> PatchEmbedding:
    torch.manual_seed(seed)
    module = PatchEmbedding(16, 64).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.2)
    return module


def some(count: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random patches and the intervals of an image of 2 by 3 patches."""
    pixels = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8))
    intervals = torch.from_numpy(np.resize(ImageShape(1, 32, 48, 3).intervals, (count, 2, 2)).astype(np.int64))
    return pixels, intervals


def test_pixels_are_scaled_to_one_and_divided_by_four():
    module, seen = embedding().eval(), []
    module.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pixels = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    pixels[..., 1], pixels[..., 2] = 255, 51
    module(pixels, some()[1][:1])
    assert torch.allclose(seen[0].amin((2, 3)), torch.tensor([[-0.25, 0.25, (51 / 127.5 - 1) / 4]]).double())


def test_all_patches_go_through_one_call():
    model, calls = policy(), []
    model.embedding.patches.register_forward_hook(lambda *_: calls.append(1))
    tokens, position, timestep, patches = window()
    model(tokens, position, timestep, patches)
    assert calls == [1]


def test_evaluation_takes_the_rounded_mean_of_an_interval():
    intervals = torch.tensor([[[0, 32], [26, 51]], [[96, 127], [127, 127]]])
    assert embedding().eval().places(intervals).tolist() == [[16, 39], [112, 127]]


def test_training_draws_uniformly_from_an_interval():
    torch.manual_seed(0)
    rows = 20_000
    intervals = torch.tensor([[[96, 127], [3, 5]]]).expand(rows, 2, 2)
    drawn = embedding().train().places(intervals)
    for column, (first, last) in enumerate([(96, 127), (3, 5)]):
        counts = torch.bincount(drawn[:, column], minlength=128).double()
        assert counts[:first].sum() == counts[last + 1 :].sum() == 0
        kinds = last - first + 1
        chi_square = ((counts[first : last + 1] - rows / kinds) ** 2 / (rows / kinds)).sum()
        assert chi_square < 62 if kinds == 32 else chi_square < 14  # once in 1,000


def test_a_patch_embeds_alike_alone_and_among_others():
    module, (pixels, intervals) = embedding().eval(), some()
    together = module(pixels, intervals)
    for at in range(len(pixels)):
        alone = module(pixels[at : at + 1], intervals[at : at + 1])
        assert torch.allclose(alone[0], together[at], atol=1e-12)


def test_the_residual_block_is_pre_activation():
    """Without its second convolution, the block is the identity, and the whole is linear in the pixels."""
    module, (pixels, intervals) = embedding().eval(), some()
    with torch.no_grad():
        module.second.weight.zero_()
        module.second.bias.zero_()
        black, white = torch.zeros_like(pixels), torch.full_like(pixels, 255)
        half = module(torch.full_like(pixels, 51), intervals)
        assert torch.allclose(half, 0.8 * module(black, intervals) + 0.2 * module(white, intervals), atol=1e-12)
    assert module.norm_first.num_groups == 32


def window(seed: int = 0, steps: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Patches]:
    """One window: two continuous tokens, three patches, separator, one action a step."""
    place = torch.arange(7 * steps)
    within = place % 7
    tokens = torch.from_numpy(np.random.default_rng(seed).integers(32000, 33024, len(place)))
    tokens[within == 5] = DEFAULT.separator
    tokens[(within >= 2) & (within < 5)] = DEFAULT.patch
    at = torch.nonzero(tokens == DEFAULT.patch).squeeze(1)
    pixels, intervals = some(len(at), seed)
    return tokens[None], within.masked_fill(within == 6, -1)[None], (place // 7)[None], Patches(pixels, at, intervals)


def test_images_are_seen_where_they_stand_and_not_before():
    model = policy()
    tokens, position, timestep, patches = window()
    with torch.no_grad():
        before = model(tokens, position, timestep, patches)
        changed = patches.pixels.clone()
        changed[4, 3, 5, 1] ^= 128  # second step, second patch
        moved = (model(tokens, position, timestep, patches._replace(pixels=changed)) - before).abs().amax(-1)[0]
        shifted = patches.intervals.clone()
        shifted[4] = torch.tensor([[100, 110], [0, 7]])
        placed = (model(tokens, position, timestep, patches._replace(intervals=shifted)) - before).abs().amax(-1)[0]
    for difference in (moved, placed):
        assert difference[: 7 + 3].max() == 0
        assert difference[7 + 3 :].min() > 1e-9


def test_training_draws_from_a_saved_state_to_the_bit():
    model = policy().train()
    inputs = window()
    state = torch.get_rng_state()
    first = model(*inputs)
    assert not torch.equal(first, model(*inputs))
    torch.set_rng_state(state)
    assert torch.equal(first, model(*inputs))
