"""Cloning by the token policy on one task, for the CPU time that a baseline has."""

import dataclasses
import time
from collections.abc import Callable

import torch
import yaml
from episodes import SEED, Clock, arguments, dataset_id, write

from actors.evaluation import evaluate
from cluster.config import TaskConfig
from cluster.start import Start, fresh
from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from policy.config import PolicyConfig
from policy.engine import Engine
from replay.pretraining import DemonstrationStream

POLICY = PolicyConfig(
    layers=2, width=64, heads=4, feedforward=256, context=128, attention_steps=0, action_bins=21, vectors=True
)
BATCH = 12  # windows
WARMUP = 50  # updates
TRIED = 20  # updates that tell how long one takes
ENVIRONMENTS = 25


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--updates", type=int, help="stop after so many updates instead of --seconds")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of the policy")
    options = parser.parse_args()
    changed = dict(each.split("=", 1) for each in options.set)
    config = dataclasses.replace(POLICY, **{name: yaml.safe_load(value) for name, value in changed.items()})
    torch.set_num_threads(1)
    # Missions of BabyAI take five tokens; other tasks have no texts.
    task = TaskConfig(name=options.task, datasets=[dataset_id(options.task, options.quality)], text_tokens=8)
    start = fresh(config, [task], None, options.seed)
    stream = DemonstrationStream(
        {options.task: task.datasets}, start.layouts, config.context, seed=options.seed, attention_steps=0
    )
    clock = Clock(options.seconds)
    # The step size falls as it does in pretraining, over as many updates as there is time for.
    decay = options.updates or round(options.seconds / seconds_an_update(start, stream, options.seed))
    start = fresh(config, [task], None, options.seed)  # the other one's policy was trained a little to time it
    update = trainer(learner := new(start, options.seed, decay), stream)
    while not clock.over() and learner.updates != options.updates:
        update()
    engine = Engine(learner.published().eval(), ENVIRONMENTS)
    layout = start.layouts[options.task]
    played = evaluate(lambda request: engine.act([request])[0], layout, options.episodes, 0.0, SEED, ENVIRONMENTS)
    write(
        options.json,
        task=options.task,
        algorithm="token cloning",
        library="ocelot",
        seed=options.seed,
        cpu_seconds=options.seconds,
        updates=learner.updates,
        windows=BATCH,
        policy=dataclasses.asdict(config),
        returns=[float(value) for value in played.returns],
    )


def new(start: Start, seed: int, decay: int) -> Learner:
    """Trains the policy of `start`."""
    decay = max(decay, WARMUP + 1)
    settings = LearnerConfig(learning_rate=2e-3, warmup_updates=WARMUP, decay_updates=decay, publish="average")
    return Learner(start.model, start.tasks, settings, Schedule([Entry("bc", batch=BATCH)]), seed)


def trainer(learner: Learner, stream: DemonstrationStream) -> Callable[[], object]:
    """What makes one update."""
    return lambda: learner.update(lambda table, count: stream.windows(count))


def seconds_an_update(start: Start, stream: DemonstrationStream, seed: int) -> float:
    """CPU seconds, by a few updates of a policy that is thrown away; the first, which is slow, does not count."""
    update = trainer(new(start, seed, TRIED), stream)
    update()
    began = time.process_time()
    for _ in range(TRIED):
        update()
    return (time.process_time() - began) / TRIED


if __name__ == "__main__":
    main()
