"""Returns of players that are no policy of ours: random actions, demonstrations, experts."""

import json
from pathlib import Path

from cluster.rundir import writing


def player_returns(task: str, quality: str, episodes: int, seed: int, folder: Path) -> dict[str, list[float]]:
    """The returns of `random` and `expert`, played now, and of `demonstrations`, as their dataset holds them.

    Args:
        task: the task.
        quality: of the demonstrations, whose dataset has its default id.
        episodes: of each player.
        seed: of the environments.
        folder: a file there keeps the returns, so that they are played once.
    """
    from actors import domains
    from actors.experts.collect import default_dataset_id
    from actors.experts.files import stem
    from actors.experts.play import play
    from actors.experts.registry import expert
    from policy.text import TextTokenizer
    from replay.demonstrations import load

    file = folder / f"players-{stem(task)}.json"
    if file.exists():
        return json.loads(file.read_text())
    layout = domains.task_layout(task, text=TextTokenizer.default())
    dataset = load(default_dataset_id(task, quality), layout)
    returns = {"demonstrations": [float(episode.returns_to_go[0]) for episode in dataset]}
    for player in ("random", "expert"):
        returns[player] = [episode.total for episode in play(expert(layout, player, seed), layout, episodes, seed)]
    with writing(file):
        file.write_text(json.dumps(returns) + "\n")
    return returns
