"""What a run does where replay cannot be kept off the network."""

import os
import shutil
import subprocess
import sys

import pytest

from cluster.fence import fenced
from replay.seal import can_seal
from tests.cluster.conftest import ROOT

NO_NAMESPACES = (
    "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all {command}"
)
PROGRAM = """
from cluster.fence import fenced, warn_of
from cluster.local_ray import ProcessError
print("memory:", fenced("memory", cluster=True, allow_open=False))
print("one machine:", fenced("reverb", cluster=False, allow_open=False))
print("allowed:", fenced("reverb", cluster=True, allow_open=True))
try:
    fenced("reverb", cluster=True, allow_open=False)
except ProcessError as error:
    print("refused:", error)
warn_of([12345])
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv (util-linux)")
def test_a_cluster_is_refused_and_one_machine_is_told_its_open_port(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    inside = NO_NAMESPACES.format(command=f"{sys.executable} {program}")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["unshare", "-Ur", "sh", "-c", inside], env=environment, capture_output=True, text=True)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert (lines["memory"], lines["one machine"], lines["allowed"]) == ("True", "False", "False"), done.stderr
    assert "--allow-open-replay" in lines["refused"]
    assert "port 12345 is open on every interface" in done.stderr


@pytest.mark.skipif(not can_seal(), reason="this machine allows no network namespaces")
def test_a_cluster_starts_where_replay_is_sealed_off():
    assert fenced("reverb", cluster=True, allow_open=False)
