"""Settings of a study: which arms are held against each other, on which tasks, with how many seeds."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from cluster.config import NotNegative, Positive, Section
from cluster.config_files import load
from cluster.quickstart_config import DemonstrationsConfig


class GroupConfig(Section):
    """Tasks that one policy learns together, and the arms from it. File names are relative to the study's file."""

    demonstrations: Annotated[list[DemonstrationsConfig], Field(min_length=1)]
    """Recorded once; every arm and seed has the same."""
    pretrain: Annotated[list[str], Field(min_length=1)]
    """Configuration of `ocelot pretrain`, as one file or several over one another."""
    finetune: Annotated[list[str], Field(min_length=1)]
    """Configuration of `ocelot finetune` that the arms share."""
    arms: Annotated[dict[str, list[str]], Field(min_length=1)]
    """By arm, the files with what it changes."""


class StudyConfig(Section):
    """A study: for every seed and group one pretrained policy, and every arm from it."""

    groups: Annotated[dict[str, GroupConfig], Field(min_length=1)]
    """By name."""
    folder: str
    """Where runs and demonstrations are; large."""
    results: str
    """Where rows, figures and the page go; small, and meant to be committed."""
    seeds: Annotated[list[NotNegative], Field(min_length=1)]
    """Of the runs, one after the other in each group."""
    demonstrations_seed: NotNegative = 0
    """Of the demonstrations."""
    player_episodes: Positive = 50
    """Episodes of the random player and of the expert."""
    player_seed: NotNegative = 10_000
    """Of those episodes."""
    floors: dict[str, float] = Field(default_factory=dict)
    """By task, the mean return that its reference expert must have; a study on weaker experts is refused."""
    hours: Annotated[float, Field(ge=0)] | None = None
    """Stop after so many hours; the same command goes on. 0: run nothing, write the results. null: when all is done."""


def study_config(file: Path, seeds: list[int] | None = None, hours: float | None = None) -> StudyConfig:
    """The settings in a file. With other seeds the results and runs go to folders beside those of the file's own.

    Raises:
        ConfigError: when the file is not there or cannot be used.
    """
    config = load(StudyConfig, [file])
    changes: dict = {} if hours is None else {"hours": hours}
    if seeds is not None and seeds != config.seeds:
        suffix = f"-seeds-{'-'.join(map(str, seeds))}"
        changes |= {"seeds": seeds, "folder": config.folder + suffix, "results": config.results + suffix}
    return config.model_copy(update=changes)
