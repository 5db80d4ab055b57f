"""The embedding of patches by a kernel of our own: the same as by PyTorch's in float64, and so are its gradients."""

import copy

import pytest
import torch

from policy import native, native_patches, patches
from policy.patches import PatchEmbedding, taps

pytestmark = pytest.mark.skipif(native.load() is None, reason="needs a C compiler")


def trained(module: PatchEmbedding, count: int, autocast: bool = False) -> list[torch.Tensor]:
    """Vectors of random patches, and the gradients of all parameters."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (count, 16, 16, 3), dtype=torch.uint8, generator=generator)
    intervals = torch.randint(0, 128, (count, 2, 1), generator=generator).expand(-1, -1, 2)
    wanted = torch.randn(count, module.out.out_features, generator=generator)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        vectors = module(pixels, intervals)
    (vectors * wanted).sum().backward()
    return [vectors.detach(), *(parameter.grad for parameter in module.parameters())]


def embedding(channels: int) -> PatchEmbedding:
    torch.manual_seed(0)
    module = PatchEmbedding(24, channels)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.2)
    return module


@pytest.mark.parametrize("channels", [32, 64, 96, 256])
def test_vectors_and_gradients_are_those_of_float64(monkeypatch, channels):
    module = embedding(channels)
    other, exact = copy.deepcopy(module), copy.deepcopy(module).double()
    assert native_patches.available(module.stem.weight)
    assert not native_patches.available(exact.stem.weight)
    ours = trained(module, 9)
    monkeypatch.setattr("policy.native_patches.available", lambda _: False)
    for own, pytorchs, true in zip(ours, trained(other, 9), trained(exact, 9), strict=True):
        # With one channel a group a bias before it is in vain: its gradient is what rounding leaves of nought.
        assert (own - true).norm() <= 1e-5 * true.norm() + 2.0 * (pytorchs - true).norm()


def test_more_channels_than_the_kernel_has_room_for_go_to_pytorchs():
    assert not native_patches.available(PatchEmbedding(8, 288).stem.weight)


@pytest.mark.parametrize("matrix_units", [False, True])
def test_bfloat16_is_as_near_as_pytorchs(matrix_units, monkeypatch):
    """Many enough patches that a convolution is one product where the processor is good at those."""
    monkeypatch.setattr("policy.patches.matrix_units", lambda: matrix_units)
    module = embedding(64)
    exact, other = copy.deepcopy(module).double(), copy.deepcopy(module)
    expected, own = trained(exact, patches.MANY), trained(module, patches.MANY, autocast=True)
    monkeypatch.setattr("policy.native_patches.available", lambda _: False)
    errors, others = (
        [float((one - wanted).norm() / wanted.norm()) for one, wanted in zip(found, expected, strict=True)]
        for found in (own, trained(other, patches.MANY, autocast=True))
    )
    assert sum(errors) <= 1.1 * sum(others)  # single ones are as chance has it
    assert max(errors) < 2.0**-6  # bfloat16 has 8 bits, and rounds many times on the way


def test_a_convolution_as_one_product_is_the_convolution():
    weight = torch.arange(1.0, 10.0)
    matrix = torch.cat([weight, torch.zeros(1)])[taps()].view(16, 16)
    convolution = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    convolution.weight.data = weight.view(1, 1, 3, 3)
    x = torch.randn(5, 16)
    torch.testing.assert_close(x @ matrix.T, convolution(x.view(5, 1, 4, 4)).view(5, 16))
