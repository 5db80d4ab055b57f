"""Reverb asks nobody who they are: what keeps others out."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from replay.interface import connect
from replay.once import Once
from replay.reverb_process import SEALED_PORT, ReverbProcess
from replay.seal import can_seal
from replay.tables import TableConfig

sealable = pytest.mark.skipif(not can_seal(), reason="this machine allows no network namespaces")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's place, which needs root")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    process = ReverbProcess(0, {"online": TableConfig()}, tmp_path_factory.mktemp("sealed"), sealed=True)
    process.start()
    yield process
    process.stop()


@sealable
def test_a_sealed_server_has_no_port_on_any_network(server: ReverbProcess):
    assert not server.open_ports
    assert SEALED_PORT not in {each.laddr.port for each in psutil.net_connections("tcp") if each.status == "LISTEN"}
    for address in ("127.0.0.1", "::1"):
        with pytest.raises(OSError):
            socket.create_connection((address, SEALED_PORT), timeout=1).close()
    replay = connect(server.address)
    assert replay.info()["online"].size == 0
    replay.close()


@sealable
@as_root
def test_another_user_of_the_machine_is_kept_out(server: ReverbProcess):
    path = Path(server.address.removeprefix("reverb://unix:"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    program = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/env", "python3", "-c", program]
    assert "PermissionError" in subprocess.run(other, capture_output=True, text=True).stderr


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux is not there")
def test_a_machine_that_allows_no_namespaces_says_so():
    none = "echo 0 > /proc/sys/user/max_user_namespaces && setpriv --bounding-set=-all --inh-caps=-all"
    command = f"{none} {sys.executable} -c 'from replay.seal import can_seal; print(can_seal())'"
    done = subprocess.run(["unshare", "-Ur", "sh", "-c", command], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_a_call_made_again_is_done_once():
    once, done = Once(), []
    for call in [(1, 0), (1, 0), (2, 0), (1, 1), (2, 0), (1, 1)]:
        assert once(call, lambda call=call: done.append(call) or len(done)) <= 3
    assert done == [(1, 0), (2, 0), (1, 1)]
