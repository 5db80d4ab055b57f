"""The learner's training state on disk: tensors in safetensors, the rest in JSON; nothing is pickled."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from policy.errors import CheckpointError

if TYPE_CHECKING:
    from learner.learner import Learner


def save(learner: "Learner", folder: Path) -> None:
    """Writes state.safetensors (weights, moving average, optimiser moments, random state) and state.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"policy/{name}": value for name, value in learner.policy.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in learner.average.state_dict().items()}
    for name, parameter in learner.policy.named_parameters():
        for key, value in learner.optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser/{name}/{key}"] = torch.as_tensor(value)
    tensors["random/torch"] = torch.get_rng_state()
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, folder / FILE)
    scalars = {
        "updates": learner.updates,
        "incarnation": learner.incarnation,
        "warm": learner.warm,
        "by_objective": learner.by_objective,
        "scale": learner.scale.state(),
    }
    (folder / "state.json").write_text(json.dumps(scalars, indent=1))


def restore(learner: "Learner", folder: Path) -> None:
    """Reads what `save` wrote into a learner of the same shape.

    Raises:
        CheckpointError: when files are missing or damaged, or made for another policy.
    """
    tensors, scalars = _read(learner, folder)
    try:
        for prefix, module in (("policy/", learner.policy), ("average/", learner.average)):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: training state of another policy: {error}") from None
    _restore_moments(learner, tensors, folder)
    try:
        torch.set_rng_state(tensors["random/torch"].cpu())
        learner.updates = int(scalars["updates"])
        learner.incarnation = int(scalars["incarnation"])
        learner.warm = bool(scalars["warm"])
        learner.by_objective = {str(name): int(count) for name, count in scalars["by_objective"].items()}
        learner.scale.restore(scalars["scale"])
    except Exception as error:  # the files may be a stranger's, and hold anything
        raise CheckpointError(f"{folder}: does not hold what a training state needs: {error!r}") from None


def restore_optimiser(learner: "Learner", folder: Path) -> None:
    """Reads only the optimiser's moments of what `save` wrote. Raises CheckpointError as `restore`."""
    _restore_moments(learner, _read(learner, folder)[0], folder)


def _read(learner: "Learner", folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        return load_file(folder / FILE, device=str(learner.device)), json.loads((folder / "state.json").read_text())
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{folder}: training state cannot be read ({error}); take an earlier checkpoint"
        ) from None


def _restore_moments(learner: "Learner", tensors: dict[str, torch.Tensor], folder: Path) -> None:
    learner.optimiser.state.clear()
    for name, parameter in learner.policy.named_parameters():
        prefix = f"optimiser/{name}/"
        moments = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        wrong = [key for key, value in moments.items() if value.shape not in ((), parameter.shape)]
        if wrong:
            raise CheckpointError(f"{folder}: training state of another policy: {prefix}{wrong[0]} has another shape")
        if moments:
            learner.optimiser.state[parameter] = moments


FILE = "state.safetensors"
