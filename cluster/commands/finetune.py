"""ocelot finetune."""

from typing import Annotated, Any

import typer

from cluster.commands.options import ConfigFiles, Json, Name, Overrides, help_config, overrides, write_json


def _model() -> Any:
    from cluster.config import FinetuneConfig

    return FinetuneConfig


def finetune(
    config: ConfigFiles,
    set_: Overrides = None,
    name: Name = None,
    json: Json = None,
    address: Annotated[
        str | None,
        typer.Option(help="A Ray cluster that this machine is a node of: HOST:PORT or auto; else Ray for this run."),
    ] = None,
    allow_open_replay: Annotated[
        bool, typer.Option(help="Go on where anybody on a cluster's network could read and write replay.")
    ] = False,
    help_config: Annotated[bool, help_config(_model)] = False,
) -> None:
    """Trains a policy online: Ray, actors, policy server, replay, learner.

    Ctrl-C stops after a checkpoint, with exit status 130; the same command again resumes.
    """
    from cluster.config import FinetuneConfig
    from cluster.config_files import load
    from cluster.finetune import finetune as train
    from cluster.rundir import RunDirectory

    settings = load(FinetuneConfig, config, overrides(set_, name))
    run = RunDirectory.create(settings)
    train(settings, run, address, allow_open_replay)
    typer.echo(f"Run: {run.path}\nLook at it: ocelot monitor {run.path}")
    write_json(json, {"run": str(run.path), "evaluations": run.evaluations()})
