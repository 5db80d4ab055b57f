"""What the learner's process writes to replay: demonstrations, and prompts to act with."""

import numpy as np

from cluster.config import FinetuneConfig
from cluster.start import Start
from replay.feeder import Feeder
from replay.interface import Replay
from replay.pretraining import DemonstrationStream
from replay.prompts import PromptWindows


def feeders(config: FinetuneConfig, begin: Start, replay: Replay, incarnation: int) -> list[Feeder]:
    """Feeders of the tables that a run wants filled from disk, at work.

    In the learner's process and not in the driver, for each process that holds a Reverb client pays 0.45 GB for it.

    Args:
        config: of the run.
        begin: policy and tasks.
        replay: the store.
        incarnation: of the learner.

    Raises:
        DatasetError: as `DemonstrationStream` and `PromptWindows`.
    """
    found = []
    context, steps = begin.model.config.context, config.prompts.steps
    if any(entry.data.get("expert") for entry in config.schedule):
        demonstrations = DemonstrationStream(
            {task.name: task.datasets for task in config.tasks if task.datasets},
            begin.layouts,
            context,
            {task.name: task.weight for task in config.tasks},
            # A learner that comes back begins elsewhere in the data: not all over again.
            config.run.seed if incarnation == 1 else _seed(config.run.seed, incarnation),
            attention_steps=begin.model.config.attention_steps,
            prompts=config.prompts.share,
            prompt_steps=steps,
        )
        found.append(Feeder(replay, demonstrations))
    if config.actors.prompts:
        datasets = {task.name: task.datasets for task in config.tasks}
        prompts = PromptWindows(datasets, begin.layouts, context, config.run.seed, steps)
        found.append(Feeder(replay, prompts, "prompts"))
    return found


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
