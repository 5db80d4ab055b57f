"""The learner's training state on disk: tensors in safetensors, the rest in JSON; nothing is pickled.

Sharded workers write their shares (`shard_files`), others one file; either goes on from what the other has written.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from learner import shard_files, shards
from policy.errors import CheckpointError

if TYPE_CHECKING:
    from learner.learner import Learner


def save(learner: "Learner", folder: Path) -> None:
    """Writes state.safetensors (weights, moving average, optimiser moments, random states) and state.json.

    All workers call it.
    """
    random = {
        _random(rank): torch.from_numpy(each)
        for rank, each in enumerate(learner.workers.gather(torch.get_rng_state().numpy()))
    }
    if learner.sharded:
        shard_files.save(learner, folder, random)
    if learner.workers.rank:
        return
    if not learner.sharded:
        _save_whole(learner, folder, random)
    scalars = {
        "updates": learner.updates,
        "incarnation": learner.incarnation,
        "warm": learner.warm,
        "by_objective": learner.by_objective,
        "scale": learner.scale.state(),
    }
    (folder / "state.json").write_text(json.dumps(scalars, indent=1))


def _save_whole(learner: "Learner", folder: Path, random: dict[str, torch.Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = shard_files.weights(learner)
    for name, parameter in learner.policy.named_parameters():
        for key, value in learner.optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser/{name}/{key}"] = torch.as_tensor(value)
    tensors |= random
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, folder / FILE)


def restore(learner: "Learner", folder: Path) -> None:
    """Reads what `save` wrote into a learner of the same shape.

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
    """Reads only the optimiser's moments of what `save` wrote. Raises CheckpointError as `restore`."""
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
