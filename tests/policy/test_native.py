"""Kernels of our own: the same numbers as PyTorch's, and what happens where they cannot be compiled."""

import shutil
import subprocess

import numpy as np
import pytest
import torch

from policy import native, native_patches
from policy.engine import Engine
from policy.native import Kernels
from policy.padded_passes import PaddedPasses
from policy.sampling import draw
from tests.policy.small import policy, request, seeing

needs_compiler = pytest.mark.skipif(native.load() is None, reason="needs a C compiler")
FLOAT, BFLOAT = torch.float32, torch.bfloat16


@pytest.fixture
def without(monkeypatch):
    """As where there is no compiler."""
    monkeypatch.setattr("policy.native.load", lambda: None)


def engines(monkeypatch, **fields) -> tuple[Engine, Engine]:
    """One with kernels of our own, one with PyTorch's."""
    model = policy(FLOAT, **fields)
    own = Engine(model, 12)
    monkeypatch.setattr("policy.native.load", lambda: None)
    return own, Engine(model, 12)


@needs_compiler
@pytest.mark.parametrize("activation", ["gelu", "geglu"])
@pytest.mark.parametrize("positions", ["rotary", "learned", "none"])
@pytest.mark.parametrize("attention_steps", [None, 0, 2])
def test_actions_are_those_of_pytorchs_kernels(monkeypatch, activation, positions, attention_steps):
    own, other = engines(
        monkeypatch, activation=activation, positions=positions, attention_steps=attention_steps, context=100
    )
    assert not isinstance(own.forward._way, PaddedPasses)
    assert isinstance(other.forward._way, PaddedPasses)
    for step in range(30):
        rngs = [np.random.default_rng(step) for _ in range(2)]
        first, second = (
            engine.act(
                [
                    request(rng, "numbers", 3 + step % 5, reset=step % 11 < 5, temperature=0.0),
                    seeing(rng, "eyes", 2, reset=step == 0, prompt=2 if step == 0 else 0, temperature=0.0),
                ]
            )
            for engine, rng in zip((own, other), rngs, strict=True)
        )
        for one, another in zip(first, second, strict=True):
            assert np.array_equal(one.tokens, another.tokens)
            assert np.abs(one.log_probs - another.log_probs).max() < 1e-4


@needs_compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [(FLOAT, 1e-5), (BFLOAT, 0.02)])
@pytest.mark.parametrize("key", [16, 32, 48, 80])
@pytest.mark.parametrize("last", [False, True])
def test_attention_is_softmax_of_turned_queries_and_keys(dtype, tolerance, key, last):
    torch.manual_seed(0)
    heads, columns, width = 3, 64, 3 * key
    new, before = torch.tensor([1, 7, 3, 8, 21]), torch.tensor([40, 0, 17, 16, 9])
    slots = torch.tensor([4, 1, 0, 3, 6])
    joint = torch.randn(int(new.sum()) + 2, 3 * width).to(dtype)
    angle = torch.rand(columns, key // 2)
    keys = torch.zeros(7, heads, columns // 16, key, 16, dtype=dtype)
    values = torch.zeros(7, heads, columns, key, dtype=dtype)
    expected = []
    first = new.cumsum(0) - new
    for row, slot in enumerate(slots.tolist()):
        old, count = int(before[row]), int(new[row])
        keys[slot] = torch.randn(heads, columns // 16, key, 16)
        values[slot] = torch.randn(heads, columns, key)
        q, k, v = joint[first[row] : first[row] + count].float().view(count, 3, heads, key).permute(1, 2, 0, 3)
        turned = [_turned(each, angle[old : old + count]) for each in (q, k)]
        known = keys[slot].float().transpose(2, 3).reshape(heads, columns, key)[:, :old]
        every = torch.cat([known, turned[1].to(dtype).float()], dim=1)
        weights = torch.cat([values[slot, :, :old].float(), v], dim=1)
        scores = turned[0] @ every.transpose(1, 2) * key**-0.5  # [heads, count, old + count]
        later = torch.ones(count, old + count, dtype=torch.bool).triu(old + 1)
        found = (scores.masked_fill(later, -torch.inf).softmax(-1) @ weights).transpose(0, 1).reshape(count, width)
        expected.append(found[-1:] if last else found)
    rows = torch.stack([slots, first, new, before, torch.full_like(new, 5), torch.zeros_like(new)])
    library = native.load()
    assert library is not None
    count = len(slots) if last else len(joint)
    turn = angle.cos(), angle.sin()
    given = Kernels(library, dtype).attend(joint, turn, keys, values, rows, None, last, count).float()
    assert (given[: len(torch.cat(expected))] - torch.cat(expected)).abs().max() < tolerance
    assert last or not given[-2:].any()  # of no row


def _turned(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


@needs_compiler
@pytest.mark.parametrize("ids", [3, 16, 100, 1024])
@pytest.mark.parametrize("median", [False, True])
def test_draws_are_those_of_pytorchs_kernels(monkeypatch, ids, median):
    generator = torch.Generator().manual_seed(ids)
    logits = 3.0 * torch.randn(400, ids, generator=generator)
    temperature = torch.tensor([0.0, 0.5, 1.0, 2.0], dtype=torch.float64).repeat(100)
    level = torch.rand(400, dtype=torch.float64, generator=generator)
    own = draw(logits, temperature, level, median)
    monkeypatch.setattr("policy.native.draw", lambda: None)
    other = draw(logits, temperature, level, median)
    assert (own[0] != other[0]).sum() <= 1  # a level may lie within a rounding of a border
    same = own[0] == other[0]
    assert (own[1] - other[1])[same].abs().max() < 1e-5


def test_an_engine_acts_without_a_compiler(without):
    engine = Engine(policy(FLOAT), 4)
    assert isinstance(engine.forward._way, PaddedPasses)
    assert engine.act([request(np.random.default_rng(0), reset=True)])[0].tokens.shape == (2, 1)


@needs_compiler
def test_what_is_not_there_once_is_asked_for_again(monkeypatch):
    weight = torch.zeros(32, 3)
    with monkeypatch.context() as patch:
        patch.setattr("policy.native.load", lambda: None)
        assert not native_patches.available(weight)
        assert native.draw() is None
    assert native_patches.available(weight)
    assert native.draw() is native.draw() is not None


def test_a_compiler_that_is_missing_or_fails_is_told(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    missing = shutil.which("false")
    monkeypatch.setattr("policy.native.shutil.which", lambda name: missing)
    with caplog.at_level("INFO"):
        assert native.load.__wrapped__() is None
        assert "PyTorch's kernels are used" in caplog.text
        monkeypatch.setattr("policy.native.shutil.which", lambda name: None)
        assert native.load.__wrapped__() is None
        assert "there is no C compiler" in caplog.text


@needs_compiler
def test_compiled_kernels_are_kept(monkeypatch, tmp_path):
    compiler = next(found for name in native.COMPILERS if (found := shutil.which(name)))
    library = native._compiled(compiler, tmp_path)
    monkeypatch.setattr("policy.native.subprocess", None)  # not asked again
    assert native._compiled(compiler, tmp_path) == library
    assert [each.name for each in tmp_path.iterdir()] == [library.name]


@needs_compiler
def test_where_nothing_can_be_kept_they_are_compiled_for_this_process(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert native._folder() is None
    assert native.load.__wrapped__() is not None


def test_the_source_compiles_without_warnings(tmp_path):
    compiler = next((found for name in native.COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-Wno-unknown-pragmas"]
    subprocess.run([*command, "-shared", "-fPIC", "-o", tmp_path / "n.so", *native.SOURCES, "-lm"], check=True)
