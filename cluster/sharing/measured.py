"""What is known of a checkpoint: where it came from, and what its own evaluations measured."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cluster.comparing.arms import schedule_in_words
from cluster.comparing.intervals import Estimate, mean_of_means
from cluster.config_files import read_yaml
from cluster.provenance import weights_hash
from cluster.reference_scores import find
from cluster.rundir import RunDirectory


@dataclass(frozen=True)
class Measured:
    """One task at one temperature."""

    task: str
    temperature: float
    seed: int
    """Of the environments."""
    returns: list[float]
    reference: dict[str, float] | None
    """The returns of the random player and of the expert; None where nobody measured them."""

    @property
    def mean_return(self) -> Estimate:
        """With the 95% interval over episodes."""
        return mean_of_means([np.asarray(self.returns)])

    @property
    def score(self) -> Estimate | None:
        """Normalised, with the 95% interval over episodes."""
        if self.reference is None:
            return None
        random, expert = self.reference["random"], self.reference["expert"]
        return mean_of_means([(np.asarray(self.returns) - random) / (expert - random)])


def measured(checkpoint: Path) -> list[Measured]:
    """The evaluations of these weights in the run that made them; none, if there is no such run."""
    run = _run(checkpoint)
    lines = [] if run is None else run.evaluations()
    last = {
        (line["task"], line["temperature"]): line for line in lines if Path(line["checkpoint"]).name == checkpoint.name
    }
    found = []
    for (task, temperature), line in sorted(last.items()):
        reference = find(task)
        scale = None if reference is None else asdict(reference)
        found.append(Measured(task, temperature, line["seed"], line["returns"], scale))
    return found


def provenance(checkpoint: Path, extra: dict[str, Any]) -> dict[str, Any]:
    """How a checkpoint came to be, as plain JSON without paths of this machine.

    Args:
        checkpoint: its folder.
        extra: what it says of itself.
    """
    known: dict[str, Any] = {key: extra[key] for key in ("arm", "seed", "updates", "env_steps") if key in extra}
    known["weights_sha256"] = weights_hash(checkpoint)
    if (run := _run(checkpoint)) is None:
        return extra.get("provenance", {}) | known
    config = read_yaml(run.path / "config.yaml")
    environment = json.loads((run.path / "environment.json").read_text())
    start = environment.get("start", {}).get("weights_sha256")
    return known | {
        "trained_by": "ocelot finetune" if "actors" in config else "ocelot pretrain",
        "schedule": schedule_in_words(config["schedule"]),
        "demonstrations": {task["name"]: task.get("datasets", []) for task in config["tasks"]},
        "began_from_weights_sha256": start,
        "commit": environment.get("commit"),
        "python": environment.get("python"),
        "packages": environment.get("packages", {}),
        "hardware": environment.get("hardware", {}),
    }


def _run(checkpoint: Path) -> RunDirectory | None:
    folder = checkpoint.resolve().parent.parent
    return RunDirectory(folder) if (folder / "config.yaml").exists() else None
