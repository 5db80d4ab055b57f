"""TensorBoard's page CUSTOM SCALARS: the few charts that say whether all is well. All runs shown are drawn in each."""

import re
from collections.abc import Sequence

Layout = dict[str, dict[str, list[str]]]
"""Category, then title of a chart, then the tags that it shows, as regular expressions."""


def online(tasks: Sequence[str]) -> Layout:
    """Of `ocelot finetune`: the categories are the questions, arms lie side by side in every chart."""
    shown = {task: re.escape(task) for task in tasks}
    return {
        "1. Is it learning?": {
            "interquartile mean of the evaluations' scores": ["eval/interquartile_mean/.*"],
            **{f"{task}: score": [f"eval/score/{name}/.*"] for task, name in shown.items()},
            **{f"{task}: return while exploring": [f"charts/episodic_return/{name}"] for task, name in shown.items()},
        },
        "2. Is it healthy?": {
            "losses": ["losses/[^/]+/loss"],
            "gradient norms": ["losses/[^/]+/gradient_norm"],
            "effective sample size of the advantage weights": ["losses/[^/]+/effective_sample_size"],
            "policy lag: updates between acting and now": ["policy/version_lag", "replay/age"],
            "samples per insert": ["replay/samples_per_insert/.*"],
            "faults": ["faults/.*"],
        },
        "3. Where does the time go?": {
            "flow a second: steps, windows in, windows out, updates": [
                "charts/steps_per_second",
                "replay/inserts_per_second/online",
                "replay/samples_per_second/.*",
                "charts/updates_per_second",
            ],
            "learner": ["time/learner/[^/]+"],
            "policy server": ["time/server/[^/]+"],
            "actors": ["time/actors/[^/]+"],
            "driver": ["time/driver/[^/]+"],
        },
    }


def offline(tasks: Sequence[str]) -> Layout:
    """Of `ocelot pretrain`. TensorBoard puts charts of one title together, so these have titles of their own."""
    return {
        "Pretraining": {
            "losses of pretraining": ["losses/[^/]+/loss", "losses/held_out"],
            **{f"{task}: score while pretraining": [f"eval/score/{re.escape(task)}/.*"] for task in tasks},
            "gradient norms of pretraining": ["losses/[^/]+/gradient_norm"],
            "time of pretraining's learner": ["time/learner/[^/]+"],
        }
    }
