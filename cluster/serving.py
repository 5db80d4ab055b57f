"""The policy server as a process of a run, or several of them that share the actors."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cluster.local_ray import get, kill, start
from policy import capacity
from policy.config import PolicyConfig
from policy.model import Policy
from policy.networks import OnNewWeights, sets
from policy.server import PolicyServer
from policy.types import Version


def put_weights(model: Policy) -> Any:
    """A Ray reference to a policy's weights by name."""
    import ray

    return ray.put({name: value.detach().cpu().numpy() for name, value in model.state_dict().items()})


def weight_bytes(model: Policy) -> int:
    """Of what `put_weights` puts."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())


MOST_CALLS = 512  # that wait for actions at once: a thread each; more stand in line at Ray
FEW = 8  # calls beside them: weights, statistics
LARGEST = {"queue_wait_max_ms"}
MEANS = {"batch_fill", "queue_wait_ms"}


class Servers:
    """Replicas of the policy server: each serves its share of the actors, all get the same weights.

    Args:
        handles: Ray handles.
    """

    def __init__(self, handles: Sequence[Any]):
        self.handles = list(handles)

    def of(self, actor: int) -> Any:
        """The replica that serves the actor of this number."""
        return self.handles[actor % len(self.handles)]

    def publish(self, version: Version, weights: Any) -> list[Any]:
        """Sends weights (a Ray reference) to all; returns the calls to wait for."""
        return [handle.publish.remote(version, weights) for handle in self.handles]

    def stats(self) -> list[Any]:
        """The calls that answer with each one's statistics; `together` makes one of them."""
        return [handle.stats.remote() for handle in self.handles]

    def kill(self) -> None:
        """Ends all."""
        for handle in self.handles:
            kill(handle)


def together(stats: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Statistics of all replicas as those of one server: counts add up, versions are the oldest."""
    merged = dict(stats[0])
    for name in merged:
        values = [each[name] for each in stats]
        if name in MEANS:
            merged[name] = sum(values) / len(values)
        elif name in LARGEST:
            merged[name] = max(values)
        elif name.endswith("version"):
            merged[name] = min(values)
        elif name == "pinned":
            merged[name] = any(values)
        elif name == "dtype":
            merged[name] = "/".join(sorted(set(values)))
        else:
            merged[name] = sum(values)
    return merged


def needs(model: Policy, slots: int, dtype: str, on_new_weights: OnNewWeights, replicas: int = 1) -> dict[str, int]:
    """Bytes, by part, that so many policy servers will take of their device.

    Args:
        slots, dtype, on_new_weights: of each, as in `serve`; of `auto`, which is not measured yet, the larger.
    """
    wide = torch.float32 if dtype == "auto" else getattr(torch, dtype)
    weights = sum(each.numel() for each in model.parameters()) * wide.itemsize
    return {
        "policy servers' weights": replicas * sets(on_new_weights) * weights,
        "policy servers' KV cache": replicas * slots * capacity.slot_bytes(model.config, wide),
    }


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
    on_new_weights: OnNewWeights = "rebuild",
    rebuild_share: float = 0.1,
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
        on_new_weights=on_new_weights,
        rebuild_share=rebuild_share,
        cpu_threads=threads,
        concurrency=min(slots, MOST_CALLS) + FEW,
        place=place,
    )
    get(handle.stats.remote())
    return handle
