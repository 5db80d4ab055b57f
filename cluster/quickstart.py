"""The whole of Ocelot in minutes: demonstrations, a policy pretrained on them, fine-tuning arms from it, a comparison.

Each stage leaves files in the quickstart's folder; given again, the same command skips what is done.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cluster.comparing import files as comparison_files
from cluster.comparing.aggregates import over_episodes
from cluster.comparing.comparison import Comparison, References, Row
from cluster.config import FinetuneConfig, PretrainConfig
from cluster.config_files import ConfigError, load
from cluster.players import player_returns
from cluster.progress import Progress
from cluster.quickstart_config import EXAMPLES, DemonstrationsConfig, QuickstartConfig, quickstart_config
from cluster.rundir import RunDirectory

PRETRAINED = "pretrained"


def quickstart(out: Path, seed: int = 0, arms: Sequence[str] | None = None, settings: Path = EXAMPLES) -> Comparison:
    """Runs all stages that are not done yet.

    Args:
        out: folder for runs, datasets and the comparison.
        seed: of demonstrations, initial weights, exploration and batches.
        arms: which of those that the settings name; None takes their default.
        settings: folder of the configurations.

    Returns:
        The comparison, which is also written to `out`.

    Raises:
        ConfigError: an unknown arm, or configurations that cannot be used.
        RunError: `out` holds the runs of another seed or configuration.
    """
    config = quickstart_config(settings)
    chosen = list(arms if arms is not None else config.default_arms)
    for arm in chosen:
        if arm not in config.arms:
            raise ConfigError(f"unknown arm '{arm}'; the quickstart has {', '.join(config.arms)}")
    # Datasets of its own: their names stay those of the configurations, whatever the seed.
    os.environ["MINARI_DATASETS_PATH"] = str((out / "datasets").resolve())
    (out / "datasets").mkdir(parents=True, exist_ok=True)
    record(config.demonstrations, seed)
    runs = [pretrained(settings / config.pretrain, out, seed)]
    for arm in chosen:
        runs.append(finetuned([settings / config.finetune, settings / config.arms[arm]], arm, runs[0], out, seed))
    gathered = comparison_files.gather([run.path for run in runs])
    rows = [*players(config, seed, gathered.references, out), *gathered.rows]
    comparison = comparison_files.complete(replace(gathered, rows=rows))
    # One seed says nothing of another run, but how well each checkpoint's own score is known is worth seeing.
    figures = over_episodes(comparison.aggregates, comparison.rows, comparison.references)
    comparison = replace(comparison, aggregates=figures)
    comparison_files.write(comparison, out)
    return comparison


def record(demonstrations: Sequence[DemonstrationsConfig], seed: int) -> None:
    """Records the demonstrations that are not there."""
    from actors.experts.collect import collect, default_dataset_id
    from replay.demonstrations import local_ids

    for wanted in demonstrations:
        if default_dataset_id(wanted.task, wanted.quality) in local_ids():
            continue
        with Progress(f"Recording {wanted.quality} {wanted.task}", wanted.episodes, "episodes") as progress:

            def show(done: int, of: int, progress: Progress = progress) -> None:
                progress.update(done)

            collect(wanted.task, wanted.quality, wanted.episodes, seed, progress=show)


def pretrained(file: Path, out: Path, seed: int) -> RunDirectory:
    """The run that clones the demonstrations of all tasks into one policy."""
    from cluster.pretrain import pretrain

    config = load(PretrainConfig, [file], _own(PRETRAINED, out, seed))
    run = RunDirectory.create(config)
    if not _done(run, config):
        pretrain(config, run)
    return run


def finetuned(files: Sequence[Path], arm: str, start: RunDirectory, out: Path, seed: int) -> RunDirectory:
    """The run of an arm, from the pretrained checkpoint."""
    from cluster.finetune import finetune

    config = load(FinetuneConfig, files, [*_own(arm, out, seed), f"checkpoint={start.path}"])
    run = RunDirectory.create(config)
    if not _done(run, config):
        finetune(config, run)
    return run


def players(config: QuickstartConfig, seed: int, references: References, out: Path) -> list[Row]:
    """Those whom the arms are held against: the random player, the expert, and the demonstrations as recorded."""
    rows = []
    for wanted in config.demonstrations:
        played = player_returns(wanted.task, wanted.quality, config.player_episodes, config.player_seed, out)
        for arm, returns in played.items():
            rows.append(Row.make(wanted.task, arm, returns, references[wanted.task], seed))
    return rows


def further(comparison: Comparison, out: Path) -> list[str]:
    """Commands to look further."""
    arm = next(row.arm for row in reversed(comparison.rows))
    return [
        f"ocelot monitor {out}",
        f"ocelot evaluate {out / arm} --episodes 100",
        f"ocelot domains {comparison.rows[0].task}",
        "ocelot finetune --help-config",
    ]


def _own(name: str, out: Path, seed: int) -> list[str]:
    return [f"run.name={name}", f"run.arm={name}", f"run.folder={out}", f"run.seed={seed}"]


def _done(run: RunDirectory, config: PretrainConfig | FinetuneConfig) -> bool:
    """Its last update has a checkpoint, and every task was evaluated after it at every temperature."""
    evaluated = [line for line in run.evaluations() if line["updates"] >= config.run.updates]
    return len(evaluated) >= len(config.tasks) * len(config.evaluation.temperatures)
