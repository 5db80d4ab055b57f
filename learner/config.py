"""Settings of the learner."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class LearnerConfig:
    """Optimiser, averages and precision."""

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid", "use_attribute_docstrings": True}

    learning_rate: float = 3e-4
    """Peak step size of AdamW."""
    warmup_updates: int = 100
    """Updates of linear warm-up (Gato: 15,000)."""
    warmup_from: float = 1e-7
    """Step size at which the warm-up begins (Gato: 1e-7)."""
    decay_updates: int | None = None
    """Updates over which a cosine takes the step size to a tenth; null keeps it constant (Gato: 1,000,000)."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Of AdamW."""
    weight_decay: float = 0.1
    """Of AdamW, on matrices only."""
    clip: float = 1.0
    """Gradients are scaled down to at most this norm."""
    average: float = 0.99
    """The moving-average network, each update: average * itself + (1 - average) * the weights that learn."""
    publish: str = "latest"
    """Which weights act and are saved: latest, or average (smoother)."""
    precision: str = "float32"
    """Of the forward and backward pass: float32 or bfloat16 (autocast; faster where the CPU or GPU has it)."""
    accumulation: int = 1
    """Parts of a batch that go through the network one after the other: activations take a part's memory, gradients are
    those of the whole batch; more than 1 costs another forward pass."""
    checkpointing: bool = False
    """Blocks keep no activations, but compute them again for the gradient: less memory, another forward pass."""
    compile: bool = False
    """Blocks are compiled by PyTorch, all but attention; on a CPU it needs g++, and the first updates take longer."""
    optimiser_at_switch: str = "reset"
    """Fine-tuning from a checkpoint with optimiser state: reset starts AdamW anew with its warm-up, keep carries on
    with its moments and without another warm-up."""

    def __post_init__(self) -> None:
        if self.accumulation < 1:
            raise ValueError(f"accumulation {self.accumulation} must be at least 1")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} '{getattr(self, name)}' must be one of {', '.join(allowed)}")


@dataclass(frozen=True)
class ParallelConfig:
    """Processes that train one policy together."""

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid", "use_attribute_docstrings": True}

    workers: int = 1
    """Processes that train together, each on its share of every batch; their number divides each batch."""
    backend: str = "gloo"
    """How they exchange gradients: gloo (they train on CPUs) or nccl (each has a GPU of its own)."""
    sharding: str = "none"
    """none: each holds all weights (DDP); full: its share of weights, moving average and optimiser state (FSDP)."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers {self.workers} must be at least 1")
        for name, allowed in (("backend", BACKENDS), ("sharding", SHARDINGS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} '{getattr(self, name)}' must be one of {', '.join(allowed)}")

    @property
    def alone(self) -> bool:
        """One worker on a CPU, with nobody to share anything with."""
        return self.workers == 1 and self.backend == "gloo" and self.sharding == "none"


BACKENDS = ("gloo", "nccl")
SHARDINGS = ("none", "full")
CHOICES = {
    "publish": ("latest", "average"),
    "precision": ("float32", "bfloat16"),
    "optimiser_at_switch": ("reset", "keep"),
}
