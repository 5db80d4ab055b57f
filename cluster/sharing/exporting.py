"""A checkpoint as a folder that others can read, with or without Ocelot; and its upload, where asked."""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from cluster.rundir import find_checkpoint, writing
from cluster.sharing.card import card
from cluster.sharing.errors import SharingError
from cluster.sharing.measured import measured, provenance
from policy import checkpoint as files

CARD, RESULTS, TOKENIZER = "README.md", "results.json", "tokenizer.model"


def export(checkpoint: str | Path, out: Path, name: str | None = None) -> list[Path]:
    """Writes config.json, model.safetensors, README.md (the model card), results.json and, where the policy reads text,
    tokenizer.model (SentencePiece).

    Args:
        checkpoint: a checkpoint folder, or a run directory (its newest).
        out: a folder that is empty or not there yet.
        name: of the model; None takes the folder's.

    Returns:
        The files.

    Raises:
        RunError, CheckpointError: no such checkpoint, or a damaged one.
        SharingError: when `out` holds something; nothing is written then.
    """
    folder = find_checkpoint(checkpoint)
    loaded = files.load(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SharingError(f"{out} is there already and not empty; name a new folder, or delete that one")
    found, known = measured(folder), provenance(folder, loaded.extra)
    out.parent.mkdir(parents=True, exist_ok=True)
    with writing(out), tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        whole = Path(scratch) / "folder"
        whole.mkdir()
        shutil.copyfile(folder / files.WEIGHTS, whole / files.WEIGHTS)
        config = json.loads((folder / files.CONFIG).read_text())
        config["extra"]["provenance"] = known  # in place of the run's own, which names folders of this machine
        (whole / files.CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        if loaded.text is not None:
            (whole / TOKENIZER).write_bytes(loaded.text.model)
        results = {"provenance": known, "evaluations": [asdict(each) for each in found]}
        (whole / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
        (whole / CARD).write_text(str(card(name or out.name, loaded, found, known)))
        whole.replace(out)
    return sorted(out.iterdir())


def push(folder: Path, repository: str, private: bool) -> str:
    """Uploads an exported folder to the Hugging Face hub, with the token of `hf auth login` or HF_TOKEN.

    Args:
        repository: USER/NAME; made where it is not there.
        private: whether a new one is.

    Returns:
        Its address.

    Raises:
        SharingError: without a token, or when the hub refuses or cannot be reached; the folder stays.
    """
    from huggingface_hub import HfApi

    check_token()
    api = HfApi()
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Exported by Ocelot")
    except Exception as error:  # of its HTTP library, which differs from version to version
        raise SharingError(f"{folder} is written, but was not uploaded to {repository}: {error}") from None
    return str(address)


def check_token() -> None:
    """Raises SharingError where there is no token for the hub."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise SharingError("--push needs a token of the Hugging Face hub: run `hf auth login`, or set HF_TOKEN")
