"""An episode as the policy sees it: tokens in colour, and what each stands for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cluster.inspecting.errors import InspectError
from policy import continuous
from policy.layout import Layout
from policy.vocabulary import Vocabulary

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from policy.leaf import Leaf
    from replay.trajectory import Trajectory

COLOURS = {
    "text": "green",
    "patch": "magenta",
    "continuous": "cyan",
    "discrete": "yellow",
    "return": "bright_red",
    "separator": "white on blue",
    "padding": "dim",
}
MOST = 24  # tokens of one part that are written out


@dataclass(frozen=True)
class Token:
    """One token of an episode."""

    id: int
    kind: str
    """text, patch, continuous, discrete, return, separator or padding."""
    meaning: str
    """The value that it stands for; empty where it has none."""


def kind_of(token: int, vocabulary: Vocabulary) -> str:
    """Which range of the vocabulary an id lies in."""
    if token in vocabulary.continuous:
        return "continuous"
    if token in vocabulary.discrete:
        return "discrete"
    if token in vocabulary.returns:
        return "return"
    if token in vocabulary.text:
        return "text"
    return {vocabulary.separator: "separator", vocabulary.pad: "padding", vocabulary.patch: "patch"}[token]


def load_episode(dataset_id: str, task: str | None, number: int) -> tuple[Layout, "Trajectory"]:
    """One episode of a local Minari dataset, and the layout of its task.

    Args:
        task: None takes what the dataset says.

    Raises:
        DatasetError: no such dataset.
        InspectError: no such episode, or nobody knows the task.
    """
    from actors import domains
    from policy.text import TextTokenizer
    from replay.demonstrations import Demonstrations, open_dataset

    task = task or open_dataset(dataset_id).storage.metadata.get("task")
    if task is None:
        raise InspectError(f"dataset '{dataset_id}' does not say on which task it was recorded; name it with --task")
    layout = domains.task_layout(task, text=TextTokenizer.default())
    episodes = Demonstrations(dataset_id, layout)
    if not 0 <= number < len(episodes):
        raise InspectError(f"dataset '{dataset_id}' has episodes 0 to {len(episodes) - 1}, and none of number {number}")
    return layout, episodes.episode(number)


def steps(layout: Layout, episode: "Trajectory") -> list[dict[str, list[Token]]]:
    """The tokens of each step, by part of the observation ("observation/KEY"), "separator", and part of the action."""
    return [_step(layout, row) for row in episode.tokens]


def _step(layout: Layout, row: np.ndarray) -> dict[str, list[Token]]:
    parts: dict[str, list[Token]] = {}
    at = 0
    for leaf in layout.observation_leaves:
        ids = row[at : at + leaf.size]
        parts[_name("observation", leaf)] = _tokens(ids, _observed(layout, leaf, ids), layout.vocabulary)
        at += leaf.size
    parts["separator"] = _tokens(row[at : at + 1], [""], layout.vocabulary)
    at += 1
    for leaf in layout.action_leaves:
        ids = row[at : at + leaf.size]
        parts[_name("action", leaf)] = _tokens(ids, _acted(layout, leaf, ids), layout.vocabulary)
        at += leaf.size
    return parts


def _name(part: str, leaf: "Leaf") -> str:
    return f"{part}/{leaf.name}" if leaf.name else part


def _tokens(ids: np.ndarray, meanings: list[str], vocabulary: Vocabulary) -> list[Token]:
    return [
        Token(int(token), kind_of(int(token), vocabulary), meaning)
        for token, meaning in zip(ids, meanings, strict=True)
    ]


def _observed(layout: Layout, leaf: "Leaf", ids: np.ndarray) -> list[str]:
    if leaf.kind == "continuous":
        values = continuous.to_values(ids - layout.numbers.start)
        return [f"{value:.3g}" for value in (continuous.inverse_mu_law(values) if leaf.companded else values)]
    if leaf.kind == "discrete":
        return [f"{value:g}" for value in ids - layout.vocabulary.discrete.start + leaf.low]
    if leaf.kind == "text":
        assert layout.text is not None
        return ["" if token == layout.vocabulary.pad else layout.text.decode([int(token)]) for token in ids]
    return [""] * len(ids)


def _acted(layout: Layout, leaf: "Leaf", ids: np.ndarray) -> list[str]:
    if leaf.kind == "continuous":
        unit = continuous.to_values(ids - layout.vocabulary.continuous.start, layout.action_bins)
        return [f"{value:.3g}" for value in leaf.low + (unit + 1.0) / 2.0 * (leaf.high - leaf.low)]
    return [f"{value:g}" for value in ids - layout.vocabulary.discrete.start + leaf.low]


def legend(vocabulary: Vocabulary) -> "RenderableType":
    """Which ids are what."""
    from rich.text import Text

    ranges = {
        "text": vocabulary.text,
        "continuous": vocabulary.continuous,
        "discrete": vocabulary.discrete,
        "return": vocabulary.returns,
    }
    line = Text()
    for name, ids in ranges.items():
        line.append(f"{name} {ids.start}-{ids.stop - 1}", COLOURS[name]).append("   ")
    for name, token in (
        ("separator", vocabulary.separator),
        ("padding", vocabulary.pad),
        ("patch", vocabulary.patch),
    ):
        line.append(f"{name} {token}", COLOURS[name]).append("   ")
    return line


def drawn(layout: Layout, episode: "Trajectory", most: int) -> "RenderableType":
    """The first `most` steps for a terminal: each token's id, and the value that it stands for."""
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, justify in (("step", "right"), ("reward", "right"), ("return to go", "right"), ("part", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("tokens")
    for number, parts in enumerate(steps(layout, episode)[:most]):
        first = f"{number}", f"{episode.rewards[number]:.3g}", f"{episode.returns_to_go[number]:,.4g}"
        for index, (name, tokens) in enumerate(parts.items()):
            table.add_row(*(first if index == 0 else ("", "", "")), name, _drawn_tokens(tokens))
    ends = "ended by the task" if episode.terminated else "cut off by a limit"
    about = (
        f"{layout.task}, episode {episode.episode}: {len(episode)} steps of {layout.step_tokens} tokens, return "
        f"{episode.episode_return:,.4g}, {ends}"
    )
    more = f"... and {len(episode) - most:,} steps more (--steps)" if len(episode) > most else ""
    return Group(about, legend(layout.vocabulary), "", table, more)


def _drawn_tokens(tokens: list[Token]) -> "Text":
    from rich.text import Text

    line = Text()
    for token in tokens[:MOST]:
        line.append(f"{token.id}", COLOURS[token.kind])
        line.append(f" {token.meaning}  " if token.meaning else "  ", "dim")
    if len(tokens) > MOST:
        line.append(f"... {len(tokens)} in all", "dim")
    return line
