"""Runs as jobs of a Ray cluster: sent with the working directory, followed to their end."""

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.config import FinetuneConfig
from cluster.config_files import dump
from cluster.launch.config import ClusterConfig
from cluster.launch.kinds import KINDS
from cluster.launch.state import ClusterState, LaunchError
from cluster.launch.token import use_token
from cluster.local_ray import EXCLUDED, ROOT

RUN_FILE = "submitted.yaml"  # the run's configuration, in the working directory
LIMIT = 200 * 2**20  # bytes of a working directory; Ray keeps it in its head's memory


def submit(cluster: ClusterConfig, state: ClusterState, config: FinetuneConfig, allow_open_replay: bool) -> int:
    """Runs `ocelot finetune` on a cluster and passes on what it says.

    Returns:
        Its exit status: 0, or 1 when the job failed or was stopped.

    Raises:
        LaunchError: when the cluster cannot be reached, or the working directory is too large.
        TokenError: when this user's token is gone.
    """
    use_token(state.token)
    from ray.job_submission import JobSubmissionClient

    kind = KINDS[cluster.kind]
    command = ["python", "-m", "cluster", "finetune", RUN_FILE, "--address", "auto"]
    command += ["--allow-open-replay"] if allow_open_replay else []
    with kind.jobs_address(cluster, state) as address, tempfile.TemporaryDirectory() as folder:
        working_directory = Path(folder) / "work"
        _gather(working_directory)
        (working_directory / RUN_FILE).write_text(dump(config))
        try:
            client = JobSubmissionClient(address)
            job = client.submit_job(entrypoint=shlex.join(command), runtime_env={"working_dir": str(working_directory)})
        except (ConnectionError, RuntimeError) as error:
            raise LaunchError(f"cluster '{cluster.name}' takes no job: {error}") from None
        return _follow(client, job)


def nodes(cluster: ClusterConfig, state: ClusterState) -> list[dict[str, Any]]:
    """Nodes of a running cluster: node_ip, is_head_node, state, resources_total. Raises as `submit`."""
    use_token(state.token)
    from ray.util.state import list_nodes

    with KINDS[cluster.kind].jobs_address(cluster, state) as address:
        try:
            return [vars(node) for node in list_nodes(address=address, detail=True, timeout=30)]
        except Exception as error:
            raise LaunchError(f"cluster '{cluster.name}' does not answer: {error}") from None


def on_cluster(config: FinetuneConfig, cluster: ClusterConfig) -> FinetuneConfig:
    """The run's configuration with its folder where the cluster keeps runs."""
    folder = Path(KINDS[cluster.kind].runs(cluster)) / Path(config.run.folder).name
    if Path(config.run.folder).is_absolute():
        folder = Path(config.run.folder)
    elif config.run.folder == "runs":
        folder = Path(KINDS[cluster.kind].runs(cluster))
    return config.model_copy(update={"run": config.run.model_copy(update={"folder": str(folder)})})


def _gather(target: Path) -> None:
    """Copies the current directory, and this checkout's packages if it is another.

    Raises:
        LaunchError: when it is too large; as soon as that is known.
    """
    ignore = shutil.ignore_patterns(*(name.removeprefix("**/") for name in EXCLUDED))
    sources: Sequence[Path] = [Path.cwd()] if Path.cwd() == ROOT else [ROOT, Path.cwd()]
    files: list[tuple[int, str]] = []
    total = 0

    def copy(file: str, to: str) -> None:
        nonlocal total
        if not os.path.isfile(file):
            return  # a socket or a pipe
        files.append((os.path.getsize(file), file))
        total += files[-1][0]
        if total > LIMIT:
            largest = ", ".join(f"{name} ({size / 2**20:.0f} MB)" for size, name in sorted(files, reverse=True)[:3])
            raise LaunchError(
                f"the working directory is larger than {LIMIT // 2**20} MB without {', '.join(EXCLUDED[:4])}; large "
                f"files are {largest}. Give the command in a smaller directory"
            )
        shutil.copy2(file, to)

    for source in sources:
        shutil.copytree(source, target, ignore=ignore, dirs_exist_ok=True, symlinks=True, copy_function=copy)


def _follow(client: Any, job: str) -> int:
    from ray.job_submission import JobStatus

    print(f"Job {job}; `ocelot cluster status` shows it", file=sys.stderr, flush=True)

    async def logs() -> None:
        async for lines in client.tail_job_logs(job):
            print(lines, end="", flush=True)

    asyncio.run(logs())
    details = client.get_job_info(job)
    while not details.status.is_terminal():
        details = client.get_job_info(job)
    if details.status != JobStatus.SUCCEEDED:
        print(f"The job ended as {details.status}", file=sys.stderr, flush=True)
    return 0 if details.status == JobStatus.SUCCEEDED else details.driver_exit_code or 1
