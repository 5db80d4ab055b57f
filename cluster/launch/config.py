"""Typed configuration of `ocelot cluster`: one YAML file describes one cluster."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from cluster.config import NotNegative, Positive, Section

Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$")]
User = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]*$")]
Absolute = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f]*$")]
Port = Annotated[int, Field(ge=1024, lt=65536)]


class SshConfig(Section):
    """Machines that are reached over ssh, each with a checkout of Ocelot that `make` has installed."""

    head: Host
    """Address of the machine with the GPU, on which runs are driven."""
    workers: list[Host] = Field(default_factory=list)
    """Addresses of the machines for actors."""
    user: User
    """Who logs in."""
    key: str
    """File of the private key."""
    folder: Absolute
    """The checkout, the same on all machines."""
    runs: Absolute
    """Folder of run directories on the head; better on a disk that outlives it."""
    shell: list[str] = Field(default_factory=list)
    """Commands that each machine runs first, as they stand, for example to mount a disk."""


class KubernetesConfig(Section):
    """A namespace of a Kubernetes cluster in which KubeRay's operator runs."""

    namespace: Name = "default"
    """Where everything is made."""
    head_image: str
    """Image of the learner's pod (the Dockerfile's target `learner`)."""
    worker_image: str
    """Image of the actors' pods (the Dockerfile's target `actors`)."""
    runs_claim: Name
    """PersistentVolumeClaim for run directories; it must exist."""
    head_gpus: NotNegative = 1
    """GPUs of the learner's pod."""
    head_cpus: Positive = 8
    """CPUs of the learner's pod."""
    head_memory: Annotated[str, StringConstraints(pattern=r"^[0-9]+(Mi|Gi)$")] = "64Gi"
    """Memory of the learner's pod."""
    worker_memory: Annotated[str, StringConstraints(pattern=r"^[0-9]+(Mi|Gi)$")] = "16Gi"
    """Memory of an actors' pod."""
    retries: NotNegative = 10
    """Times that a job with a cluster of its own is begun again after it failed."""


class ClusterConfig(Section):
    """A Ray cluster: one head for driver, learner, policy server and replay, and workers for actors."""

    name: Name = "local"
    """What the cluster is called."""
    kind: Literal["local", "ssh", "kubernetes"] = "local"
    """This machine, machines over ssh, or pods on Kubernetes."""
    port: Port = 6379
    """Of Ray's head (local and ssh)."""
    dashboard_port: Port = 8265
    """Of Ray's dashboard and jobs; on the head's loopback only (local and ssh)."""
    cpus: Positive | None = None
    """CPUs of each worker, or of this machine (local), that actors may claim; null: all that it has."""
    min_workers: NotNegative = 0
    """Workers that are always there."""
    max_workers: NotNegative | None = None
    """Workers that there may be when actors wait for CPUs; null: all machines of `ssh`, or `min_workers`."""
    ssh: SshConfig | None = None
    """The machines (kind ssh)."""
    kubernetes: KubernetesConfig | None = None
    """The pods (kind kubernetes)."""

    @property
    def most_workers(self) -> int:
        """Workers that there may be."""
        if self.max_workers is not None:
            return self.max_workers
        return len(self.ssh.workers) if self.ssh else self.min_workers

    @model_validator(mode="after")
    def _whole(self) -> "ClusterConfig":
        for kind, section in (("ssh", self.ssh), ("kubernetes", self.kubernetes)):
            if (section is not None) != (self.kind == kind):
                raise ValueError(f"kind is {self.kind}: the section `{kind}` belongs to kind {kind}, and to no other")
        if self.min_workers > self.most_workers:
            raise ValueError(f"min_workers {self.min_workers} is above max_workers {self.most_workers}")
        if self.ssh and self.most_workers > len(self.ssh.workers):
            raise ValueError(
                f"max_workers {self.most_workers} is above the number of machines, {len(self.ssh.workers)}"
            )
        return self
