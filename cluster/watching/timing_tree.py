"""Where the time goes, as a tree of processes and their parts."""

from collections.abc import Iterator, Mapping

WIDTH = 20  # characters of a full bar


def timing_tree(values: Mapping[str, float]) -> str:
    """Lines of text from scalars by tag: those of time/PROCESS/PART and time/PROCESS/PART/SUBPART, shares of 1.

    What the parts of a process leave is its `rest`; a part with subparts needs no share of its own.
    """
    tree: dict[str, dict[str, dict[str, float]]] = {}
    for tag, share in values.items():
        group, *names = tag.split("/")
        if group == "time" and len(names) in (2, 3):
            parts = tree.setdefault(names[0], {}).setdefault(names[1], {})
            parts[names[2] if len(names) == 3 else ""] = share
    lines = []
    for process in sorted(tree):
        lines.append(process)
        shares = {part: subparts.get("", sum(subparts.values())) for part, subparts in tree[process].items()}
        rest = 1.0 - sum(shares.values())
        branches = [*shares.items(), *([("rest", rest)] if rest > 0.005 else [])]
        for (part, share), last in _with_last(branches):
            lines.append(_line("└ " if last else "├ ", part, share))
            subparts = [entry for entry in tree[process].get(part, {}).items() if entry[0]]
            for (name, small), final in _with_last(subparts):
                lines.append(_line(("  " if last else "│ ") + ("└ " if final else "├ "), name, small))
    return "\n".join(lines)


def _line(lead: str, name: str, share: float) -> str:
    return f"{lead + name:<18}{share:>6.1%}  {'█' * round(min(share, 1.0) * WIDTH)}".rstrip()


def _with_last(
    entries: list[tuple[str, float]],
) -> Iterator[tuple[tuple[str, float], bool]]:
    for index, entry in enumerate(entries):
        yield entry, index == len(entries) - 1
