"""Settings of the quickstart, beside those of its runs: all are YAML files in examples/quickstart."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from cluster.config import NotNegative, Positive, Section
from cluster.config_files import ConfigError, load

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "quickstart"


class DemonstrationsConfig(Section):
    """Demonstrations of one task, recorded live."""

    task: str
    """The task."""
    quality: str = "medium"
    """random, medium, expert or mixed, in D4RL's sense."""
    episodes: Positive = 100
    """Episodes to record."""


class QuickstartConfig(Section):
    """What the quickstart does; the file names are relative to its own."""

    demonstrations: Annotated[list[DemonstrationsConfig], Field(min_length=1)]
    """What is recorded first."""
    pretrain: str
    """Configuration of `ocelot pretrain`."""
    finetune: str
    """Configuration of `ocelot finetune` that the arms share."""
    arms: dict[str, str]
    """By arm, the file with what it changes."""
    default_arms: list[str]
    """Arms that are run when nobody says otherwise."""
    player_episodes: Positive = 50
    """Episodes of the random player and of the expert."""
    player_seed: NotNegative = 10_000
    """Seed of those episodes."""


def quickstart_config(folder: Path) -> QuickstartConfig:
    """The settings in a folder such as examples/quickstart.

    Raises:
        ConfigError: when they are not there or cannot be used.
    """
    file = folder / "quickstart.yaml"
    if not file.exists():
        raise ConfigError(
            f"{file}: no such file; its settings are in the folder examples/quickstart of a checkout of Ocelot"
        )
    return load(QuickstartConfig, [file])
