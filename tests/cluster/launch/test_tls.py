"""Ray's connections encrypted, as docs/cluster.md says: a Ray of Ocelot works so, and its ports speak TLS alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import ROOT

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made with openssl"),
]

PROGRAM = """
import socket, ssl, sys
from cluster.local_ray import get, local_ray, start

class Echo:
    def say(self, word):
        return word

with local_ray():
    import ray
    assert get(start(Echo).say.remote("hello")) == "hello"
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    context = ssl.create_default_context(cafile=sys.argv[1])
    context.check_hostname = False
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain) as wrapped:
        print(wrapped.version())
"""


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    made, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=ocelot"]
    subprocess.run([*command, "-addext", names, "-out", made, "-keyout", key], check=True, capture_output=True)
    return made, key


def test_ray_works_over_tls(certificate: tuple[Path, Path]):
    made, key = map(str, certificate)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_USE_TLS": "1", "RAY_TLS_SERVER_CERT": made, "RAY_TLS_SERVER_KEY": key}
    environment |= {"RAY_TLS_CA_CERT": made, "RAY_worker_niceness": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, made, key], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip().startswith("TLSv1"), done.stdout + done.stderr
