"""Checkpoints of a store beside those of a learner, so that both come back as they were together."""

import os
import shutil
from pathlib import Path

from replay.memory_backend import CHECKPOINT
from replay.reverb_process import KEPT


def keep(written: Path, folder: Path) -> Path:
    """Keeps what a store wrote, which its next checkpoint will replace; takes no space of its own on the same disk.

    Args:
        written: path that the store's `checkpoint` returned.
        folder: made; returns the copy in it.
    """
    folder.mkdir(parents=True)
    kept = folder / written.name
    if written.is_dir():
        shutil.copytree(written, kept, copy_function=_link)
    else:
        _link(written, kept)
    return kept


def put_back(folder: Path, directory: Path) -> None:
    """Makes what `keep` put into a folder the checkpoint that a store in `directory` restores, in place of its own."""
    shutil.rmtree(directory / KEPT, ignore_errors=True)
    (directory / CHECKPOINT).unlink(missing_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    for kept in folder.iterdir():
        if kept.is_dir():
            shutil.copytree(kept, directory / KEPT / "0", copy_function=_link)
        else:
            _link(kept, directory / CHECKPOINT)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copy2(source, target)
