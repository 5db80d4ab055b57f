"""What can be played, and what is known of a task."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from policy.spaces import leaves


def known_tasks() -> list[str]:
    """Every task that is known by name."""
    from actors import domains

    return domains.names()


def describe_task(task: str) -> dict[str, Any]:
    """Spaces, tokens a step, qualities of demonstrations, reference scores.

    Raises:
        TaskError, SpaceError: an unknown task, or one whose spaces cannot become tokens.
    """
    from actors import domains
    from actors.experts import registry
    from cluster.reference_scores import find
    from policy.text import TextTokenizer

    layout = domains.task_layout(task, text=TextTokenizer.default())
    reference = find(task)
    return {
        "task": task,
        "observation": layout.observation,
        "action": layout.action,
        "observation_tokens": layout.observation_tokens,
        "action_tokens": layout.action_tokens,
        "step_tokens": layout.step_tokens,
        "discount": domains.discount(task),
        "demonstrations": registry.qualities(task),
        "reference": asdict(reference) if reference else None,
    }


def task_lines(description: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    yield description["task"]
    for part in ("observation", "action"):
        for name, space in leaves(description[part]):
            yield f"  {part}{f' {name}' if name else ''}: {_space(space)}"
    yield (
        f"  tokens a step: {description['step_tokens']} ({description['observation_tokens']} observation, 1 separator, "
        f"{description['action_tokens']} action)"
    )
    yield f"  discount: {description['discount']:g}"
    yield f"  demonstrations can be recorded in quality: {', '.join(description['demonstrations'])}"
    reference = description["reference"]
    known = f"random {reference['random']:.1f}, expert {reference['expert']:.1f}" if reference else "none measured"
    yield f"  mean returns that score 0 and 1: {known}"


def _space(space: dict[str, Any]) -> str:
    match space["kind"]:
        case "box":
            return f"box of shape {tuple(space['shape'])}, from {min(space['low']):g} to {max(space['high']):g}"
        case "discrete":
            return f"one of {space['n']}"
        case "multi_discrete":
            return f"each one of {space['nvec']}"
        case "multi_binary":
            return f"{space['n']} bits"
        case _:
            return f"{space['kind']} of at most {space['max_length']} characters"
