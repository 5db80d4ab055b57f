"""Tokens, and the folder of what this machine knows of its clusters, are for their user alone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.launch.config import ClusterConfig
from cluster.launch.state import ClusterState, LaunchError
from cluster.launch.token import MODE, TOKEN, TOKEN_PATH, TokenError, make_token, use_any_token, use_token


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variables that the code under test sets go back to what they were."""
    for name in (MODE, TOKEN, TOKEN_PATH):
        monkeypatch.setenv(name, "token" if name == MODE else "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OCELOT_HOME", str(tmp_path / "home"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_user_can_read_a_token_and_a_second_call_keeps_it(tmp_path: Path):
    file = tmp_path / "folder" / "token"
    before = os.umask(0)
    try:
        make_token(file)
    finally:
        os.umask(before)
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700
    text = file.read_text()
    assert len(text) == 64
    make_token(file)
    assert file.read_text() == text


def test_a_token_that_others_can_read_is_refused(tmp_path: Path, environment: None):
    file = tmp_path / "token"
    make_token(file)
    file.chmod(0o640)
    with pytest.raises(TokenError, match="chmod 600"):
        use_token(file)
    with pytest.raises(TokenError, match="no token"):
        use_token(tmp_path / "nowhere")


def test_a_cluster_without_a_token_is_not_joined(environment: None, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(TokenError, match=TOKEN_PATH):
        use_any_token()
    monkeypatch.setenv(MODE, "disabled")
    with pytest.raises(TokenError, match="with a token only"):
        use_any_token()


def test_a_process_makes_one_token_of_its_own(tmp_path: Path):
    program = (
        "import os; from cluster.launch.token import *; use_own_token(); first = os.environ[TOKEN_PATH]\n"
        "use_own_token(); assert os.environ[TOKEN_PATH] == first; assert os.environ[MODE] == 'token'; print(first)"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()  # gone with its process


def test_files_of_a_cluster_are_for_its_user_alone(environment: None):
    state = ClusterState("lab")
    state.create(ClusterConfig(name="lab"))
    state.note(pid=1)
    for name in ("cluster.yaml", "state.json"):
        assert mode(state.folder / name) == 0o600
    assert mode(state.folder) == 0o700
    assert state.config() == ClusterConfig(name="lab")
    assert state.noted() == {"pid": 1}
    with pytest.raises(LaunchError, match="there is lab"):
        ClusterState("other").config()
