"""The smallest runs in which everything happens."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from learner.objectives import OBJECTIVES

CARTPOLE, PENDULUM = "gym/CartPole-v1", "gym/Pendulum-v1"

TASKS = [
    {"name": CARTPOLE, "datasets": ["ocelot/gym/CartPole-v1-random-v0"]},
    {"name": PENDULUM, "datasets": ["ocelot/gym/Pendulum-v1-random-v0"]},
]

# 48 tokens are 8 steps of CartPole and 9 of Pendulum: contexts slide within every episode.
PRETRAIN: dict[str, Any] = {
    "run": {"name": "pretrained", "updates": 12, "checkpoint_every": 6, "log_every": 3},
    "tasks": TASKS,
    "policy": {"layers": 2, "width": 32, "heads": 2, "feedforward": 64, "context": 48},
    "schedule": [{"objective": "bc", "batch": 8}],
    "evaluation": {"episodes": 0},
}

MIXED = {"expert": 0.5, "online": 0.5}

FINETUNE: dict[str, Any] = {
    "run": {"name": "finetuned", "updates": 24, "checkpoint_every": 8, "log_every": 4},
    "tasks": TASKS,
    "schedule": [{"objective": name, "batch": 8, "data": MIXED} for name in OBJECTIVES],
    "replay": {"tables": {"online": {"min_size": 8, "max_size": 200}, "expert": {"max_size": 100}}},
    "actors": {"processes": 2, "environments": 4, "steps": 1200},
    "server": {"publish_every": 4},
    "evaluation": {"episodes": 0},
}


def changed(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with sections changed key by key; names of nested keys are joined with "__"."""
    result = deepcopy(base)
    for path, value in changes.items():
        *sections, key = path.split("__")
        section = result
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = value
    return result


def write(file: Path, config: dict[str, Any]) -> Path:
    """A configuration as a YAML file."""
    file.write_text(yaml.safe_dump(config))
    return file
