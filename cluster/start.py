"""Where a run begins: its policy, the layouts of its tasks, and what the learner must know of them."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster.config import TaskConfig
from learner.types import TaskInfo
from policy import checkpoint
from policy.config import PolicyConfig
from policy.errors import CheckpointError
from policy.layout import Layout
from policy.model import Policy
from policy.returns import ReturnScale
from policy.spaces import difference, leaves
from policy.text import TextTokenizer
from policy.vocabulary import VOCABULARIES

TRAINING_STATE = "training_state"


@dataclass
class Start:
    """What every process of a run is made from. Small enough to be sent to each, the policy aside."""

    model: Policy
    layouts: dict[str, Layout]
    tasks: dict[str, TaskInfo]
    text: TextTokenizer | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """What the checkpoint's writer noted."""

    def save(self, folder: Path, model: Policy, extra: dict[str, Any]) -> None:
        """Writes the files of a checkpoint that acting needs."""
        scales = {
            task: [info.return_scale.low, info.return_scale.high]
            for task, info in self.tasks.items()
            if info.return_scale is not None
        }
        checkpoint.save(folder, model, self.layouts, self.text, {"return_scales": scales, **extra})


def fresh(
    config: PolicyConfig, tasks: Sequence[TaskConfig], text: str | None, seed: int, reads_text: bool = False
) -> Start:
    """A policy with random weights for some tasks.

    Args:
        config: its sizes.
        tasks: that it will know.
        text: a text tokenizer's file; None: the one that ships.
        seed: of the weights.
        reads_text: there is a tokenizer even where no task has text.

    Raises:
        TaskError, SpaceError: for a task that is unknown or cannot become tokens.
    """
    tokenizer = _tokenizer(text) if reads_text else None
    layouts, tokenizer = _layouts(tasks, config, text, tokenizer)
    return Start(weights(config, seed, None), layouts, _infos(tasks, layouts, {}), tokenizer)


def from_checkpoint(folder: Path, tasks: Sequence[TaskConfig]) -> Start:
    """The policy of a checkpoint, for tasks that it knows and for new ones.

    Raises:
        CheckpointError: when the checkpoint is damaged, or was made for other spaces of one of the tasks.
    """
    loaded = checkpoint.load(folder)
    found, tokenizer = _layouts(tasks, loaded.model.config, None, loaded.text)
    for task, layout in found.items():
        known = loaded.layouts.get(task)
        if known is not None and known.to_json() != layout.to_json():
            raise CheckpointError(
                f"{folder} was made for another layout of {task}: {_difference(known, layout)}; install the versions "
                "of the environment and of ocelot that it was trained with, or pretrain anew"
            )
    layouts = loaded.layouts | found
    scales = {task: ReturnScale(low, high) for task, (low, high) in loaded.extra.get("return_scales", {}).items()}
    return Start(loaded.model, layouts, _infos(tasks, layouts, scales), tokenizer or loaded.text, loaded.extra)


def without_weights(start: Start) -> Start:
    """The same, small enough to be sent: its policy has sizes and no weights."""
    import torch

    with torch.device("meta"):
        return replace(start, model=Policy(start.model.config))


def weights(config: PolicyConfig, seed: int, resume: Path | None) -> Policy:
    """The policy that `fresh` makes of these sizes and this seed, or that of a checkpoint.

    Raises:
        CheckpointError: when the checkpoint is damaged.
    """
    import torch

    if resume is not None:
        return checkpoint.load(resume).model
    torch.manual_seed(seed)
    return Policy(config)


def _layouts(
    tasks: Sequence[TaskConfig], config: PolicyConfig, text: str | None, tokenizer: TextTokenizer | None = None
) -> tuple[dict[str, Layout], TextTokenizer | None]:
    """The layouts of the tasks as they are on this machine, and the tokenizer if one of them holds text."""
    from actors import domains
    from actors.spaces import describe

    layouts = {}
    for task in tasks:
        with contextlib.closing(domains.make(task.name)) as env:
            observation = describe(env.observation_space, task.name)
            action = describe(env.action_space, task.name)
        if tokenizer is None and any(leaf["kind"] == "text" for _, leaf in leaves(observation)):
            tokenizer = _tokenizer(text)
        layouts[task.name] = Layout(
            task.name,
            observation,
            action,
            config.action_bins,
            VOCABULARIES[config.vocabulary],
            tokenizer,
            task.text_tokens,
            task.image_size,
            config.vectors,
        )
    return layouts, tokenizer


def _tokenizer(text: str | None) -> TextTokenizer:
    return TextTokenizer.load(text) if text else TextTokenizer.default()


def _infos(
    tasks: Sequence[TaskConfig], layouts: dict[str, Layout], scales: dict[str, ReturnScale]
) -> dict[str, TaskInfo]:
    return {
        task.name: TaskInfo(task.discount, _return_scale(task, layouts[task.name], scales.get(task.name)))
        for task in tasks
    }


def _return_scale(task: TaskConfig, layout: Layout, known: ReturnScale | None) -> ReturnScale | None:
    """As the configuration says, or as the checkpoint's return tokens mean, or from the demonstrations."""
    from replay.demonstrations import load

    if task.returns is not None:
        return ReturnScale(*task.returns)
    if known is not None or not task.datasets:
        return known
    returns = np.concatenate([episode.returns_to_go for name in task.datasets for episode in load(name, layout)])
    low, high = np.quantile(returns, [0.005, 0.995])
    return ReturnScale(float(low), float(high))


def _difference(known: Layout, now: Layout) -> str:
    one, other = known.to_json(), now.to_json()
    key = next(key for key in one if one[key] != other[key])
    if key in ("observation", "action"):
        return f"of its {key}, {difference(one[key], other[key])}"
    return f"its {key} was {one[key]}, is now {other[key]}"
