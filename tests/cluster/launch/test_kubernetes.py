"""The manifests that KubeRay gets, held against the schemas of its own custom resource definitions."""

import gzip
import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.launch.config import ClusterConfig, KubernetesConfig
from cluster.launch.kubernetes import job_manifests, manifests

DATA = Path(__file__).parent / "data"
TOKEN = "a-secret-token"
CONFIG = ClusterConfig(
    name="lab",
    kind="kubernetes",
    min_workers=1,
    max_workers=4,
    cpus=6,
    kubernetes=KubernetesConfig(
        namespace="rl", head_image="x/learner:1", worker_image="x/actors:1", runs_claim="runs", head_gpus=1
    ),
)


def schema(kind: str) -> dict[str, Any]:
    """KubeRay's schema, made as strict as `kubectl` is: fields that it does not know are refused."""

    def strict(part: Any) -> Any:
        if isinstance(part, list):
            return [strict(each) for each in part]
        if not isinstance(part, dict):
            return part
        part = {key: strict(value) for key, value in part.items()}
        if part.pop("x-kubernetes-int-or-string", False):
            part.pop("type", None)
        known = isinstance(part.get("properties"), dict) and part.get("type") == "object"
        if known and not part.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in part:
            part["additionalProperties"] = False
        return part

    made = strict(json.loads(gzip.decompress((DATA / f"{kind}-v1.json.gz").read_bytes())))
    made["properties"]["metadata"] = {"type": "object"}
    return made


def by_kind(made: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in made}


def test_a_cluster_is_what_kuberay_knows():
    made = by_kind(manifests(CONFIG, TOKEN))
    jsonschema.validate(made["RayCluster"], schema("raycluster"))
    (workers,) = made["RayCluster"]["spec"]["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (1, 4)
    head = made["RayCluster"]["spec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"  # actors go to the workers
    assert head["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_a_job_is_what_kuberay_knows():
    made = by_kind(job_manifests(CONFIG, TOKEN, "run: {}", ["--allow-open-replay"]))
    jsonschema.validate(made["RayJob"], schema("rayjob"))
    spec = made["RayJob"]["spec"]
    assert spec["backoffLimit"] == 10  # the run goes on from its checkpoint without a person
    assert shlex.split(spec["entrypoint"])[-3:] == ["--address", "auto", "--allow-open-replay"]
    assert made["ConfigMap"]["data"] == {"run.yaml": "run: {}"}


def test_the_schemas_refuse_what_kuberay_does_not_know():
    made = by_kind(manifests(CONFIG, TOKEN))["RayCluster"]
    made["spec"]["headGroupSpec"]["rayStartParameters"] = {}
    with pytest.raises(jsonschema.ValidationError, match="rayStartParameters"):
        jsonschema.validate(made, schema("raycluster"))


def test_the_token_is_in_the_secret_alone_and_the_policy_covers_every_pod():
    made = by_kind(job_manifests(CONFIG, TOKEN, "run: {}", []))
    assert made["Secret"]["stringData"] == {"auth_token": TOKEN}
    assert [kind for kind, each in made.items() if TOKEN in json.dumps(each)] == ["Secret"]
    policy = made["NetworkPolicy"]["spec"]
    labels = policy["podSelector"]["matchLabels"].items()
    spec = made["RayJob"]["spec"]["rayClusterSpec"]
    pods = [spec["headGroupSpec"]["template"], spec["workerGroupSpecs"][0]["template"]]
    for pod in [*pods, made["RayJob"]["spec"]["submitterPodTemplate"]]:
        assert labels <= pod["metadata"]["labels"].items()
    assert policy["ingress"][0]["from"] == [{"podSelector": policy["podSelector"]}]
    assert all("ports" in rule for rule in policy["ingress"][1:])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=3))
def test_no_argument_reaches_a_shell_as_code(arguments: list[str]):
    made = by_kind(job_manifests(CONFIG, TOKEN, "run: {}", arguments))
    assert shlex.split(made["RayJob"]["spec"]["entrypoint"])[7:] == arguments
