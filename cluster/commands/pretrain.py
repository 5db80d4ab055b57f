"""ocelot pretrain."""

from typing import Annotated, Any

import typer

from cluster.commands.options import ConfigFiles, Json, Name, Overrides, help_config, overrides, write_json


def _model() -> Any:
    from cluster.config import PretrainConfig

    return PretrainConfig


def pretrain(
    config: ConfigFiles,
    set_: Overrides = None,
    name: Name = None,
    json: Json = None,
    help_config: Annotated[bool, help_config(_model)] = False,
) -> None:
    """Trains a policy offline, from demonstrations.

    Ctrl-C stops after a checkpoint, with exit status 130; the same command again resumes.
    """
    from cluster.config import PretrainConfig
    from cluster.config_files import load
    from cluster.pretrain import pretrain as train
    from cluster.rundir import RunDirectory

    settings = load(PretrainConfig, config, overrides(set_, name))
    run = RunDirectory.create(settings)
    checkpoint = train(settings, run)
    typer.echo(f"Checkpoint: {checkpoint}\nLook at the run: ocelot monitor {run.path}")
    write_json(json, {"run": str(run.path), "checkpoint": str(checkpoint), "evaluations": run.evaluations()})
