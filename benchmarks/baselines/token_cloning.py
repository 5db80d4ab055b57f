"""Cloning by the token policy on one task, for the CPU time that a baseline has."""

import dataclasses

import torch
import yaml
from episodes import SEED, Clock, arguments, dataset_id, write

from actors.evaluation import evaluate
from cluster.config import TaskConfig
from cluster.start import fresh
from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from policy.config import PolicyConfig
from policy.engine import Engine
from replay.pretraining import DemonstrationStream

POLICY = PolicyConfig(layers=2, width=64, heads=4, feedforward=256, context=112, attention_steps=0, action_bins=21)

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
    begin = fresh(config, [task], None, options.seed)
    settings = LearnerConfig(learning_rate=2e-3, warmup_updates=50, publish="average")
    learner = Learner(begin.model, begin.tasks, settings, Schedule([Entry("bc", batch=32)]), options.seed)
    stream = DemonstrationStream(
        {options.task: task.datasets}, begin.layouts, config.context, seed=options.seed, attention_steps=0
    )
    clock = Clock(options.seconds)
    while not clock.over() and learner.updates != options.updates:
        learner.update(lambda table, count: stream.windows(count))
    engine = Engine(learner.published().eval(), ENVIRONMENTS)
    layout = begin.layouts[options.task]
    played = evaluate(lambda request: engine.act([request])[0], layout, options.episodes, 0.0, SEED, ENVIRONMENTS)
    write(
        options.json,
        task=options.task,
        algorithm="token cloning",
        library="ocelot",
        seed=options.seed,
        cpu_seconds=options.seconds,
        updates=learner.updates,
        policy=dataclasses.asdict(config),
        returns=[float(value) for value in played.returns],
    )


if __name__ == "__main__":
    main()
