"""Copies of tensors in this machine's memory, so that what they were can be written while they change."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from learner import shards

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


class Copies:
    """Room for copies, taken by the first ones and used again by all others: pinned where they come from a GPU, for
    pages that are not, or that are new, would take several times as long as the copying."""

    def __init__(self) -> None:
        self._room: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def take(self, tensors: Mapping[str, torch.Tensor], mesh: "DeviceMesh | None" = None) -> dict[str, torch.Tensor]:
        """Copies tensors, by name. The copies taken before are overwritten.

        Args:
            tensors: of any device; of those that are sharded (DTensor) this worker's share is copied.
            mesh: the workers' CPUs, for copies of shares.

        Returns:
            The same on the CPU.
        """
        taken = {}
        for name, value in tensors.items():
            own = shards.local([value])[0]
            room = self._room.get(name)
            if room is None or (room.shape, room.dtype) != (own.shape, own.dtype):
                room = torch.empty(own.shape, dtype=own.dtype, pin_memory=own.device.type == "cuda")
                self._room[name] = room
            room.copy_(own, non_blocking=True)
            taken[name] = room if own is value else shards.on_cpu(room, value, mesh)
        if any(each.device.type == "cuda" for each in tensors.values()):
            torch.cuda.synchronize()
        return taken
