"""Ray for as long as a command runs: of this machine alone, or a cluster that runs already."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.launch.token import use_any_token, use_own_token
from policy.errors import OcelotError

NAMESPACE = "ocelot"
ROOT = Path(__file__).parents[1]
EXCLUDED = [".git", ".venv", "runs", "results", "**/__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"]
OBJECT_STORE = 256 * 2**20  # bytes, for requests and small things: the store is memory that is gone
VERSIONS = 4  # of a policy's weights that the store has room for beside; what it has no room for goes over the disk
CONTROL, BACKGROUND = "control", "background"
FOLDERS = ("policy", "replay", "actors", "learner", "cluster")  # whose errors say what to change
STARTS = 3  # attempts to start Ray
LOOPBACK = ("127.0.0.1:", "localhost:")
ONLY_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# Of each call Ray keeps a record for its state API, up to 300 MB on the head and a quarter of the calls per second.
NO_TASK_EVENTS = "RAY_task_events_report_interval_ms"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class ProcessError(OcelotError):
    """A process of the run that died and could not be replaced."""


class BeginError(ProcessError):
    """A process that ended with an error before it had begun; says which."""


@contextlib.contextmanager
def local_ray(weights: int = 0) -> Iterator[None]:
    """Starts Ray on this machine's loopback, with a token, and shuts it down with everything that runs in it.

    A Ray that is initialised already is used, and left running.

    Args:
        weights: bytes of the policy whose weights go from process to process.
    """
    _settle()
    use_own_token()
    _stay_on_loopback()
    import ray

    if ray.is_initialized():
        yield
        return
    _init(OBJECT_STORE + VERSIONS * weights)
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def connected_ray(address: str) -> Iterator[None]:
    """Joins a cluster that this machine is a node of, and leaves it with all processes that were started meanwhile.

    Args:
        address: HOST:PORT, or "auto" in a job of the cluster and on a machine that runs one.

    Raises:
        ProcessError: when no cluster answers there, or this machine is none of its nodes.
        TokenError: without a token.
    """
    _settle()
    use_any_token()
    if address.startswith(LOOPBACK):
        _stay_on_loopback()
    import ray

    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, **_code())
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ProcessError(
            f"no Ray cluster could be joined at {address}: {str(error).splitlines()[0]} It must run (`ocelot cluster "
            "status`), with this machine as a node of it and this token; from elsewhere: `ocelot cluster submit`"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _init(store: int) -> None:
    """Starts Ray with an object store of so many bytes, again when the machine was too busy for the 30 seconds that Ray
    gives its own processes.

    Raises:
        ProcessError: when it does not start.
    """
    import ray

    for _ in range(STARTS):
        try:
            ray.init(
                address="local",
                namespace=NAMESPACE,
                include_dashboard=False,
                log_to_driver=False,  # what processes have to say goes through their answers and ocelot.log
                logging_level=logging.ERROR,
                # Our actors ask for no CPU, so more of them than cores can run; Ray starts no worker ahead of need.
                num_cpus=1,
                object_store_memory=store,
            )
            return
        except Exception as error:  # Ray raises Exception itself
            reason = error
            ray.shutdown()
    raise ProcessError(f"Ray did not start in {STARTS} attempts: {reason}. Is the machine too busy, or /tmp full?")


def _stay_on_loopback() -> None:
    # So called because it is the default there; without it, Ray listens on every interface.
    os.environ.setdefault(ONLY_LOOPBACK, "0")


def _settle() -> None:
    """Environment variables that Ray reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault(NO_TASK_EVENTS, "0")


def _code() -> dict[str, Any]:
    """This checkout for processes on other nodes; a job has been sent with its own."""
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return {}
    return {"runtime_env": {"working_dir": str(ROOT), "excludes": EXCLUDED}}


def start(
    cls: type,
    *arguments: Any,
    place: Mapping[str, Any] | None = None,
    cpu_threads: int = 1,
    concurrency: int | None = None,
    control: bool = False,
    **named: Any,
) -> Any:
    """Starts an actor process of a class with a set number of CPU threads; returns its handle.

    Args:
        arguments, named: of the class.
        place: where Ray puts it, as from `Placement`; None: anywhere, without a claim to CPUs or GPUs.
        cpu_threads: that its numerical libraries use.
        concurrency: calls that may run in it at once; None is Ray's choice: one after the other in the order in which
            they were made, or 1000 for a class with async methods.
        control: two more lines, for calls made with `control` and with `background`, which do not wait behind others.
    """
    import ray

    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0}
    options["runtime_env"] = {"env_vars": dict.fromkeys(THREAD_VARIABLES, str(cpu_threads))}
    if concurrency is not None:
        options["max_concurrency"] = concurrency
    if control:
        options["concurrency_groups"] = {CONTROL: 1, BACKGROUND: 1}
    options |= place or {}
    return ray.remote(**options)(cls).remote(*arguments, **named)


def control(method: Any) -> Any:
    """Calls a method of a process started with `control` at once, whatever else it does."""
    return method.options(concurrency_group=CONTROL).remote()


def background(method: Any, *arguments: Any) -> Any:
    """Calls a method of a process started with `control` beside what else it does, after other calls made so."""
    return method.options(concurrency_group=BACKGROUND).remote(*arguments)


def kill(handle: Any) -> None:
    """Ends an actor process at once; one that is gone already is no error."""
    import ray

    with contextlib.suppress(ray.exceptions.RayError):
        ray.kill(handle)


def get(reference: Any, timeout: float | None = None) -> Any:
    """The result of a call. An OcelotError that the process raised is raised here as it was, without Ray's wrapping.

    Raises:
        BeginError: the process's constructor had raised an error, which to Ray is a process that died; or Ray could not
            begin the process at all.
    """
    import ray

    try:
        return ray.get(reference, timeout=timeout)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, OcelotError):
            raise error.cause from None
        raise
    except ray.exceptions.RayActorError as error:
        if error.actor_init_failed:
            raise BeginError(_raised(str(error))) from None
        raise
    except ray.exceptions.ActorUnschedulableError as error:
        raise BeginError(f"no process could be begun: {error}") from None


def answered(calls: Sequence[Any]) -> set[Any]:
    """Those of some calls that have been answered, or have failed, by now."""
    import ray

    return set(ray.wait(list(calls), num_returns=len(calls), timeout=0)[0]) if calls else set()


def _raised(traceback: str) -> str:
    """What stands below a traceback: the error itself, without its module where it is one of ours."""
    lines = traceback.rstrip().splitlines()
    last = max((number for number, line in enumerate(lines) if line.startswith("  ")), default=-1)
    name, separator, said = "\n".join(lines[last + 1 :]).partition(": ")
    return said if separator and name.split(".")[0] in FOLDERS else f"{name}{separator}{said}"
