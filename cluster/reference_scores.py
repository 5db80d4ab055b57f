"""The returns that score 0 and 1 on a task, as they were measured."""

from cluster.comparing.comparison import ComparisonError, Reference


def find(task: str) -> Reference | None:
    """None where nobody measured them."""
    from actors.experts import references

    if task not in references.known():
        return None
    measured = references.load(task)
    return Reference(measured.random.mean, measured.expert.mean)


def required(task: str) -> Reference:
    """As `find`.

    Raises:
        ComparisonError: when nobody measured them.
    """
    known = find(task)
    if known is None:
        raise ComparisonError(f"{task} has no reference scores (`ocelot domains {task}`), so it has no score")
    return known
