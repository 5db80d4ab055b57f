"""What keeps others away from replay, decided before it starts; Reverb itself asks nobody who they are."""

from cluster.local_ray import ProcessError
from cluster.telling import warn
from replay.seal import can_seal


def fenced(backend: str, cluster: bool, allow_open: bool) -> bool:
    """Whether replay can be kept off the network.

    Args:
        backend: of replay.
        cluster: the run is on a cluster of machines.
        allow_open: go on although anybody on the cluster's network could read and write replay.

    Raises:
        ProcessError: when it cannot, on a cluster, and that is not allowed.
    """
    if backend != "reverb" or can_seal():
        return True
    if cluster and not allow_open:
        raise ProcessError(
            "Reverb has no authentication, and this machine allows no network namespace in which to keep it: its port "
            "would be open to everybody on the cluster's network. Allow user namespaces here (sysctl "
            "user.max_user_namespaces; a container needs the capability SYS_ADMIN), or set replay.backend=memory, "
            "which opens no port, or put a firewall or NetworkPolicy around the cluster and give --allow-open-replay"
        )
    return False


def warn_of(ports: list[int]) -> None:
    """Says, in the log and to the person, which ports are open."""
    if not ports:
        return
    warn(
        f"replay's port {', '.join(map(str, ports))} is open on every interface of this machine: whoever reaches it "
        "can read and change the run's data"
    )
