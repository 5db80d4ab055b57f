"""A run is one directory: configuration, environment, events, evaluations, checkpoints.

A checkpoint is a folder whose file `complete` is written last: without that file it does not exist.
"""

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cluster.config_files import difference, dump, read_yaml
from cluster.environment import describe_environment
from policy.errors import OcelotError

COMPLETE = "complete"
SHOWN = 6  # settings that a message names
FULL = (errno.ENOSPC, errno.EDQUOT)
SIZES = (
    "run.learner_threads",
    "run.keep_checkpoints",
    "learner.accumulation",
    "learner.checkpointing",
    "learner.compile",
    "parallel.workers",
    "parallel.backend",
    "parallel.sharding",
    "actors.processes",
    "actors.min_processes",
    "actors.environments",
    "actors.cpus",
    "actors.silent",
    "server.replicas",
    "server.slots",
    "server.threads",
    "replay.port",
    "replay.gates",
    "replay.patience",
    "replay.checkpoint_seconds",
)
"""Settings that fit a run to its machines, and may be others when it goes on."""


class RunError(OcelotError):
    """A run directory that cannot be used as asked."""


class DiskFull(RunError):
    """There is no room to write."""


def without_sizes(changes: list[str]) -> list[str]:
    """Of what `difference` found, what makes another run: not how large the machine is, nor what it costs there."""
    return [change for change in changes if change.split(":")[0] not in SIZES]


