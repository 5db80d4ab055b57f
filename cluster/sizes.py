"""Numbers of parameters of a policy by part, counted without making it."""

from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from cluster.config_files import ConfigError
from policy.config import PolicyConfig

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "sizes"


def count(file: Path) -> dict[str, int]:
    """Parameters by part of the policy that a YAML file's section `policy` describes.

    Raises:
        ConfigError: when the file is missing, holds no such section, or one that no policy can have.
    """
    import torch

    from policy.model import Policy

    try:
        data = yaml.safe_load(file.read_text())
        fields = data["policy"]
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError):
        raise ConfigError(f"{file}: it must be YAML with a section `policy`, as the files in examples/sizes") from None
    try:
        config = TypeAdapter(PolicyConfig).validate_python(fields)
    except ValidationError as error:
        raise ConfigError(f"{file}, section policy: {error.errors()[0]['msg']} ({error.errors()[0]['loc']})") from None
    with torch.device("meta"):
        return Policy(config).parameter_counts()
