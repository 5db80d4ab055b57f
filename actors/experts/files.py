"""Where experts' files are: those that come with Ocelot, and a person's own."""

import json
import os
from pathlib import Path
from typing import Any

from actors.experts.network import Network
from actors.experts.types import ExpertError

SHIPPED = Path(__file__).parent / "data"

OWN_VARIABLE = "OCELOT_EXPERTS_PATH"


def own_folder() -> Path:
    """The person's own experts: $OCELOT_EXPERTS_PATH, or ~/.ocelot/experts."""
    return Path(os.environ.get(OWN_VARIABLE) or Path.home() / ".ocelot" / "experts")


def stem(task: str) -> str:
    """A task as it stands in names of files and datasets: `gym/my_package:MyEnv-v0` is gym-my_package-MyEnv-v0."""
    return task.replace("/", "-").replace(":", "-")


def network_path(folder: Path, task: str, quality: str) -> Path:
    """The file of a task's network; its sidecar has the same name and ends in .json."""
    return folder / f"{stem(task)}-{quality}.safetensors"


def save_network(path: Path, network: Network, about: dict[str, Any]) -> None:
    """Writes a network's file and its sidecar; whoever finds the network finds the sidecar."""
    write_json(path.with_suffix(".json"), about)
    partial = path.with_suffix(".partial")
    network.save(partial)
    partial.replace(path)


def load_about(path: Path) -> dict[str, Any]:
    """The sidecar of a network's file.

    Raises:
        ExpertError: when it is missing, is not JSON, or lacks what a data set's metadata needs.
    """
    sidecar = path.with_suffix(".json")
    try:
        about = json.loads(sidecar.read_text())
        return {"algorithm": str(about["algorithm"]), **about}
    except FileNotFoundError:
        raise ExpertError(f"{path}: its description {sidecar.name} is missing; train the expert again") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ExpertError(f"{sidecar}: not the description of an expert ({error!r}); train the expert again") from None


def read_json(path: Path) -> dict[str, Any]:
    """A file of `write_json`; {} where there is none.

    Raises:
        ExpertError: when it holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ExpertError(f"{path}: not JSON ({error}); restore it, or delete it and begin anew") from None
    if not isinstance(content, dict):
        raise ExpertError(f"{path}: not a table; delete it and begin anew")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a whole file or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # other processes may write it at the same time
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
