"""Checkpoint files: config.json and model.safetensors, which alone are enough to act. Nothing in them is pickled."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from policy.config import PolicyConfig
from policy.continuous import BINS
from policy.errors import CheckpointError, OcelotError
from policy.layout import Layout
from policy.model import Policy
from policy.text import TextTokenizer
from policy.vocabulary import DEFAULT, VOCABULARIES

FORMAT = 3
READS = (2, 3)  # in 2, an action's bins had the value features of as many of 1024
BEFORE = {"value_table": True, "greedy": "mode"}  # how policies were that say nothing of these fields
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass
class Checkpoint:
    """What a checkpoint holds."""

    model: Policy
    layouts: dict[str, Layout]
    text: TextTokenizer | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def save(
    folder: str | Path,
    model: Policy,
    layouts: dict[str, Layout],
    text: TextTokenizer | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Writes a checkpoint; each file appears whole or not at all.

    Args:
        folder: made where it is missing.
        model: saved in the dtype of its parameters.
        layouts: of every task that the policy knows.
        text: the tokenizer that the layouts use.
        extra: plain JSON that the caller wants back.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "format": FORMAT,
        "vocabulary": {"name": model.config.vocabulary, "size": DEFAULT.size},
        "policy": asdict(model.config),
        "layouts": {task: layout.to_json() for task, layout in layouts.items()},
        "text": text.to_json() if text is not None else None,
        "extra": extra or {},
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    parts = {WEIGHTS: folder / f".{WEIGHTS}.{os.getpid()}", CONFIG: folder / f".{CONFIG}.{os.getpid()}"}
    save_file(tensors, parts[WEIGHTS])
    parts[CONFIG].write_text(json.dumps(config, indent=2))
    for name, part in parts.items():
        os.replace(part, folder / name)


def load(folder: str | Path) -> Checkpoint:
    """Reads a checkpoint onto the CPU, in the dtype in which it was saved.

    Raises:
        CheckpointError: what is missing, broken, or made for another version, vocabulary or policy size.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"there is no checkpoint {folder}: no such folder")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} is no checkpoint: {name} is missing from it")
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
        found = config["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error!r}; take another checkpoint of the run") from None
    if found not in READS:
        raise CheckpointError(
            f"{path} has format {found}, this version of Ocelot reads {' and '.join(map(str, READS))}"
        )
    try:
        return _read(folder, config)
    except CheckpointError:
        raise
    except OcelotError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except Exception as error:  # the file may be a stranger's, and hold anything
        raise CheckpointError(f"{path} does not hold what a checkpoint needs: {error!r}") from None


def _read(folder: Path, config: dict[str, Any]) -> Checkpoint:
    vocabulary = config["vocabulary"]
    names = {vocabulary["name"], *(data["vocabulary"] for data in config["layouts"].values())}
    unknown = sorted(names - VOCABULARIES.keys())
    if unknown or vocabulary["size"] != DEFAULT.size:
        raise CheckpointError(
            f"{folder / CONFIG} was made for the vocabulary {', '.join(unknown) or vocabulary}; "
            f"this version of Ocelot has {', '.join(VOCABULARIES)}, {DEFAULT.size} ids"
        )
    policy = PolicyConfig(**(BEFORE | config["policy"]))
    if config["format"] == 2 and policy.action_bins < BINS and policy.value_features and not policy.value_table:
        raise CheckpointError(
            f"{folder / CONFIG} has format 2, in which the {policy.action_bins} bins of an action were not told by "
            "their own values: its weights mean something else here; train it anew, or use the version that made it"
        )
    model = _read_model(folder / WEIGHTS, policy)
    text = TextTokenizer.from_json(config["text"]) if config["text"] is not None else None
    layouts = {task: Layout.from_json(data, text) for task, data in config["layouts"].items()}
    return Checkpoint(model, layouts, text, config["extra"])


def _read_model(path: Path, config: PolicyConfig) -> Policy:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}); it was cut off while it was written or copied"
        ) from None
    if config.layers > len(tensors):
        raise CheckpointError(f"{path} holds {len(tensors)} tensors, too few for {config.layers} layers")
    with torch.device("meta"):  # no memory for sizes that the weights do not have
        own = Policy(config).state_dict()
    problems = [f"{name} is missing" for name in sorted(own.keys() - tensors.keys())]
    problems += [f"{name} is unknown" for name in sorted(tensors.keys() - own.keys())]
    problems += [
        f"{name} has shape {list(tensors[name].shape)}, not {list(own[name].shape)}"
        for name in sorted(own.keys() & tensors.keys())
        if own[name].shape != tensors[name].shape
    ]
    if problems:
        raise CheckpointError(
            f"{path} does not fit the policy that {CONFIG} beside it describes: {'; '.join(problems[:4])}"
            + (f"; {len(problems) - 4} more" if len(problems) > 4 else "")
        )
    model = Policy(config)
    dtypes = {tensor.dtype for tensor in tensors.values()}
    model.to(dtypes.pop() if len(dtypes) == 1 else torch.float32)
    model.load_state_dict(tensors)
    return model
