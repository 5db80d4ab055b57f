"""How many slots memory holds."""

from pathlib import Path

import torch

from policy.cache import padded_columns
from policy.config import PolicyConfig
from policy.slots import SlotError

MEMINFO = Path("/proc/meminfo")
GIB = 2**30


def slot_bytes(config: PolicyConfig, dtype: torch.dtype) -> int:
    """Bytes of one slot's keys and values."""
    return 2 * config.layers * config.width * padded_columns(config.context) * dtype.itemsize


def available(device: torch.device) -> int | None:
    """Bytes that can still be had there; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not MEMINFO.exists():
        return None
    fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    return 1024 * int(fields["MemAvailable"].split()[0])


def check(config: PolicyConfig, slots: int, dtype: torch.dtype, device: torch.device, weights: int) -> None:
    """Refuses more slots than memory holds.

    Args:
        weights: bytes of all the sets of weights that there will be.

    Raises:
        SlotError: says how many fit.
    """
    each, room = slot_bytes(config, dtype), available(device)
    if room is None or slots * each + weights <= room:
        return
    raise SlotError(
        f"the KV cache of {slots} slots takes {slots * each / GIB:.1f} GiB, the weights that act and new ones beside "
        f"them {weights / GIB:.1f} GiB, and {room / GIB:.1f} GiB are free on {device}: "
        f"{max(0, room - weights) // each} slots fit. Run fewer environments, take a smaller policy or context, or "
        "bfloat16"
    )
