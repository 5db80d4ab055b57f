"""How workers that train together meet, and through what they speak."""

import os
import socket
from datetime import timedelta
from pathlib import Path

from learner.config import ParallelConfig
from learner.workers import Together, Workers

PATIENCE = 600  # seconds that a worker waits for another before it gives up
WAYS = {"gloo": "gloo", "nccl": "cpu:gloo,cuda:nccl"}
"""What torch.distributed is told by `parallel.backend`; figures are told on the CPU in either."""
DEVICES = {"gloo": "cpu", "nccl": "cuda"}
"""Where a worker trains; Ray shows each worker its own GPU alone."""


def meet(parallel: ParallelConfig, rank: int, place: Path) -> Workers:
    """Waits until all workers are there; they are of one machine, and no other reaches them.

    Args:
        parallel: how many there are, and how they speak.
        rank: this worker's number.
        place: a file that does not exist yet, the same for all of them and for no others.
    """
    from torch import distributed

    os.environ.update(dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), loopback()))
    distributed.init_process_group(
        WAYS[parallel.backend],
        init_method=f"file://{place}",
        rank=rank,
        world_size=parallel.workers,
        timeout=timedelta(seconds=PATIENCE),
    )
    return Together()


def loopback() -> str:
    """The network interface of this machine that no other reaches."""
    return next(name for _, name in socket.if_nameindex() if name in ("lo", "lo0"))
