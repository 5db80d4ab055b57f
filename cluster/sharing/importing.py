"""Taking in a checkpoint that somebody else made. Nothing in it is trusted, unpickled or imported."""

import json
import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.rundir import COMPLETE, writing
from cluster.sharing.errors import SharingError
from policy import checkpoint as files
from policy.checkpoint import Checkpoint

LARGEST_CONFIG = 64 * 2**20  # bytes; layouts and a tokenizer are far below
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


class Extra(BaseModel):
    """What a checkpoint's writer noted, as far as acting and training read it; anything else is dropped."""

    model_config = ConfigDict(extra="ignore", strict=True)

    arm: str = "imported"
    """Under which name it is shown."""
    seed: int | None = None
    """Of its run."""
    updates: int = Field(0, ge=0)
    """Learner updates behind it."""
    env_steps: int = Field(0, ge=0)
    """Environment steps behind it."""
    acting: dict[str, bool | float] = {}
    """Whether it acts with return tokens, and how strongly these lean."""
    return_scales: dict[str, list[float]] = {}
    """By task, returns-to-go of the first and the last return token."""
    provenance: dict[str, Any] = {}
    """Where it comes from, as its author says."""


def take_in(folder: Path, out: Path) -> Checkpoint:
    """Checks an exported folder, and writes it as a checkpoint that every command takes.

    Args:
        folder: with config.json and model.safetensors, as `ocelot export` writes it; other files are not read.
        out: a folder that is empty or not there yet.

    Returns:
        The policy.

    Raises:
        SharingError, CheckpointError: what is missing, damaged or suspicious; nothing is written then.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SharingError(f"{out} is there already and not empty; name a new folder, or delete that one")
    _check_files(folder)
    config = _read_config(folder / files.CONFIG)
    _check_shapes(folder, config)
    loaded = files.load(folder)
    _check_values(folder, loaded)
    extra = _extra(folder, config.get("extra"), set(loaded.layouts))
    with writing(out):
        files.save(out, loaded.model, loaded.layouts, loaded.text, extra)
        (out / COMPLETE).touch()
    return loaded


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise SharingError(
            f"{folder}: no such folder; give one that `ocelot export` wrote (from the hub: hf download USER/NAME "
            f"--local-dir {folder.name or 'FOLDER'})"
        )
    missing = [name for name in (files.CONFIG, files.WEIGHTS) if not (folder / name).is_file()]
    if not missing:
        return
    pickled = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLED)
    if files.WEIGHTS in missing and pickled:
        raise SharingError(
            f"{folder} has its weights in {pickled[0]}, which may run anything when it is read; Ocelot reads "
            f"{files.WEIGHTS} alone: ask its author for that"
        )
    raise SharingError(f"{folder}: {' and '.join(missing)} missing; the folder is no exported checkpoint, or not whole")


def _read_config(file: Path) -> dict[str, Any]:
    if file.stat().st_size > LARGEST_CONFIG:
        raise SharingError(f"{file} has {file.stat().st_size:,} bytes; a checkpoint's is below {LARGEST_CONFIG:,}")
    try:
        config = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise SharingError(f"{file} is not JSON: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("policy"), dict):
        raise SharingError(f"{file} describes no policy of Ocelot: it has no section 'policy'")
    return config


def _check_shapes(folder: Path, config: dict[str, Any]) -> None:
    """The weights' header must fit the configuration before memory is asked for what that claims."""
    import torch
    from safetensors import SafetensorError, safe_open

    from policy.config import PolicyConfig
    from policy.model import Policy

    try:
        with safe_open(folder / files.WEIGHTS, framework="pt") as weights:
            shapes = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise SharingError(f"{folder / files.WEIGHTS} is not a whole safetensors file: {error}") from None
    claimed = config["policy"].get("layers")
    if not isinstance(claimed, int) or not 0 < claimed <= len(shapes):
        raise SharingError(
            f"{folder / files.CONFIG} claims {claimed} layers, and the weights are {len(shapes)} tensors"
        )
    try:
        with torch.device("meta"):
            model = Policy(PolicyConfig(**config["policy"]))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise SharingError(f"{folder / files.CONFIG}: its section 'policy' cannot be used: {error}") from None
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(wanted.keys() | shapes.keys()):
        if wanted.get(name) != shapes.get(name):
            raise SharingError(
                f"{folder}: {files.CONFIG} asks for {name} of shape {wanted.get(name)}, {files.WEIGHTS} holds "
                f"{shapes.get(name)}; the two files do not belong together"
            )


def _check_values(folder: Path, loaded: Checkpoint) -> None:
    import torch

    for name, tensor in loaded.model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise SharingError(f"{folder / files.WEIGHTS}: {name} holds values that are not finite: it diverged")


def _extra(folder: Path, given: Any, tasks: set[str]) -> dict[str, Any]:
    try:
        extra = Extra.model_validate(given or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("extra", *first["loc"])))
        raise SharingError(f"{folder / files.CONFIG}: {where}: {first['msg']}, found {first['input']!r}") from None
    for task, scale in extra.return_scales.items():
        if task not in tasks or len(scale) != 2 or not all(map(math.isfinite, scale)):
            raise SharingError(
                f"{folder / files.CONFIG}: extra.return_scales.{task} must be two finite returns of a known task"
            )
    return extra.model_dump()
