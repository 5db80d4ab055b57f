"""The policy server as a process of a run."""

from collections.abc import Mapping
from typing import Any

from cluster.local_ray import get, start
from policy.config import PolicyConfig
from policy.model import Policy
from policy.server import PolicyServer
from policy.types import Version


def put_weights(model: Policy) -> Any:
    """A Ray reference to a policy's weights by name."""
    import ray

    return ray.put({name: value.detach().cpu().numpy() for name, value in model.state_dict().items()})


def serve(
    config: PolicyConfig,
    weights: Any,
    version: Version,
    slots: int,
    threads: int = 1,
    dtype: str = "float32",
    seed: int = 0,
    window_ms: float = 5.0,
    place: Mapping[str, Any] | None = None,
) -> Any:
    """Starts a policy server and waits until it answers; returns its Ray handle.

    Args:
        weights: a Ray reference, as from `put_weights`.
        place: where Ray puts it, as in `start`. The other arguments are those of `PolicyServer`.
    """
    handle = start(
        PolicyServer,
        config,
        weights,
        version,
        slots,
        threads=threads,
        dtype=dtype,
        seed=seed,
        window_ms=window_ms,
        cpu_threads=threads,
        place=place,
    )
    get(handle.stats.remote())
    return handle
