"""Checks of the libraries that Ocelot is built on: torch, TensorFlow, Reverb, Ray. Each works a little with its own."""

import os
import tempfile
from importlib import metadata
from pathlib import Path

from cluster.doctor.types import Finding
from cluster.packages import EVERYTHING, REVERB

NO_GPU = "none is needed; if this machine has one: nvidia-smi should list it, and torch must be a CUDA build"


def torch() -> Finding:
    """torch multiplies, on the GPU where there is one."""
    import torch

    found = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return Finding("torch", "ok", f"{found}, no GPU ({NO_GPU})")
    product = torch.ones(64, 64, device="cuda", dtype=torch.bfloat16) @ torch.ones(
        64, 64, device="cuda", dtype=torch.bfloat16
    )
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    if float(product[0, 0]) != 64.0:
        return Finding("torch", "failed", f"{found}, {names}: a product came out wrong", "reinstall driver and torch")
    return Finding("torch", "ok", f"{found}, {names}")


def tensorflow() -> Finding:
    """TensorFlow, which Reverb brings, is the CPU build, so that it takes no GPU memory."""
    import tensorflow

    found = f"tensorflow {tensorflow.__version__}"
    if tensorflow.test.is_built_with_cuda():
        return Finding(
            "TensorFlow",
            "warning",
            f"{found} is a CUDA build, which would reserve the GPU's memory for Reverb",
            "pip uninstall tensorflow, then pip install tensorflow-cpu -c constraints.txt",
        )
    return Finding("TensorFlow", "ok", f"{found}, CPU build")


def reverb() -> Finding:
    """A Reverb server starts, takes an item and gives it back."""
    try:
        import numpy as np
        import reverb
    except ImportError as error:
        return Finding("Reverb", "failed", str(error), REVERB)
    table = reverb.Table("doctor", reverb.selectors.Fifo(), reverb.selectors.Fifo(), 8, reverb.rate_limiters.MinSize(1))
    server = reverb.Server([table])
    try:
        client = reverb.Client(f"localhost:{server.port}")
        client.insert(np.arange(4), {"doctor": 1.0})
        sample = next(iter(client.sample("doctor")))
        item = np.asarray(sample[0].data[0] if isinstance(sample, list) else sample.data[0])
    finally:
        server.stop()
    if item.ravel()[:4].tolist() != [0, 1, 2, 3]:
        return Finding("Reverb", "failed", f"what came back is not what was written: {item}", EVERYTHING)
    return Finding("Reverb", "ok", f"dm-reverb {metadata.version('dm-reverb')}: a server, a write, a sample")


def ray() -> Finding:
    """Ray starts on this machine with a token, runs a process and ends."""
    from cluster.local_ray import get, local_ray

    with local_ray():
        import ray

        sum_ = ray.remote(num_cpus=0)(_add).remote(1, 2)
        if get(sum_, timeout=50) != 3:
            return Finding("Ray", "failed", "a process of Ray answered wrongly", EVERYTHING)
        found = f"Ray {ray.__version__}: a cluster of this machine, closed by a token"
    others = os.environ.get("RAY_ADDRESS")
    if others:
        found += f"; RAY_ADDRESS is set to {others}, which Ocelot's local runs do not use"
    return Finding("Ray", "ok", found)


def files() -> Finding:
    """Minari writes and reads a dataset (HDF5)."""
    import h5py
    import minari
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "doctor.hdf5"
        with h5py.File(path, "w") as file:
            file["steps"] = np.arange(3)
        with h5py.File(path) as file:
            steps = file["steps"][:].tolist()
    if steps != [0, 1, 2]:
        return Finding("demonstrations", "failed", "HDF5 gave back something else than was written", EVERYTHING)
    return Finding("demonstrations", "ok", f"minari {minari.__version__}, h5py {h5py.__version__}")


def _add(first: int, second: int) -> int:
    return first + second
