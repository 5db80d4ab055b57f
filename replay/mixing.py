"""How much of each task there is in a mixture of demonstrations."""

from collections.abc import Mapping

from replay.errors import DatasetError


def shares(tasks: Mapping[str, float], domains: Mapping[str, float]) -> dict[str, float]:
    """The share of each task among the windows; they sum to 1.

    Args:
        tasks: weight by task (`domain/name`), at least 0.
        domains: weight by domain, at least 0: each domain has its share, which its tasks divide among themselves by
            their own weights (Gato's Table 1 weighs domains, arXiv 2205.06175). A domain that is left out weighs 1.
            Where no domain is named, tasks are weighed against each other whatever their domain.

    Raises:
        DatasetError: a domain without tasks, or weights that are negative or all 0.
    """
    of = {task: task.partition("/")[0] for task in tasks}
    unknown = sorted(set(domains) - set(of.values()))
    if unknown:
        known = ", ".join(sorted(set(of.values())))
        raise DatasetError(f"domain_weights names {', '.join(unknown)}, but there are only tasks of {known}")
    weights = dict(tasks)
    if domains:
        totals = {domain: sum(tasks[task] for task in tasks if of[task] == domain) for domain in set(of.values())}
        weights = {
            task: domains.get(of[task], 1.0) * weight / totals[of[task]] if weight else 0.0
            for task, weight in tasks.items()
        }
    total = sum(weights.values())
    if total <= 0 or min(weights.values()) < 0 or min(tasks.values()) < 0:
        raise DatasetError(f"weights {dict(tasks)} and {dict(domains)} must be at least 0, and one of them above")
    return {task: weight / total for task, weight in weights.items()}
