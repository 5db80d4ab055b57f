"""Where the processes of a run go: learners and policy servers together beside the driver, actors over all nodes."""

import math
from typing import Any

from cluster.local_ray import ProcessError
from cluster.parallel.check import check
from learner.config import ParallelConfig

ROLES = ("learner", "server")
ONE = ParallelConfig()
RESERVE = 60.0  # seconds in which GPUs of the driver's node must be free


class Place:
    """Of one actor.

    On a cluster it is a placement group of its own: Ray tells of a group whether there is room for it, and of an actor
    only that it has not begun. So one that waits for a CPU and one that hangs while it begins are told apart.

    Args:
        cpus: that the actor claims; None: nothing, anywhere.
    """

    def __init__(self, cpus: float | None):
        import ray

        self._cpus = cpus
        self._group = None if cpus is None else ray.util.placement_group([{"CPU": cpus}], strategy="SPREAD")

    @property
    def options(self) -> dict[str, Any]:
        """Ray's options for the actor's process."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        if self._group is None:
            return {}
        return {"scheduling_strategy": PlacementGroupSchedulingStrategy(self._group, 0), "num_cpus": self._cpus}

    @property
    def there(self) -> bool:
        """Whether a node has room for the actor; asks Ray's head."""
        import ray

        return self._group is None or ray.util.placement_group_table(self._group)["state"] == "CREATED"

    def release(self) -> None:
        """Gives the room back; the actor ends."""
        import ray

        if self._group is not None:
            ray.util.remove_placement_group(self._group)


class Placement:
    """Of one run. Ray must be initialised.

    Learners and policy servers share one placement group on the driver's node, and its GPUs. The replay server is the
    driver's child and so is there too. On a cluster, actors claim CPUs and are spread; those for which there is no CPU
    wait until a node joins.

    Args:
        cluster: the Ray cluster may have other nodes; False: it is this machine alone, whose cores are not counted.
        actor_cpus: CPUs that each actor claims on a cluster.
        servers: policy servers.
        parallel: the learners.

    Raises:
        ProcessError: the GPUs are on another node, or taken.
        ParallelError: they are too few for the learners.
    """

    def __init__(self, cluster: bool, actor_cpus: float = 1.0, servers: int = 1, parallel: ParallelConfig = ONE):
        import ray
        from torch import distributed

        self._cluster = cluster
        self._actor_cpus = actor_cpus
        here, others = _nodes()
        gpus = here["Resources"].get("GPU", 0.0)
        with_gpu = [node["NodeManagerAddress"] for node in others if node["Resources"].get("GPU", 0.0)]
        if not gpus and with_gpu:
            raise ProcessError(
                f"this machine has no GPU, but {', '.join(with_gpu)} of its cluster has: start the run there, which "
                "`ocelot cluster submit` does"
            )
        check(parallel, gpus, distributed.is_nccl_available(), serving=True)
        learners = 0 if parallel.backend == "gloo" and parallel.workers > 1 else parallel.workers
        self._gpus = shares(gpus, servers, learners)
        self.together = not gpus or 0.0 < self._gpus["learner"] < 1.0
        """Learners and policy servers take their memory from one device."""
        claims = [{f"node:{here['NodeManagerAddress']}": 0.001} for _ in ROLES]  # ties the group to this node
        for claim, role in zip(claims, ROLES, strict=True):
            if gpus:
                claim["GPU"] = self._gpus[role] * {"server": servers, "learner": learners}[role]
        self._group = ray.util.placement_group(claims, strategy="STRICT_PACK")
        if not self._group.wait(RESERVE):
            ray.util.remove_placement_group(self._group)
            raise ProcessError(
                f"the GPUs of this machine were not free for {RESERVE:.0f} s: another run of the cluster has them; "
                "wait for it, or stop it"
            )

    def central(self, role: str) -> dict[str, Any]:
        """Ray's options for a learner or a policy server."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        strategy = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=ROLES.index(role))
        return {"scheduling_strategy": strategy, "num_gpus": self._gpus[role]}

    def actor(self) -> Place:
        """Room for an actor, now or when a node joins."""
        return Place(self._actor_cpus if self._cluster else None)

    def release(self) -> None:
        """Gives the group's resources back; what runs in it ends."""
        import ray

        ray.util.remove_placement_group(self._group)


def shares(gpus: float, servers: int, learners: int = 1) -> dict[str, float]:
    """GPUs of each learner and of each policy server: whole ones where there are enough, else parts of one.

    Args:
        learners: that want a GPU; several never share one, so they are fewer than there are.
    """
    if gpus >= learners + servers:
        return {"learner": min(1.0, learners), "server": 1.0}
    own = min(1.0, gpus / 2 if learners == 1 else learners)
    left = min(1.0, gpus - learners * own)
    return {"learner": own, "server": math.floor(left / servers * 1000) / 1000}


def _nodes() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """This node, and the other living ones."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    nodes = [node for node in ray.nodes() if node["Alive"]]
    here = next(node for node in nodes if node["NodeID"] == own)
    return here, [node for node in nodes if node is not here]
