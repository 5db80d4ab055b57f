"""Compiled blocks (`policy.transformer.Block.compiling`), and whether PyTorch can compile on this machine at all."""

from typing import cast

import torch

from learner.types import CompileError
from policy.model import Policy
from policy.transformer import Block

NEEDS = {"cpu": "g++ and Python's headers"}


def switch(policy: Policy, on: bool) -> None:
    """Whether a policy's blocks are compiled, each part when it is first needed.

    Raises:
        CompileError: they shall be, and cannot be where the policy is.
    """
    if on:
        check(policy.bins.device)
    for block in policy.transformer.blocks:
        cast(Block, block).compiling = on


def check(device: torch.device) -> None:
    """Compiles something small, which takes seconds.

    Raises:
        CompileError: says what is missing.
    """
    try:
        torch.compile(_more)(torch.zeros(8, device=device))
    except RuntimeError as error:  # of PyTorch: whatever a compiler ended with, or the search for one
        first, *others = str(error).strip().split("\n\n")
        lines = [" ".join(first.split()), *"\n".join(others).splitlines()]
        said = next((line.strip() for line in lines if " error: " in line), lines[0])
        needed = NEEDS.get(device.type, "triton and gcc")
        raise CompileError(
            f"learner.compile is true, but PyTorch cannot compile for {device} here: {said}. Install {needed}, or set "
            "learner.compile to false"
        ) from error


def _more(x: torch.Tensor) -> torch.Tensor:
    return x + 1.0
