import json
import subprocess
import sys

import pytest

from actors.domains import DOMAINS
from cluster.doctor import examine, libraries, machine, simulators
from cluster.doctor.types import Finding
from tests.cluster.test_cli import ocelot


def test_every_domain_has_a_check():
    assert set(simulators.domain_checks().values()) == set(DOMAINS)


def test_a_check_that_crashes_is_one_failed_line(monkeypatch, tmp_path):
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\necho 'cannot load libGL' >&2\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    found = examine.look("torch")
    assert found.state == "failed"
    assert "cannot load libGL" in found.found
    assert found.cure


def test_a_check_that_hangs_is_given_up(monkeypatch, tmp_path):
    hanging = tmp_path / "python"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hanging))
    assert "no answer within 0.2 s" in examine.look("torch", deadline=0.2).found


def test_other_versions_than_the_known_ones_are_named(monkeypatch, tmp_path):
    pins = tmp_path / "constraints.txt"
    pins.write_text("# known\nnumpy==0.1\nno-such-package==1.0\n")
    monkeypatch.setattr(machine, "CONSTRAINTS", pins)
    found = machine.packages()
    assert found.state == "warning"
    assert "0.1 is known to work" in found.found
    assert "missing: no-such-package" in found.found


def test_little_room_is_told(monkeypatch):
    monkeypatch.setattr(machine, "DISK_GB", 1e9)
    monkeypatch.setattr(machine, "SHARED_MEMORY_GB", 1e9)
    monkeypatch.setattr(machine, "MEMORY_GB", 1e9)
    assert machine.disk().state == "failed"
    assert machine.shared_memory().state == "warning"
    assert machine.memory().state == "warning"


def test_a_missing_simulator_is_told_with_its_cure():
    # In a process of its own: a domain that has loaded once remembers its tasks.
    code = "import sys; sys.modules['metaworld'] = None\nfrom cluster.doctor.simulators import first_step\n"
    code += "found = first_step('metaworld'); print(found.state, found.cure)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.startswith("failed ")
    assert "metaworld" in done.stdout


def test_a_missing_reverb_is_told_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "reverb", None)
    found = libraries.reverb()
    assert found.state == "failed"
    assert "memory" in found.cure


@pytest.mark.timeout(600)
def test_command_looks_at_everything(tmp_path):
    file = tmp_path / "doctor.json"
    done = ocelot("doctor", "--json", str(file), timeout=580)
    findings = {entry["check"]: Finding(**entry) for entry in json.loads(file.read_text())}
    assert set(findings) == {*examine.CHECKS, *simulators.domain_checks()}
    for check in ("Python", "packages", "ports", "TensorFlow", "Reverb", "Ray", "demonstrations", "domain gym"):
        assert findings[check].state == "ok", findings[check]
        assert findings[check].seconds > 0
    assert done.returncode == int(any(finding.state == "failed" for finding in findings.values()))
    assert all(check in done.stdout for check in findings)
