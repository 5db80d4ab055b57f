"""Training workers under Ray Train, as one trainee of the driver's."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.config import PretrainConfig
from cluster.crew import PLACES
from cluster.environment import cores
from cluster.local_ray import THREAD_VARIABLES, get, kill, start
from cluster.parallel.check import ParallelError, check, crowded
from cluster.parallel.mailbox import Mailbox
from cluster.parallel.meeting import PATIENCE, WAYS, loopback
from cluster.parallel.member import Mission, member
from cluster.start import Start, without_weights
from cluster.telling import warn
from cluster.trainee import Stop, Updates
from policy.errors import OcelotError

LOOK = 0.1  # seconds between looks at the workers
END = 20.0  # seconds that workers have to end
VERDICT = 60.0  # seconds that Ray Train has to see why a worker raised an error


class Team:
    """The methods of `Trainee`, each carried out by all workers.

    Args:
        config: of the run.
        folder: of the run, on a disk that all workers see.
        begin: policy and tasks; the workers make or load the weights themselves.
        resume: a checkpoint of this run to go on from.

    Raises:
        ParallelError: what cannot run, told before anything starts.
    """

    def __init__(self, config: PretrainConfig, folder: Path, begin: Start, resume: Path | None):
        import ray
        from torch import distributed

        check(config.parallel, _gpus(ray), distributed.is_nccl_available())
        if warning := crowded(config.parallel, config.run.learner_threads, cores()):
            warn(warning)
        self._config = config
        self._storage = folder / ".ray_train"
        self._mailbox = start(Mailbox)
        places = {name: os.environ[name] for name in PLACES if name in os.environ}
        resume = None if resume is None else resume.absolute()
        mission = Mission(config, folder.absolute(), without_weights(begin), resume, places, self._mailbox)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fit, args=(mission,), name="ray-train", daemon=True)
        self._thread.start()

    def done(self) -> int:
        """As `Trainee.done`."""
        return self._ask("done")

    def updates(self, count: int, stop: Stop | None) -> Updates:
        """As `Trainee.updates`."""
        return self._ask("updates", count, stop=stop)

    def held_out(self) -> tuple[dict[str, float], int | None] | None:
        """As `Trainee.held_out`."""
        return self._ask("held_out")

    def finish(self) -> None:
        """As `Trainee.finish`."""
        self._ask("finish")

    def copy(self, extra: dict[str, Any]) -> None:
        """As `Trainee.copy`."""
        self._ask("copy", extra)

    def write(self, folder: Path) -> None:
        """As `Trainee.write`."""
        self._ask("write", folder.absolute())

    def close(self) -> None:
        """Ends the workers."""
        self._mailbox.ask.remote(None)
        self._thread.join(END)
        kill(self._mailbox)
        shutil.rmtree(self._storage, ignore_errors=True)

    def _ask(self, name: str, *arguments: Any, stop: Stop | None = None) -> Any:
        """What the first worker answers.

        Raises:
            OcelotError: what a worker raised.
            ParallelError: a worker died.
        """
        import ray

        answer = self._mailbox.ask.remote((name, arguments))
        stopped = False
        while not ray.wait([answer], timeout=LOOK)[0]:
            if not self._thread.is_alive():
                time.sleep(LOOK)  # a worker that raised has told the mailbox
                if not ray.wait([answer], timeout=LOOK)[0]:
                    raise self._died()
            if stop and not stopped:
                self._mailbox.stop.remote()
                stopped = True
        try:
            return get(answer)
        except ray.exceptions.RayTaskError:
            self._thread.join(VERDICT)
            if self._death() is None:
                raise
            raise self._died() from None  # what was raised is that others have lost the one that died

    def _death(self) -> Exception | None:
        """What Ray Train says of a worker whose process has ended; None when it knows of none."""
        import ray

        failures = getattr(self._error, "worker_failures", {}).values()
        causes = [getattr(each, "health_check_failure", None) for each in failures]
        return next((each for each in causes if isinstance(each, ray.exceptions.RayActorError)), None)

    def _died(self) -> OcelotError:
        lines = [line for line in str(self._death() or self._error).splitlines() if line.strip()]
        return ParallelError(
            f"a training worker ended ({lines[-1] if lines else 'without a word'}). If it was killed, the machine may "
            "be out of memory: fewer parallel.workers, or a smaller policy or batch. The same command goes on from the "
            "last checkpoint"
        )

    def _fit(self, mission: Mission) -> None:
        """Of a thread of its own, for Ray Train's driver waits for the end of training."""
        os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
        os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"  # it saves a process: the run's machine is not on loan
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # a configuration's paths are relative to where it was given
        os.environ["TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S"] = "1"  # with a worker gone, the others cannot say goodbye
        parallel = self._config.parallel
        on_gpus = parallel.backend == "nccl"
        # Ray of this machine counts no CPUs of ours, so a worker claims next to none; but it must claim something.
        claim = {"CPU": 0.001} | ({"GPU": 1} if on_gpus else {})
        try:
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.torch import TorchConfig, TorchTrainer

            TorchTrainer(
                member,
                train_loop_config={"mission": mission},
                torch_config=TorchConfig(backend=WAYS[parallel.backend], timeout_s=PATIENCE),
                scaling_config=ScalingConfig(num_workers=parallel.workers, use_gpu=on_gpus, resources_per_worker=claim),
                # mypy reads the names of the first version of Ray Train, which the second one replaces as it loads.
                run_config=RunConfig(  # type: ignore[call-arg]
                    name="workers",
                    storage_path=str(self._storage.absolute()),
                    worker_runtime_env={"env_vars": _variables(self._config.run.learner_threads)},
                    failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),  # type: ignore[call-arg]
                ),
            ).fit()
        except BaseException as error:
            self._error = error


@contextmanager
def team(config: PretrainConfig, folder: Path, begin: Start, resume: Path | None) -> Iterator[Team]:
    """A Team for as long as the context lasts, once its workers are ready. Ray must be initialised.

    Raises:
        OcelotError: as `Team` and `Trainee`.
    """
    found = Team(config, folder, begin, resume)
    try:
        found.done()
        yield found
    finally:
        found.close()


def _variables(threads: int) -> dict[str, str]:
    """Environment variables of the workers."""
    import ray

    found = dict.fromkeys(THREAD_VARIABLES, str(threads))
    if ray.util.get_node_ip_address() == "127.0.0.1":  # else gloo listens where other machines reach it
        found["GLOO_SOCKET_IFNAME"] = loopback()
    return found


def _gpus(ray: Any) -> float:
    return float(ray.cluster_resources().get("GPU", 0.0))
