"""Mistakes in a configuration of `ocelot finetune` that can be seen before anything is started."""

from cluster.config import FinetuneConfig
from cluster.local_ray import ProcessError
from learner.schedule import Schedule


def check(config: FinetuneConfig) -> None:
    """Refuses what cannot run, before anything is started.

    Raises:
        ProcessError: says which setting to change.
    """
    from replay.tables import TABLES

    schedule = Schedule(config.schedule)
    unknown = sorted(schedule.tables - set(TABLES))
    if unknown:
        raise ProcessError(f"the schedule draws from table '{unknown[0]}', which is none of {', '.join(TABLES)}")
    if "expert" in schedule.tables and not any(task.datasets for task in config.tasks):
        raise ProcessError(
            "the schedule draws from table 'expert', but no task names datasets to fill it; give tasks their "
            "datasets, or let every schedule entry have data: {online: 1.0}"
        )
    if config.actors.processes < len(config.tasks):
        raise ProcessError(
            f"actors.processes is {config.actors.processes}, but there are {len(config.tasks)} tasks and an actor "
            f"plays one; set actors.processes to at least {len(config.tasks)}"
        )
