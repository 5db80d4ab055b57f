"""A checkpoint's card: sizes, tasks, scores where they are known, and where it comes from."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.progress import duration
from cluster.reference_scores import find
from cluster.rundir import RunDirectory
from cluster.scores import acting_name, scalars
from policy import checkpoint as files

if TYPE_CHECKING:
    from rich.console import RenderableType


def checkpoint_card(folder: Path) -> dict[str, Any]:
    """Everything that a checkpoint and the run around it say of it, as plain JSON.

    Raises:
        CheckpointError: it is none, or damaged.
    """
    loaded = files.load(folder)
    run = _run_of(folder)
    extra = dict(loaded.extra)
    provenance = extra.pop("provenance", None) or (run.provenance() if run else {})
    return {
        "checkpoint": str(folder),
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "weights_bytes": (folder / files.WEIGHTS).stat().st_size,
        "dtype": str(next(loaded.model.parameters()).dtype).removeprefix("torch."),
        "policy": asdict(loaded.model.config),
        "parameters": loaded.model.parameter_counts(),
        "text": loaded.text is not None,
        "tasks": {
            task: {
                "observation_tokens": layout.observation_tokens,
                "action_tokens": layout.action_tokens,
                "step_tokens": layout.step_tokens,
                "steps_in_context": loaded.model.config.context // layout.places,
                "scored": find(task) is not None,
            }
            for task, layout in loaded.layouts.items()
        },
        "scores": _scores(run, extra.get("updates")),
        "provenance": provenance,
        "notes": {name: value for name, value in extra.items() if name != "return_scales"},
    }


def card(found: dict[str, Any]) -> "RenderableType":
    """The same for a terminal."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table

    policy, parameters = found["policy"], found["parameters"]
    sizes = Table(box=None, show_header=False, pad_edge=False)
    sizes.add_row(
        "transformer",
        f"{policy['layers']} layers of width {policy['width']}, {policy['heads']} heads, feed-forward "
        f"{policy['feedforward']}, context {policy['context']} tokens",
    )
    total = sum(parameters.values())
    parts = ", ".join(f"{name} {count:,}" for name, count in parameters.items())
    sizes.add_row("parameters", f"{total:,}: {parts}")
    megabytes = f"{found['weights_bytes'] / 1e6:.1f} MB of weights ({found['dtype']})"
    sizes.add_row("on disk", f"{megabytes}, {found['bytes'] / 1e6:.1f} MB with the training state")
    sizes.add_row("text", "has a tokenizer" if found["text"] else "none of its tasks holds text")

    tasks = Table(box=None, pad_edge=False)
    tasks.add_column("task", overflow="fold")
    acting = (name.replace("temperature_", "t = ") for name in _columns(found["scores"]))
    for name in ("tokens a step", "steps in its context", *acting):
        tasks.add_column(name, justify="right")
    for task, about in found["tasks"].items():
        each = (
            f"{about['step_tokens']} ({about['observation_tokens']} + 1 + {about['action_tokens']})",
            str(about["steps_in_context"]),
        )
        scores = [_score(found["scores"], task, column) for column in _columns(found["scores"])]
        tasks.add_row(task, *each, *scores)

    origin = Table(box=None, show_header=False, pad_edge=False)
    for name, value in {**found["notes"], **found["provenance"]}.items():
        if name == "seconds" and isinstance(value, (int, float)):
            name, value = "trained for", duration(value)
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        origin.add_row(name.replace("_", " "), str(value))
    return Panel(
        Group(sizes, "", tasks, "", origin), title=found["checkpoint"], title_align="left", width=120, padding=(1, 2)
    )


def _run_of(folder: Path) -> RunDirectory | None:
    """The run that a checkpoint lies in; None for one that was copied elsewhere."""
    path = folder.resolve().parent.parent
    inside = folder.resolve().parent.name == "checkpoints" and (path / "config.yaml").exists()
    return RunDirectory(path) if inside else None


def _scores(run: RunDirectory | None, updates: int | None) -> dict[str, float]:
    """By tag of eval/, as the run evaluated this checkpoint."""
    if run is None:
        return {}
    return scalars([line for line in run.evaluations() if line["updates"] == updates])


def _columns(scores: dict[str, float]) -> list[str]:
    """Temperatures of the evaluations, in the names that tags give them."""
    found = {tag.rsplit("/", 1)[1] for tag in scores}
    return sorted(found, key=lambda name: name != acting_name(0))


def _score(scores: dict[str, float], task: str, acting: str) -> str:
    score, mean = scores.get(f"eval/score/{task}/{acting}"), scores.get(f"eval/return/{task}/{acting}")
    if mean is None:
        return "-"
    return f"{mean:,.1f}" + ("" if score is None else f" (score {score:.2f})")
