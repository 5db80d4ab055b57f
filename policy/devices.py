"""Where a process computes when nobody says where."""

import torch


def best() -> str:
    """cuda where this process sees a GPU (Ray shows its own to each), else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"
