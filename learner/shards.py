"""A network cut into shares, one for each worker (FSDP): weights, gradients, moving average and moments.

The weights of a part of the network are gathered where it is at work and let go after it, so every worker must be at
work on the same parts in the same order, whatever its batch holds. `nothing` sees to that in the backward pass.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from policy.model import Policy

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

BLOCKS = "transformer.blocks."


def shard(policy: Policy, device: torch.device, workers: int) -> None:
    """Leaves each worker its share of every parameter, in place; all workers call it, with the same weights.

    Blocks are gathered one after the other, the rest (embeddings, heads) for a whole update. Where tokens see their own
    timestep only, windows with a prompt go through the blocks after the others, so workers would not be at the same
    block: then all of the network is gathered at once.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(device.type, (workers,))
    if _by_block(policy):
        for block in policy.transformer.blocks:
            fully_shard(block, mesh=mesh)
            register_fsdp_forward_method(block, "folded")  # windows without padding
    fully_shard(policy, mesh=mesh)


def let_go(policy: Policy) -> None:
    """Frees what was gathered of a sharded network outside of a training update."""
    policy.reshard()  # type: ignore[operator]  # of torch.distributed.fsdp.FSDPModule


def local(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """This worker's share of each; one that is not sharded is itself."""
    from torch.distributed.tensor import DTensor

    return [each.to_local() if isinstance(each, DTensor) else each for each in tensors]


def full(tensor: torch.Tensor) -> torch.Tensor:
    """All workers' shares of a tensor, in each of them; all call it together."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This worker's share of a tensor that it has all of, as `like` is sharded (or not)."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor):
        return whole
    # Without a source: every worker has the tensor, so nothing need be sent.
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def cpus(workers: int) -> "DeviceMesh":
    """The workers' CPUs with a connection of their own (gloo), so that a thread that speaks through it does not get
    between the messages of updates. All workers call it together."""
    from torch import distributed
    from torch.distributed.device_mesh import DeviceMesh

    return DeviceMesh.from_group(distributed.new_group(list(range(workers)), backend="gloo"), "cpu")


def on_cpu(share: torch.Tensor, like: torch.Tensor, mesh: "DeviceMesh | None") -> torch.Tensor:
    """A copy on the CPU of this worker's share of a sharded tensor, as a share of the whole among the workers' CPUs."""
    from torch.distributed.tensor import DTensor

    assert isinstance(like, DTensor)
    return DTensor.from_local(
        share, mesh, like.placements, run_check=False, shape=like.shape, stride=tuple(like.stride())
    )


@torch.no_grad()
def load(module: nn.Module, whole: dict[str, torch.Tensor]) -> None:
    """Puts weights that are not sharded into a module that may be.

    Raises:
        RuntimeError: names or shapes differ.
    """
    own = module.state_dict()
    if own.keys() != whole.keys() or any(value.shape != whole[name].shape for name, value in own.items()):
        raise RuntimeError("names or shapes of the weights differ")
    module.load_state_dict({name: part_of(value, own[name]) for name, value in whole.items()})


def used(loss: torch.Tensor, policy: Policy) -> tuple[str, ...]:
    """Names of the gathered parameters that a loss depends on; those of blocks, which all losses need, left out."""
    names = {id(p): name for name, p in policy.named_parameters() if not (_by_block(policy) and BLOCKS in name)}
    found, seen, waiting = set(), set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)  # at the leaves
        if id(variable) in names:
            found.add(names[id(variable)])
        waiting += [following for following, _ in node.next_functions]
    return tuple(sorted(found))


def nothing(hidden: torch.Tensor, policy: Policy, names: Iterable[str]) -> torch.Tensor:
    """A zero whose gradient is zero for hidden states (so that the backward pass comes through all blocks) and for
    parameters that other workers use."""
    parameters = dict(policy.named_parameters())
    return _Nothing.apply(hidden, *(parameters[name] for name in sorted(names)))


def _by_block(policy: Policy) -> bool:
    return policy.config.attention_steps != 0


class _Nothing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *tensors: torch.Tensor) -> torch.Tensor:
        ctx.like = [(each.shape, each.dtype) for each in tensors]
        return tensors[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(gradients[0].new_zeros(shape, dtype=dtype) for shape, dtype in ctx.like)
