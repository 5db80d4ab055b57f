"""What can be played, and what is known of a task."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from policy.spaces import in_words, leaves


def known_tasks() -> list[str]:
    """Every task that is known by name."""
    from actors import domains

    return domains.names()


def missing_domains() -> dict[str, str]:
    """Domains that do not load on this machine, and why."""
    from actors import domains

    return domains.missing()


def list_lines(tasks: list[str]) -> Iterator[str]:
    """A paragraph for each domain: its name, how many tasks it has, and their names."""
    by_domain: dict[str, list[str]] = {}
    for task in tasks:
        domain, _, name = task.partition("/")
        by_domain.setdefault(domain, []).append(name)
    for domain, names in by_domain.items():
        yield f"{domain}/ ({len(names)})"
        yield textwrap.fill("  ".join(names), 118, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def describe_task(task: str) -> dict[str, Any]:
    """Spaces, tokens a step, qualities of demonstrations, reference scores.

    Raises:
        TaskError, SpaceError: an unknown task, or one whose spaces cannot become tokens.
    """
    from actors import domains
    from actors.experts import registry
    from actors.experts.versions import versions
    from cluster.reference_scores import find, why_not
    from policy.text import TextTokenizer

    layout = domains.task_layout(task, text=TextTokenizer.default())
    reference = find(task)
    return {
        "task": task,
        "observation": layout.observation,
        "action": layout.action,
        "observation_tokens": layout.observation_tokens,
        "patches": layout.patches,
        "text_tokens": sum(leaf.size for leaf in layout.observation_leaves if leaf.kind == "text"),
        "action_tokens": layout.action_tokens,
        "step_tokens": layout.step_tokens,
        "discount": domains.discount(task),
        "versions": versions(task),
        "demonstrations": registry.qualities(task),
        "reference": asdict(reference) if reference else None,
        "unscored": None if reference else why_not(task),
    }


def task_lines(description: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    yield description["task"]
    for part in ("observation", "action"):
        for name, space in leaves(description[part]):
            yield f"  {part}{f' {name}' if name else ''}: {in_words(space)}"
    parts = {"text": description["text_tokens"], "image patches": description["patches"]}
    kinds = [f"{count} {kind}" for kind, count in parts.items() if count]
    observed = f"{description['observation_tokens']} observation"
    if kinds:
        observed += f" (with {' and '.join(kinds)})"
    action = f"1 separator, {description['action_tokens']} action"
    yield f"  tokens a step: {description['step_tokens']} ({observed}, {action})"
    yield f"  depends on: {', '.join(f'{name} {version}' for name, version in description['versions'].items())}"
    yield f"  discount: {description['discount']:g}"
    yield f"  demonstrations can be recorded in quality: {', '.join(description['demonstrations'])}"
    reference = description["reference"]
    if reference is None:
        yield f"  no score: {description['unscored']}"
        return
    yield f"  mean returns that score 0 and 1: random {reference['random']:.1f}, expert {reference['expert']:.1f}"
    if reference["published"]:
        yield f"  they were not measured here but published, under another protocol: {reference['published']}"
