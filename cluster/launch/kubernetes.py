"""A Ray cluster on Kubernetes, as KubeRay's operator makes it from manifests that are generated here.

The token is a Secret of the namespace; a NetworkPolicy lets nobody but the cluster's own pods reach them. The head is
the pod with the GPU; KubeRay's autoscaler adds and takes away worker pods.
"""

import contextlib
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from cluster.launch.config import ClusterConfig, KubernetesConfig
from cluster.launch.ports import free_port
from cluster.launch.state import ClusterState, LaunchError
from cluster.launch.token import make_token

API = "ray.io/v1"
RUNS = "/runs"
RUN_FILE = "/etc/ocelot/run.yaml"
CHECKOUT = "/ocelot"  # in the images
DASHBOARD = 8265
TUNNEL = 60.0  # seconds in which the way to the head must be open


def up(config: ClusterConfig, state: ClusterState) -> None:
    """Makes the Secret, the NetworkPolicy and the RayCluster. Raises LaunchError when kubectl fails."""
    make_token(state.token)
    _kubectl(config, ["apply", "-f", "-"], yaml.safe_dump_all(manifests(config, state.token.read_text())))
    state.note(up=True)


def down(config: ClusterConfig, state: ClusterState) -> None:
    """Deletes what `up` made; the volume with the runs stays. Raises LaunchError as `up`."""
    kinds = "raycluster,rayjob,secret,networkpolicy,configmap"
    _kubectl(config, ["delete", kinds, "-l", f"ocelot/cluster={config.name}", "--ignore-not-found"])
    state.forget()


def manifests(config: ClusterConfig, token: str) -> list[dict[str, Any]]:
    """Secret, NetworkPolicy and RayCluster."""
    spec = {"apiVersion": API, "kind": "RayCluster", "metadata": _metadata(config), "spec": cluster_spec(config)}
    return [*_fence(config, token), spec]


def job_manifests(config: ClusterConfig, token: str, run: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Secret, NetworkPolicy, ConfigMap and a RayJob with a cluster of its own, which is made anew when it fails.

    Args:
        run: the run's configuration as YAML.
        arguments: of `ocelot finetune` beside it.
    """
    assert config.kubernetes is not None
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(config), "data": {"run.yaml": run}}
    command = ["python", "-m", "cluster", "finetune", RUN_FILE, "--address", "auto", *arguments]
    spec = {
        "entrypoint": shlex.join(command),
        "runtimeEnvYAML": yaml.safe_dump({"working_dir": CHECKOUT}),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 600,
        "backoffLimit": config.kubernetes.retries,
        "rayClusterSpec": cluster_spec(config, with_run=True),
        "submitterPodTemplate": _template(config, config.kubernetes.head_image, {"cpu": "500m", "memory": "1Gi"}),
    }
    job = {"apiVersion": API, "kind": "RayJob", "metadata": _metadata(config), "spec": spec}
    return [*_fence(config, token), settings, job]


def cluster_spec(config: ClusterConfig, with_run: bool = False) -> dict[str, Any]:
    """A RayCluster's `spec`.

    Args:
        with_run: mount the ConfigMap with the run's configuration on the head.
    """
    pods = config.kubernetes
    assert pods is not None
    least, most = config.min_workers, config.most_workers
    return {
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"idleTimeoutSeconds": 300},
        "authOptions": {"mode": "token", "secretName": config.name, "enableK8sTokenAuth": False},
        "headGroupSpec": {
            # The head's own CPUs are for the driver, the learner, the policy server and replay.
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
            "template": _head(config, pods, with_run),
        },
        "workerGroupSpecs": [
            {
                "groupName": "actors",
                "replicas": least,
                "minReplicas": least,
                "maxReplicas": most,
                "rayStartParams": {},
                "template": _worker(config, pods),
            }
        ],
    }


@contextlib.contextmanager
def jobs_address(config: ClusterConfig, state: ClusterState) -> Iterator[str]:
    """Where jobs are handed in: the head's service, through kubectl, as long as the context lasts.

    Raises:
        LaunchError: when the way does not open.
    """
    assert config.kubernetes is not None
    port = free_port()
    where = ["-n", config.kubernetes.namespace, f"service/{config.name}-head-svc", f"{port}:{DASHBOARD}"]
    process = subprocess.Popen(["kubectl", "port-forward", *where], stdout=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + TUNNEL
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise LaunchError(
                        "no way to the head through kubectl port-forward; above is what it said"
                    ) from None
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def runs(config: ClusterConfig) -> str:
    """Folder of run directories on the head."""
    return RUNS


def start_job(config: ClusterConfig, state: ClusterState, run: str, arguments: Sequence[str]) -> int:
    """Hands in a RayJob with a cluster of its own, passes on its logs, and returns its exit status.

    Raises:
        LaunchError: when kubectl fails.
    """
    make_token(state.token)
    made = job_manifests(config, state.token.read_text(), run, arguments)
    _kubectl(config, ["apply", "-f", "-"], yaml.safe_dump_all(made))
    name = f"rayjob/{config.name}"
    done = "jsonpath={.status.jobDeploymentStatus}"
    _kubectl(config, ["wait", name, f"--for={done}=Running", "--timeout=30m"])
    _kubectl(config, ["logs", "--follow", f"job/{config.name}"])
    said = _kubectl(config, ["get", name, "-o", "jsonpath={.status.jobStatus}"], capture=True)
    return 0 if said.strip() == "SUCCEEDED" else 1


def _fence(config: ClusterConfig, token: str) -> list[dict[str, Any]]:
    """The token, and who may reach the pods: those of the cluster, and KubeRay's operator its dashboard."""
    operator = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}}
    policy = {
        "podSelector": {"matchLabels": _labels(config)},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"podSelector": {"matchLabels": _labels(config)}}]},
            {"from": [operator], "ports": [{"protocol": "TCP", "port": DASHBOARD}]},
        ],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": _metadata(config),
            "type": "Opaque",
            "stringData": {"auth_token": token},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": _metadata(config),
            "spec": policy,
        },
    ]


