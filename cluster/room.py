"""A GPU's full memory as an error that says what would fit."""

from collections.abc import Iterator
from contextlib import contextmanager

from cluster.config import FinetuneConfig, PretrainConfig
from learner.types import MemoryFullError


@contextmanager
def room(config: PretrainConfig | FinetuneConfig) -> Iterator[None]:
    """For updates of a run.

    Raises:
        MemoryFullError: in place of what PyTorch raises.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        parallel, learner = config.parallel, config.learner
        batch = max(entry.batch // parallel.workers for entry in config.schedule)
        raise MemoryFullError(
            f"the GPU has no room for this: {str(error).splitlines()[0]} The last checkpoint stands, and the same "
            f"command goes on from it with a higher learner.accumulation (now {learner.accumulation} for {batch} "
            "windows), with learner.checkpointing true, with parallel.sharding full, or with more parallel.workers "
            f"(now {parallel.workers}); a smaller batch in the schedule, a shorter policy.context or a smaller policy "
            "need another --name"
        ) from error
