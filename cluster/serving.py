"""The policy server as a process of a run."""

from typing import Any

from cluster.local_ray import get, start
from policy.model import Policy
from policy.server import PolicyServer
from policy.types import Version


def serve(
    model: Policy,
    version: Version,
    slots: int,
    threads: int = 1,
    dtype: str = "float32",
    seed: int = 0,
    window_ms: float = 5.0,
) -> Any:
    """Starts a policy server with a policy's weights and waits until it answers; returns its Ray handle.

    Arguments are those of `PolicyServer`.
    """
    import ray

    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    handle = start(
        PolicyServer,
        model.config,
        ray.put(weights),
        version,
        slots,
        threads=threads,
        dtype=dtype,
        seed=seed,
        window_ms=window_ms,
        cpu_threads=threads,
    )
    get(handle.stats.remote())
    return handle