def _head(config: ClusterConfig, pods: KubernetesConfig, with_run: bool) -> dict[str, Any]:
    resources: dict[str, Any] = {"cpu": str(pods.head_cpus), "memory": pods.head_memory}
    if pods.head_gpus:
        resources["nvidia.com/gpu"] = str(pods.head_gpus)
    template = _template(config, pods.head_image, resources)
    volumes: list[dict[str, Any]] = [{"name": "runs", "persistentVolumeClaim": {"claimName": pods.runs_claim}}]
    mounts = [{"name": "runs", "mountPath": RUNS}]
    if with_run:
        volumes.append({"name": "run", "configMap": {"name": config.name}})
        mounts.append({"name": "run", "mountPath": RUN_FILE.rpartition("/")[0]})
    template["spec"] |= {"volumes": volumes}
    template["spec"]["containers"][0] |= {"volumeMounts": mounts}
    return template


def _worker(config: ClusterConfig, pods: KubernetesConfig) -> dict[str, Any]:
    resources = {"cpu": str(config.cpus or 8), "memory": pods.worker_memory}
    return _template(config, pods.worker_image, resources)


def _template(config: ClusterConfig, image: str, resources: dict[str, Any]) -> dict[str, Any]:
    container = {
        "name": "ray",
        "image": image,
        "resources": {"limits": resources, "requests": resources},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {"automountServiceAccountToken": True, "containers": [container], "restartPolicy": "Never"}
    return {"metadata": {"labels": _labels(config)}, "spec": spec}


def _labels(config: ClusterConfig) -> dict[str, str]:
    return {"ocelot/cluster": config.name}


def _metadata(config: ClusterConfig) -> dict[str, Any]:
    assert config.kubernetes is not None
    return {"name": config.name, "namespace": config.kubernetes.namespace, "labels": _labels(config)}


def _kubectl(config: ClusterConfig, words: Sequence[str], given: str | None = None, capture: bool = False) -> str:
    assert config.kubernetes is not None
    command = ["kubectl", "-n", config.kubernetes.namespace, *words]
    try:
        done = subprocess.run(command, input=given, text=True, stdout=subprocess.PIPE if capture else None)
    except FileNotFoundError:
        raise LaunchError("kubectl is not installed; https://kubernetes.io/docs/tasks/tools has it") from None
    if done.returncode:
        raise LaunchError(f"`{' '.join(command[:4])} ...` failed with status {done.returncode}; above is what it said")
    return done.stdout or ""
