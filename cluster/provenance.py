"""Which weights these are, whatever their folder is called."""

import hashlib
from pathlib import Path

from policy.checkpoint import WEIGHTS


def weights_hash(checkpoint: Path) -> str:
    """SHA-256 of a checkpoint's weights, in hexadecimal."""
    with open(checkpoint / WEIGHTS, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
