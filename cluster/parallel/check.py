"""What can be refused before any training worker starts."""

from learner.config import ParallelConfig
from policy.errors import OcelotError


class ParallelError(OcelotError):
    """Workers that cannot train together as asked, or that have stopped."""


def crowded(parallel: ParallelConfig, threads: int, cores: int) -> str | None:
    """What to tell a person whose several workers have fewer cores than threads: slow, and no mistake otherwise."""
    wanted = parallel.workers * threads
    if parallel.backend != "gloo" or parallel.workers == 1 or wanted <= cores:
        return None
    return (
        f"parallel.workers {parallel.workers} with run.learner_threads {threads} keep {wanted} cores at work, and this "
        f"machine has {cores}: they wait for each other. Fewer of either train as fast or faster"
    )


def check(parallel: ParallelConfig, gpus: float, nccl: bool, serving: bool = False) -> None:
    """Refuses what cannot run.

    Args:
        parallel: the workers.
        gpus: of the machine or cluster.
        nccl: this PyTorch has it.
        serving: policy servers need one of the GPUs; they share it with a worker that is alone.

    Raises:
        ParallelError: without NCCL, or with more workers than GPUs.
    """
    if parallel.backend != "nccl":
        return
    if not nccl:
        raise ParallelError(
            "parallel.backend is nccl, and the PyTorch that is installed has no NCCL: install one for CUDA (on Linux), "
            "or set parallel.backend to gloo, which trains on CPUs"
        )
    beside = serving and parallel.workers > 1
    if parallel.workers + beside > gpus:
        most = max(int(gpus) - beside, min(1, int(gpus)))
        cure = f"set parallel.workers to at most {most}, or " if most else ""
        raise ParallelError(
            f"parallel.workers is {parallel.workers} with backend nccl, which gives each worker a GPU of its own"
            f"{' and leaves one to the policy servers' if beside else ''}, and there are {gpus:g} GPUs: "
            f"{cure}set parallel.backend to gloo, which trains on CPUs"
        )
