"""A pretended device for machines without a GPU: it holds what it is given on the CPU, and refuses to compute with
tensors that were left there, as a GPU does. It says nothing about a GPU's own numbers or speed."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"  # the one device besides the CPU that every build of PyTorch knows
MOVES = ("aten::copy_", "aten::_to_copy", "aten::to")


class There(torch.Tensor):
    """A tensor that says it is elsewhere, around one that is not."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "There":
        with torch.inference_mode(False):
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                held.size(),
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                device=torch.device(DEVICE),
                requires_grad=held.requires_grad,
            )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return compute(operator, args, kwargs or {})

    def __repr__(self) -> str:  # type: ignore[override]
        return f"There({self.held})"

    # These two are not dispatched.
    def tolist(self) -> Any:
        return self.held.tolist()

    def new_tensor(self, data: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        return There(self.held.new_tensor(data, **kwargs))


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(operator, args, kwargs or {})


def compute(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Computes on the CPU what should be computed where the arguments are."""
    name = operator._schema.name
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    there = {id(each.held): each for each in tensors if isinstance(each, There)}
    here = [tuple(each.shape) for each in tensors if not isinstance(each, There) and each.dim()]
    if there and here and name not in MOVES:
        raise RuntimeError(f"{name}: expected all tensors to be on one device, but these are on the CPU: {here}")
    goes = bool(there)
    devices = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.device)]
    if devices:
        goes = _is_there(devices[0])
    elif name == "aten::copy_":
        goes = isinstance(args[0], There)
    made = operator(*tree_map(_held, args), **tree_map(_held, kwargs))

    def back(each: Any) -> Any:
        if not goes or not isinstance(each, torch.Tensor):
            return each
        return there[id(each)] if id(each) in there else There(each)

    return tree_map(back, made)


@contextlib.contextmanager
def pretended() -> Iterator[str]:
    """Within it `.to(DEVICE)` works, and what is there computes."""
    made, cast = torch.tensor, torch.autocast

    def tensor(data: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        return There(made(data, **kwargs)) if _is_there(device) else made(data, device=device, **kwargs)

    class Autocast(cast):  # type: ignore[misc, valid-type]
        def __init__(self, device_type: str, *args: Any, **kwargs: Any):
            super().__init__("cpu" if _is_there(device_type) else device_type, *args, **kwargs)

    class Generator(torch.Generator):
        def __new__(cls, device: Any = None) -> "Generator":
            return super().__new__(cls, "cpu" if _is_there(device) else device)  # type: ignore[call-arg]

    with pytest.MonkeyPatch.context() as patch, _Mode():
        patch.setattr(torch, "tensor", tensor)
        patch.setattr(torch, "autocast", Autocast)
        patch.setattr(torch, "Generator", Generator)
        patch.setattr(sys.modules["torch.optim.adam"], "_device_dtype_check_for_fused", lambda *_, **__: None)
        patch.setattr("torch.__future__._swap_module_params_on_conversion", True)
        yield DEVICE


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE


def _held(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.held if isinstance(value, There) else value
