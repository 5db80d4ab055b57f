"""Mistakes in a configuration of `ocelot finetune` that can be seen before anything is started."""

from cluster.config import FinetuneConfig
from cluster.local_ray import ProcessError
from learner.schedule import Schedule

CLONING = ("bc", "return_conditioned")


def check(config: FinetuneConfig) -> None:
    """Refuses what cannot run, before anything is started.

    Raises:
        ProcessError: says which setting to change.
        ScheduleError: a batch that the learners cannot share.
    """
    from replay.tables import TABLES

    schedule = Schedule(config.schedule)
    for entry in schedule.entries:
        entry.share(config.parallel.workers)
    unknown = sorted(schedule.tables - set(TABLES))
    if unknown:
        raise ProcessError(f"the schedule draws from table '{unknown[0]}', which is none of {', '.join(TABLES)}")
    if "expert" in schedule.tables and not any(task.datasets for task in config.tasks):
        raise ProcessError(
            "the schedule draws from table 'expert', but no task names datasets to fill it; give tasks their "
            "datasets, or let every schedule entry have data: {online: 1.0}"
        )
    _check_left_alone(config)
    played = sum(task.online for task in config.tasks)
    if config.actors.processes < played:
        raise ProcessError(
            f"actors.processes is {config.actors.processes}, but there are {played} tasks to play and an actor "
            f"plays one; set actors.processes to at least {played}"
        )


def _check_left_alone(config: FinetuneConfig) -> None:
    """Refuses tasks without actors that something else than cloning would change, or that nothing would train."""
    alone = [task for task in config.tasks if not task.online]
    if not alone:
        return
    if len(alone) == len(config.tasks):
        raise ProcessError("every task has online: false, so none would be played; use `ocelot pretrain` to clone")
    for task in alone:
        if not task.datasets:
            raise ProcessError(
                f"{task.name} has online: false, which leaves it the cloning of its demonstrations, and it names no "
                "datasets; give it some, or take it out of tasks"
            )
    for entry in config.schedule:
        if entry.data.get("expert") and entry.objective not in CLONING:
            raise ProcessError(
                f"{alone[0].name} has online: false, so that it is only cloned, but the schedule's {entry.objective} "
                f"draws from table 'expert', which holds its demonstrations; give {entry.objective} "
                "data: {online: 1.0}, and clone by an entry of its own"
            )
