"""TensorBoard's page CUSTOM SCALARS: the few charts that say whether all is well. All runs shown are drawn in each."""

import re
from collections.abc import Sequence

from cluster.reference_scores import find

Layout = dict[str, dict[str, list[str]]]
"""Category, then title of a chart, then the tags that it shows, as regular expressions."""


def online(tasks: Sequence[str]) -> Layout:
    """Of `ocelot finetune`: the categories are the questions, arms lie side by side in every chart."""
    together = {"interquartile mean of the evaluations' scores": ["eval/interquartile_mean/.*"]}
    return {
        "1. Is it learning?": {
            **(together if any(find(task) for task in tasks) else {}),
            **_evaluated(tasks),
            **{f"{task}: return while exploring": [f"charts/episodic_return/{re.escape(task)}"] for task in tasks},
        },
        "2. Is it healthy?": {
            "losses": ["losses/[^/]+/loss"],
            "gradient norms": ["losses/[^/]+/gradient_norm"],
            "effective sample size of the advantage weights": ["losses/[^/]+/effective_sample_size$"],
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
            "losses of pretraining": ["losses/[^/]+/loss", "losses/held_out$"],
            **{f"{title} while pretraining": tags for title, tags in _evaluated(tasks).items()},
            "gradient norms of pretraining": ["losses/[^/]+/gradient_norm"],
            "time of pretraining's learner": ["time/learner/[^/]+"],
        }
    }


def _evaluated(tasks: Sequence[str]) -> dict[str, list[str]]:
    """Of each task's evaluations: the score, or the return where nobody measured what scores 0 and 1."""
    found = {}
    for task in tasks:
        tag, title = ("score", "score") if find(task) else ("return", "return in evaluations")
        found[f"{task}: {title}"] = [f"eval/{tag}/{re.escape(task)}/.*"]
    return found
