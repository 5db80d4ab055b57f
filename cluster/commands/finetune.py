"""ocelot finetune."""

from functools import partial
from typing import Annotated, Any

import typer

from cluster.commands.options import ConfigFiles, Json, Name, Overrides, help_config
from cluster.commands.training import carry_out


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
    from cluster.finetune import finetune as train

    with_cluster = partial(train, address=address, allow_open_replay=allow_open_replay)
    carry_out(_model(), with_cluster, config, set_, name, json)
