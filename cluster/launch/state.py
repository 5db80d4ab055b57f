"""What this machine knows of the clusters that it launched: a folder for each, which only its user may enter."""

import json
import os
from pathlib import Path
from typing import Any

from cluster.config_files import dump, load
from cluster.launch.config import ClusterConfig
from policy.errors import OcelotError


class LaunchError(OcelotError):
    """A cluster that cannot be made, found or reached."""


class ClusterState:
    """Files of one cluster.

    Args:
        name: of the cluster.
    """

    def __init__(self, name: str):
        self.name = name
        self.folder = Path(os.environ.get("OCELOT_HOME", Path.home() / ".ocelot")) / "clusters" / name
        self.token = self.folder / "token"
        self.log = self.folder / "ray.log"

    def create(self, config: ClusterConfig) -> None:
        """Notes a cluster's configuration."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.write("cluster.yaml", dump(config))

    def config(self) -> ClusterConfig:
        """The configuration noted.

        Raises:
            LaunchError: when there is no such cluster.
        """
        if not (self.folder / "cluster.yaml").exists():
            known = sorted(each.parent.name for each in self.folder.parent.glob("*/cluster.yaml"))
            raise LaunchError(
                f"no cluster '{self.name}' was launched from this machine; there is "
                f"{', '.join(known) or 'none'}. `ocelot cluster up [FILE]` launches one"
            )
        return load(ClusterConfig, [self.folder / "cluster.yaml"])

    def write(self, name: str, text: str) -> Path:
        """Writes a file for this user alone, whole or not at all."""
        part = self.folder / f".{name}"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        part.replace(self.folder / name)
        return self.folder / name

    def note(self, **values: Any) -> None:
        """Adds to what `noted` gives."""
        self.write("state.json", json.dumps(self.noted() | values))

    def noted(self) -> dict[str, Any]:
        """What was noted of the running cluster; {} when none runs."""
        file = self.folder / "state.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def forget(self) -> None:
        """Deletes what `noted` gives."""
        (self.folder / "state.json").unlink(missing_ok=True)
