"""ocelot pretrain."""

from typing import Annotated, Any

from cluster.commands.options import ConfigFiles, Json, Name, Overrides, help_config
from cluster.commands.training import carry_out


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
    from cluster.pretrain import pretrain as train

    carry_out(_model(), train, config, set_, name, json)
