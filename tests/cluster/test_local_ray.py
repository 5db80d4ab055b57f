"""Ray is started with room for what goes through it."""

import subprocess
import sys

import pytest

from cluster.local_ray import OBJECT_STORE, VERSIONS
from tests.cluster.conftest import ROOT

STORE = """
import ray
from cluster.local_ray import local_ray

with local_ray(weights=300 * 2**20):
    print(int(ray.cluster_resources()["object_store_memory"]))
"""


@pytest.mark.timeout(180)
def test_the_store_holds_several_versions_of_the_weights():
    """Else Ray puts them on the disk."""
    done = subprocess.run([sys.executable, "-c", STORE], cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) == OBJECT_STORE + VERSIONS * 300 * 2**20
