"""The token that lets its holders into a Ray cluster, in a file that nobody else may read.

Ray can make one itself, but writes it where every user of the machine can read it.
"""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from policy.errors import OcelotError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


class TokenError(OcelotError):
    """A token that is missing, or that others can read."""


def make_token(file: Path) -> None:
    """Writes a new token, in a folder and a file for this user alone; one that is there already is kept."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secrets.token_hex(32))


def use_token(file: Path) -> None:
    """Makes Ray in this process, and in those that it starts, present the token of a file and ask for it.

    Raises:
        TokenError: when there is no such file, or others can read it.
    """
    if not file.is_file():
        raise TokenError(f"there is no token {file}; copy it from the machine that made the cluster, for you alone")
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise TokenError(f"others can read the token {file}: chmod 600 {file}, and make a new one if they may have")
    os.environ[MODE] = "token"
    os.environ[TOKEN_PATH] = str(file)
    os.environ.pop(TOKEN, None)


def use_own_token() -> None:
    """Makes Ray use a token of this process alone, unless its environment names one."""
    os.environ.setdefault(MODE, "token")
    if TOKEN in os.environ or TOKEN_PATH in os.environ:
        return
    # Ray reads a token once in a process, so there is one for all Rays that the process starts.
    folder = tempfile.TemporaryDirectory(prefix="ocelot-token-")
    _own.append(folder)
    file = Path(folder.name) / "token"
    make_token(file)
    use_token(file)


def use_any_token() -> None:
    """Checks that there is a token for a cluster that this process connects to by address.

    Raises:
        TokenError: when there is none.
    """
    os.environ.setdefault(MODE, "token")
    if os.environ[MODE] != "token":
        raise TokenError(f"{MODE} is '{os.environ[MODE]}'; a cluster is used with a token only: unset {MODE}")
    default = Path.home() / ".ray" / "auth_token"
    if TOKEN not in os.environ and TOKEN_PATH not in os.environ and not default.exists():
        raise TokenError(
            f"there is no token for the cluster; set {TOKEN_PATH} to the file of the token that it was started with "
            "(`ocelot cluster status` shows where it is)"
        )


_own: list[tempfile.TemporaryDirectory[str]] = []
"""Deleted when the process ends."""