class RunDirectory:
    """One run's directory. `create` makes or resumes it, `open` reads one that exists."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def create(cls, config: Any) -> "RunDirectory":
        """The directory of a configuration's run; the same configuration again, on more or fewer machines, resumes it.

        Args:
            config: a PretrainConfig or FinetuneConfig.

        Raises:
            RunError: when the directory exists and belongs to another configuration.
        """
        run = cls(Path(config.run.folder) / config.run.name)
        text = dump(config)
        file = run.path / "config.yaml"
        if file.exists():
            changes = difference(read_yaml(file), config.model_dump(mode="json"))
            others = without_sizes(changes)
            if others and run.begun():
                more = f"; {len(others) - SHOWN} more" if len(others) > SHOWN else ""
                raise RunError(
                    f"{run.path} exists and was made with another configuration ({'; '.join(others[:SHOWN])}{more}); "
                    "give this run another name (--name) or folder (--out of the quickstart), or delete that directory"
                )
            if changes:
                with writing(run.path):
                    (run.path / ".config.yaml").write_text(text)
                    (run.path / ".config.yaml").replace(file)
            return run
        if run.path.exists() and any(run.path.iterdir()):
            raise RunError(f"{run.path} exists and is no run; give this run another name (--name NEW)")
        run.path.mkdir(parents=True, exist_ok=True)
        with writing(run.path):
            environment = {"seed": config.run.seed, **describe_environment()}
            (run.path / "environment.json").write_text(json.dumps(environment, indent=2) + "\n")
            file.write_text(text)
        return run

    @classmethod
    def open(cls, path: str | Path) -> "RunDirectory":
        """A run that exists.

        Raises:
            RunError: when there is none.
        """
        path = Path(path)
        if not (path / "config.yaml").exists():
            raise RunError(f"{path} is no run directory: it has no config.yaml")
        return cls(path)

    def begun(self) -> bool:
        """Whether there is something to lose; an error before the first update leaves a configuration and no more."""
        return any(any(self.path.glob(files)) for files in ("events.out*", "evaluations.jsonl", "checkpoints/*"))

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    def complete_checkpoints(self) -> list[Path]:
        """Checkpoints that exist, oldest first."""
        found = [file.parent for file in self.checkpoints.glob(f"step_*/{COMPLETE}")]
        return sorted(found, key=lambda folder: int(folder.name.removeprefix("step_")))

    def latest_checkpoint(self) -> Path | None:
        """The newest checkpoint that exists; whatever the link `latest` says."""
        found = self.complete_checkpoints()
        return found[-1] if found else None

    def checkpoint(self, step: int) -> Path:
        """The folder of a checkpoint after so many updates, whether it exists or not."""
        return self.checkpoints / f"step_{step:06d}"

    @staticmethod
    def is_complete(folder: Path) -> bool:
        """Whether a checkpoint exists."""
        return (folder / COMPLETE).exists()

    def save_checkpoint(self, step: int, write: Callable[[Path], None], keep: int) -> Path:
        """Writes a checkpoint and deletes those that are too old.

        Args:
            step: learner updates so far.
            write: writes everything but `complete` into the folder that it is given.
            keep: so many checkpoints stay.

        Raises:
            RunError: when the disk is full; earlier checkpoints are still there.
        """
        folder = self.checkpoint(step)
        if self.is_complete(folder):
            return folder
        with writing(self.path):
            shutil.rmtree(folder, ignore_errors=True)  # a left-over of an attempt that was cut short
            folder.mkdir(parents=True)
            try:
                write(folder)
                _flush(folder)
                (folder / COMPLETE).touch()
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)  # gives its space back
                raise
            self._link_latest(folder)
        for old in self.complete_checkpoints()[:-keep]:
            (old / COMPLETE).unlink()  # first: half-deleted, it must not exist
            shutil.rmtree(old)
        return folder

    def note(self, **facts: Any) -> None:
        """Adds to environment.json."""
        file = self.path / "environment.json"
        known = json.loads(file.read_text())
        with writing(self.path):
            new = file.with_name(".environment.json")
            new.write_text(json.dumps(known | facts, indent=2) + "\n")
            new.replace(file)

    def provenance(self) -> dict[str, Any]:
        """What its checkpoints carry of where they come from: run, commit, versions, and the start of the run."""
        known = json.loads((self.path / "environment.json").read_text())
        told = ("commit", "changed_files", "packages", "start")
        return {"run": self.path.name} | {name: known[name] for name in told if name in known}

    def add_evaluation(self, row: dict[str, Any]) -> None:
        """Appends one line to evaluations.jsonl.

        Raises:
            RunError: when the disk is full.
        """
        with writing(self.path), open(self.path / "evaluations.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")

    def evaluations(self) -> list[dict[str, Any]]:
        """All lines of evaluations.jsonl; a last line that was cut short is left out."""
        file = self.path / "evaluations.jsonl"
        rows = []
        for line in file.read_text().splitlines() if file.exists() else []:
            with contextlib.suppress(json.JSONDecodeError):
                rows.append(json.loads(line))
        return rows

    @contextlib.contextmanager
    def logging(self) -> Iterator[logging.Logger]:
        """The logger "ocelot", written to ocelot.log while the context lasts."""
        logger = logging.getLogger("ocelot")
        handler = logging.FileHandler(self.path / "ocelot.log")
        handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk costs lines, not the run
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield logger
        finally:
            logger.removeHandler(handler)
            handler.close()

    def _link_latest(self, folder: Path) -> None:
        new = self.checkpoints / ".latest"
        new.unlink(missing_ok=True)
        new.symlink_to(folder.name)
        new.replace(self.checkpoints / "latest")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a full disk into an error that says so.

    Raises:
        DiskFull: in place of what was raised.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        # safetensors tells the system's error in words alone.
        full = (f"os error {number}" in str(error) for number in FULL)
        if getattr(error, "errno", None) not in FULL and not any(full):
            raise
        raise DiskFull(
            f"no space left on the disk of {path}; earlier checkpoints are untouched: "
            "free some space and give the same command again to go on"
        ) from error


def find_checkpoint(path: str | Path) -> Path:
    """A checkpoint folder from a path to it or to its run (then the newest).

    Raises:
        RunError: when there is no complete checkpoint.
    """
    path = Path(path)
    if (path / "config.yaml").exists():
        latest = RunDirectory(path).latest_checkpoint()
        if latest is None:
            raise RunError(f"{path} has no complete checkpoint yet")
        return latest
    if not path.exists():
        raise RunError(f"no checkpoint at {path}: give a run directory or a folder runs/NAME/checkpoints/step_...")
    if not (path / COMPLETE).exists():
        raise RunError(f"{path} is no complete checkpoint (it has no file '{COMPLETE}'); take another one of its run")
    return path.parent / path.readlink() if path.is_symlink() else path  # "latest" will name another one soon


def _flush(folder: Path) -> None:
    """Brings the files of a folder to the disk, so that `complete` never stands beside data that a crash lost."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
