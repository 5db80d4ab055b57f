"""The learner's training state, copied at one update, and on disk: tensors in safetensors, the rest in JSON; nothing
is pickled.

Sharded workers write their shares (`shard_files`), others one file; either goes on from what the other has written.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from learner import shard_files, shards
from learner.copies import Copies
from policy.config import PolicyConfig
from policy.errors import CheckpointError
from policy.model import Policy

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from learner.learner import Learner


@dataclass(frozen=True)
class Snapshot:
    """A training state as it was at one update, in this machine's memory, where the next one is copied to as well."""

    sizes: PolicyConfig
    tensors: dict[str, torch.Tensor]
    """Weights (policy/, average/) and moments (optimiser/) on the CPU. Sharded workers have their shares; of others the
    first has all, and the rest nothing."""
    random: dict[str, torch.Tensor]
    """Random states of all workers."""
    scalars: dict[str, Any]
    rank: int
    acts: str
    """policy/ or average/: whose weights act."""
    whole: Policy | None
    """The network that acts, of the first of sharded workers; the others of them, and those not sharded, have none."""
    mesh: "DeviceMesh | None"
    """Of sharded workers."""

    def published(self) -> Policy:
        """The network that acts, which only the first worker has; not copied."""
        if self.whole is not None:
            return self.whole
        with torch.device("meta"):
            policy = Policy(self.sizes)
        acting = {name: value for name, value in self.tensors.items() if name.startswith(self.acts)}
        policy.load_state_dict({name.removeprefix(self.acts): value for name, value in acting.items()}, assign=True)
        return policy

    def write(self, folder: Path) -> None:
        """Writes state.safetensors and state.json, or the shares and state.json; all workers call it.

        Raises:
            OSError, SafetensorError: what the system says, as of a full disk; of shares, in all workers.
        """
        if self.mesh is not None:
            shard_files.write(self, folder)
        if self.rank:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if self.mesh is None:
            save_file(self.tensors | self.random, folder / FILE)
        (folder / "state.json").write_text(json.dumps(self.scalars, indent=1))


def copy(learner: "Learner", copies: Copies, mesh: "DeviceMesh | None") -> Snapshot:
    """A snapshot of what a bit-exact continuation needs, the data's position aside. All workers call it together.

    Args:
        copies: room for it; the snapshot copied there before is overwritten.
        mesh: of sharded workers, as from `shards.cpus`.
    """
    random = {
        _random(rank): torch.from_numpy(each)
        for rank, each in enumerate(learner.workers.gather(torch.get_rng_state().numpy()))
    }
    tensors = {}
    if learner.sharded or learner.workers.rank == 0:
        tensors = shard_files.weights(learner)
        for name, parameter in learner.policy.named_parameters():
            for key, value in learner.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser/{name}/{key}"] = torch.as_tensor(value)
    return Snapshot(
        learner.policy.config,
        copies.take(tensors, mesh),
        random,
        {
            "updates": learner.updates,
            "incarnation": learner.incarnation,
            "warm": learner.warm,
            "by_objective": dict(learner.by_objective),
            "scale": learner.scale.state(),
        },
        learner.workers.rank,
        "average/" if learner.published() is learner.average else "policy/",
        learner.whole() if learner.sharded else None,
        mesh,
    )


def restore(learner: "Learner", folder: Path) -> None:
    """Reads what a snapshot wrote into a learner of the same shape.

    Raises:
        CheckpointError: when files are missing or damaged, or made for another policy.
    """
    tensors, scalars = _read(learner, folder)
    if shard_files.there(folder):
        tensors = shard_files.restore(learner, folder)
    else:
        try:
            for prefix, module in (("policy/", learner.policy), ("average/", learner.average)):
                own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
                shards.load(module, own)
        except RuntimeError as error:
            raise CheckpointError(f"{folder}: training state of another policy: {error}") from None
        _restore_moments(learner, tensors, folder)
    try:
        _restore_random(tensors, learner.workers.rank)
        learner.updates = int(scalars["updates"])
        learner.incarnation = int(scalars["incarnation"])
        learner.warm = bool(scalars["warm"])
        learner.by_objective = {str(name): int(count) for name, count in scalars["by_objective"].items()}
        learner.scale.restore(scalars["scale"])
    except Exception as error:  # the files may be a stranger's, and hold anything
        raise CheckpointError(f"{folder}: does not hold what a training state needs: {error!r}") from None


def restore_optimiser(learner: "Learner", folder: Path) -> None:
    """Reads only the optimiser's moments of what a snapshot wrote. Raises CheckpointError as `restore`."""
    if shard_files.there(folder):
        raise CheckpointError(
            f"{folder}: was written by sharded workers, whose optimiser fine-tuning cannot take over; set "
            "learner.optimiser_at_switch to reset"
        )
    _restore_moments(learner, _read(learner, folder)[0], folder)


def _read(learner: "Learner", folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        scalars = json.loads((folder / "state.json").read_text())
        whole = {} if shard_files.there(folder) else load_file(folder / FILE)
        return whole, scalars
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{folder}: training state cannot be read ({error}); take an earlier checkpoint"
        ) from None


def _restore_random(tensors: dict[str, torch.Tensor], rank: int) -> None:
    """A worker that was not there when the state was saved gets a random state that follows from the first one's."""
    own = tensors.get(_random(rank))
    torch.set_rng_state(tensors[_random(0)].cpu() if own is None else own.cpu())
    if own is None:
        torch.manual_seed(int(torch.randint(2**31, ())) + rank)


def _random(rank: int) -> str:
    return f"random/torch/{rank}" if rank else "random/torch"


def _restore_moments(learner: "Learner", tensors: dict[str, torch.Tensor], folder: Path) -> None:
    learner.optimiser.state.clear()
    for name, parameter in learner.policy.named_parameters():
        prefix = f"optimiser/{name}/"
        moments = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        wrong = [key for key, value in moments.items() if value.shape not in ((), parameter.shape)]
        if wrong:
            raise CheckpointError(f"{folder}: training state of another policy: {prefix}{wrong[0]} has another shape")
        if moments:
            learner.optimiser.state[parameter] = {
                key: shards.part_of(value, parameter) if value.dim() else value
                for key, value in ((key, value.to(parameter.device)) for key, value in moments.items())
            }


FILE = "state.safetensors"
