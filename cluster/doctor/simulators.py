"""Checks of the simulators: the first step of one task of each domain, and rendering."""

import os

from cluster.doctor.types import Finding


def domain_checks() -> dict[str, str]:
    """Name of the check of each domain that is registered, and the domain."""
    from actors.domains import DOMAINS

    return {f"domain {domain}": domain for domain in DOMAINS}


def first_step(domain: str) -> Finding:
    """One reset and one step of the domain's first task, through its tokens."""
    from actors.domains import DOMAINS, make, packages, task_layout
    from actors.errors import TaskError
    from policy.errors import SpaceError
    from policy.text import TextTokenizer

    name = f"domain {domain}"
    try:
        task = f"{domain}/{DOMAINS[domain].names()[0]}"
        env = make(task)
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.close()
        layout = task_layout(task, text=TextTokenizer.default())
    except (TaskError, SpaceError) as error:
        return Finding(name, "failed", "does not run", str(error))
    return Finding(name, "ok", f"{task}: {layout.step_tokens} tokens a step ({', '.join(packages(task))})")


def rendering() -> Finding:
    """MuJoCo draws an image, which pixel tasks and videos need."""
    from actors import rendering
    from actors.errors import TaskError

    try:
        rendering.require("tasks seen as images, and videos")
    except TaskError as error:
        return Finding("rendering", "warning", "MuJoCo cannot draw here", str(error))
    return Finding("rendering", "ok", f"MuJoCo draws with {os.environ[rendering.VARIABLE]}")
