"""The training state of sharded workers on disk: each writes its own shares, and any number of workers reads them.

(torch.distributed.checkpoint, in safetensors, so that nothing is unpickled.)
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from policy.errors import CheckpointError

if TYPE_CHECKING:
    from learner.learner import Learner
    from learner.state import Snapshot

SHARDS, RANDOM, STEPS = "shards", "random.safetensors", "steps.json"


def write(snapshot: "Snapshot", folder: Path) -> None:
    """Writes shards/ (weights, moving average, moments), random.safetensors and steps.json; all workers call it.

    Raises:
        OSError: in all workers, when one of them could not write.
    """
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint import CheckpointException, HuggingFaceStorageWriter

    assert snapshot.mesh is not None
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value for name, value in snapshot.tensors.items() if value.dim()}
    steps = {name: float(value) for name, value in snapshot.tensors.items() if not value.dim()}
    writer = HuggingFaceStorageWriter(str(folder / SHARDS), save_distributed=True)
    try:
        checkpoint.save(tensors, storage_writer=writer, process_group=snapshot.mesh.get_group())
    except CheckpointException as error:
        raise next(cause for cause, _ in error.failures.values()) from error
    if snapshot.rank == 0:
        save_file(snapshot.random, folder / RANDOM)
        (folder / STEPS).write_text(json.dumps(steps))


def restore(learner: "Learner", folder: Path) -> dict[str, torch.Tensor]:
    """Reads what `write` wrote into a learner of the same shape, sharded or not. Returns the random states.

    Raises:
        CheckpointError: when files are missing or damaged, or made for another policy.
    """
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    reader = HuggingFaceStorageReader(str(folder / SHARDS))
    try:
        entries = reader.read_metadata().state_dict_metadata.items()
        found = {name: each.size for name, each in entries if isinstance(each, TensorStorageMetadata)}
        steps: dict[str, Any] = json.loads((folder / STEPS).read_text())
        random = load_file(folder / RANDOM)
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{folder}: training state cannot be read ({error}); take an earlier checkpoint"
        ) from None
    tensors = weights(learner)
    moments: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
    for name, parameter in learner.policy.named_parameters():
        prefix = f"optimiser/{name}/"
        own = {key: torch.zeros_like(parameter) for key in found if key.startswith(prefix)}
        tensors |= own
        own |= {
            key: torch.tensor(float(steps[key]), device=parameter.device) for key in steps if key.startswith(prefix)
        }
        if own:
            moments[parameter] = {key.removeprefix(prefix): value for key, value in own.items()}
    wrong = [name for name in tensors.keys() | found.keys() if name not in found or name not in tensors]
    wrong += [name for name in tensors.keys() & found.keys() if tensors[name].shape != found[name]]
    if wrong:
        raise CheckpointError(f"{folder}: training state of another policy: {sorted(wrong)[0]} differs")
    checkpoint.load(tensors, storage_reader=reader, no_dist=learner.workers.size == 1)
    learner.optimiser.state.clear()
    learner.optimiser.state.update(moments)
    return random


def there(folder: Path) -> bool:
    """Whether a training state is in shards."""
    return (folder / SHARDS).is_dir()


def weights(learner: "Learner") -> dict[str, torch.Tensor]:
    """Of both networks, by name; not copied."""
    tensors = {f"policy/{name}": value for name, value in learner.policy.state_dict().items()}
    return tensors | {f"average/{name}": value for name, value in learner.average.state_dict().items()}
