"""The runs of a study, one after the other, and the row that each leaves."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.comparing import files as comparison_files
from cluster.config import FinetuneConfig, PretrainConfig
from cluster.config_files import difference, load
from cluster.rundir import RunDirectory, without_sizes, writing
from cluster.study.config import StudyConfig
from policy.errors import OcelotError

PRETRAINED = "pretrained"
DONE, FAILED = "done", "failed"


class StudyError(OcelotError):
    """A study that cannot go on as asked."""


@dataclass(frozen=True)
class Row:
    """What is noted of one run, beside the comparison.json with its evaluations."""

    status: str
    """done or failed."""
    hours: float
    """That the run took, over all times that it was taken up."""
    config: dict
    """Resolved."""
    error: str | None = None
    """Of a run that failed."""


@dataclass(frozen=True)
class Job:
    """One run of a study."""

    group: str
    seed: int
    arm: str
    config: PretrainConfig | FinetuneConfig
    row_folder: Path

    @property
    def name(self) -> str:
        return f"{self.group}/{self.arm}-{self.seed}"

    @property
    def row_file(self) -> Path:
        return self.row_folder / "run.json"

    @property
    def log(self) -> Path:
        """Of its process, when it has one of its own."""
        return Path(self.config.run.folder) / f"{self.config.run.name}.log"

    @property
    def _run(self) -> RunDirectory:
        return RunDirectory(Path(self.config.run.folder) / self.config.run.name)

    def row(self) -> Row | None:
        """What is noted of it; None before it has ended.

        Raises:
            StudyError: the row is damaged, or belongs to a run with other settings.
        """
        if not self.row_file.exists():
            return None
        try:
            row = Row(**json.loads(self.row_file.read_text()))
        except (ValueError, TypeError) as error:
            raise StudyError(f"{self.row_file} cannot be read ({error}); delete it to do that run again") from None
        if changes := without_sizes(difference(row.config, self.config.model_dump(mode="json"))):
            raise StudyError(
                f"{self.row_file} is of a run with other settings ({'; '.join(changes[:4])}); give the study other "
                "folders (folder, results), or delete that row and its run"
            )
        return row

    def do(self) -> None:
        """Runs it, or goes on where it was stopped; leaves its row. Raises whatever ends the run."""
        began = time.monotonic()
        run = RunDirectory.create(self.config)
        try:
            if isinstance(self.config, PretrainConfig):
                from cluster.pretrain import pretrain

                pretrain(self.config, run)
            else:
                from cluster.finetune import finetune

                finetune(self.config, run)
        finally:
            hours = self._add_hours(run, (time.monotonic() - began) / 3600)
        comparison = comparison_files.gather([run.path])
        self.note(Row(DONE, hours, self.config.model_dump(mode="json")))
        comparison.save(self.row_folder / comparison_files.FILE)

    def fail(self, error: Exception) -> None:
        """Notes that the run failed; the next command tries again."""
        hours = self._add_hours(self._run, 0.0)
        message = str(error) if isinstance(error, OcelotError) else f"{type(error).__name__}: {error}"
        self.note(Row(FAILED, hours, self.config.model_dump(mode="json"), message))

    def is_done(self) -> bool:
        """Whether its row says so. Raises as `row`."""
        row = self.row()
        return row is not None and row.status == DONE

    def is_here(self) -> bool:
        """Whether its run is on this machine: rows travel with a repository, runs do not."""
        return self._run.latest_checkpoint() is not None

    def forget(self) -> None:
        """Takes its row away, so that it counts as left until it is done again."""
        self.row_file.unlink()

    def note(self, row: Row) -> None:
        """Writes the row."""
        with writing(self.row_folder):
            self.row_folder.mkdir(parents=True, exist_ok=True)
            self.row_file.write_text(json.dumps(asdict(row), indent=1) + "\n")

    def _add_hours(self, run: RunDirectory, hours: float) -> float:
        """What this run has taken so far, kept beside it, for it may be stopped and taken up again."""
        file = run.path / "hours.json"
        total = hours + (float(json.loads(file.read_text())) if file.exists() else 0.0)
        if run.path.exists():
            file.write_text(json.dumps(total) + "\n")
        return total


def jobs(config: StudyConfig, beside: Path) -> list[Job]:
    """All runs of a study: group by group, in it seed by seed, in it the pretrained policy before its arms.

    So a study that is cut short has whole groups, and the last of them whole seeds.

    Args:
        beside: the folder of the study's file, to which its file names are relative.

    Raises:
        ConfigError: configurations that cannot be used.
    """
    return [job for group in config.groups for seed in config.seeds for job in _group(config, beside, group, seed)]


def _group(config: StudyConfig, beside: Path, group: str, seed: int) -> Iterator[Job]:
    own = config.groups[group]
    folder = Path(config.folder) / group

    def named(arm: str) -> list[str]:
        name = f"{arm}-{seed}"
        return [f"run.name={name}", f"run.arm={arm}", f"run.folder={json.dumps(str(folder))}", f"run.seed={seed}"]

    def row(arm: str) -> Path:
        return Path(config.results) / "rows" / group / f"{arm}-{seed}"

    start = load(PretrainConfig, [beside / file for file in own.pretrain], named(PRETRAINED))
    yield Job(group, seed, PRETRAINED, start, row(PRETRAINED))
    checkpoint = f"checkpoint={json.dumps(str(folder / start.run.name))}"
    for arm, files in own.arms.items():
        every = [beside / file for file in (*own.finetune, *files)]
        yield Job(group, seed, arm, load(FinetuneConfig, every, [*named(arm), checkpoint]), row(arm))
