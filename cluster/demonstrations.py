"""What there is to say of a dataset of demonstrations."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from policy.layout import Layout
from replay.summary import Summary

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def task_of(summary: Summary, task: str | None) -> Layout | None:
    """The layout of its task; None where neither the person nor the dataset names one.

    Raises:
        TaskError, SpaceError: a task that is unknown here, or whose spaces cannot become tokens.
        DatasetError: the dataset was made for other spaces than the task has.
    """
    from actors import domains
    from policy.text import TextTokenizer
    from replay.demonstrations import Demonstrations

    name = task or summary.task
    if name is None:
        return None
    layout = domains.task_layout(name, text=TextTokenizer.default())
    Demonstrations(summary.dataset_id, layout)
    return layout


def describe(summary: Summary, layout: Layout | None) -> dict[str, Any]:
    """Episodes, steps, tokens, quantiles of returns and lengths, and what its maker wrote down; plain JSON."""
    steps = int(summary.lengths.sum())
    return {
        "dataset": summary.dataset_id,
        "task": None if layout is None else layout.task,
        **{key: summary.metadata.get(key) for key in ("quality", "expert", "seed", "versions", "filter")},
        "episodes": len(summary.lengths),
        "terminated": summary.terminated,
        "steps": steps,
        "step_tokens": None if layout is None else layout.step_tokens,
        "tokens": None if layout is None else steps * layout.step_tokens,
        "mean_return": float(summary.returns.mean()),
        "returns": np.quantile(summary.returns, QUANTILES).tolist(),
        "mean_length": float(summary.lengths.mean()),
        "lengths": np.quantile(summary.lengths, QUANTILES).tolist(),
    }


def lines(described: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    yield described["dataset"]
    yield f"  task: {described['task'] or 'not named; give --task for tokens and a filmstrip'}"
    made = [f"{key} {described[key]}" for key in ("quality", "expert", "seed") if described[key] is not None]
    if made:
        yield f"  made by: {', '.join(made)}"
    if described["filter"]:
        asked = described["filter"]
        yield (
            f"  filter: {asked['kept']} of {asked['played']} episodes return at least {asked['at_least']:.1f}; "
            f"the best {asked['window']} in a row {asked['expert_return']:.1f}"
        )
    yield f"  episodes: {described['episodes']}, {described['terminated']} of them ended by the task"
    yield f"  steps: {described['steps']:,}"
    if described["tokens"] is not None:
        yield f"  tokens: {described['tokens']:,}, {described['step_tokens']} a step"
    for name in ("return", "length"):
        quantiles = " ".join(f"{value:.1f}" for value in described[f"{name}s"])
        yield f"  {name}: mean {described[f'mean_{name}']:.1f}; least, quartiles and greatest {quantiles}"
