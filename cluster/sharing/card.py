"""The model card of an exported checkpoint: what it is, what was measured, where it comes from, how to use it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cluster.comparing.intervals import Estimate
from cluster.comparing.tables import acting
from cluster.sharing.measured import Measured

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

    from policy.checkpoint import Checkpoint

NOTHING: tuple[Any, ...] = (None, "", [], {})
"""What is not worth a line; a seed of 0 is."""

# A test runs it: a reader needs nothing of Ocelot.
WITHOUT_OCELOT = """\
import json
from safetensors import safe_open

config = json.load(open("config.json"))  # sizes, the layout of every task, vocabulary
results = json.load(open("results.json"))  # returns of every episode, provenance
with safe_open("model.safetensors", framework="pt") as weights:
    shapes = {name: weights.get_slice(name).get_shape() for name in weights.keys()}
"""

TEXT = """\
# {name}

A generalist token policy in the manner of [Gato](https://arxiv.org/abs/2205.06175), {size} parameters, made with Ocelot
(`{trained_by}`). It plays {tasks}.

## Measured

{measured}

## Where it comes from

{provenance}

## Use

```console
$ ocelot import . checkpoint
$ ocelot evaluate checkpoint
$ ocelot finetune CONFIG --set checkpoint=checkpoint
```

Without Ocelot:

```python
{without}```

Nothing in this folder is pickled: weights are safetensors, the rest is JSON{tokenizer}.
"""


def card(name: str, checkpoint: "Checkpoint", found: Sequence[Measured], provenance: dict[str, Any]) -> "ModelCard":
    """The card, with front matter as the hub reads it.

    Args:
        name: of the model.
        checkpoint: the policy.
        found: what was measured of it.
        provenance: as `measured.provenance`.
    """
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(
        model_name=name,
        library_name="ocelot",
        pipeline_tag="reinforcement-learning",
        tags=["reinforcement-learning", "gato", "imitation-learning", "offline-rl"],
        eval_results=[result for each in found for result in _results(each)] or None,
    )
    size = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    text = TEXT.format(
        name=name,
        size=f"{size:,}",
        trained_by=provenance.get("trained_by", "ocelot import"),
        tasks=", ".join(f"`{task}`" for task in checkpoint.layouts),
        measured=_table(found) if found else "Nothing yet: no evaluation of these weights was found beside them.",
        provenance="\n".join(
            f"- {key.replace('_', ' ')}: {_shown(value)}" for key, value in provenance.items() if value
        ),
        without=WITHOUT_OCELOT,
        tokenizer=", the tokenizer is a SentencePiece model" if checkpoint.text is not None else "",
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")


def _results(each: Measured) -> list[Any]:
    from huggingface_hub import EvalResult

    suffix = f"{acting(each.temperature)}, {len(each.returns)} episodes"
    values = [("mean_reward", f"mean return, {suffix}", round(each.mean_return.value, 2))]
    if each.score is not None:
        values.append(("normalized_score", f"score (0 random, 1 expert), {suffix}", round(each.score.value, 3)))
    return [
        EvalResult(
            task_type="reinforcement-learning",
            task_name="Reinforcement learning",
            dataset_type=each.task,
            dataset_name=each.task,
            metric_type=kind,
            metric_name=name,
            metric_value=value,
        )
        for kind, name, value in values
    ]


def _table(found: Sequence[Measured]) -> str:
    lines = ["| task | actions | episodes | mean return | score (0 random, 1 expert) |", "|---|---|---:|---:|---:|"]
    for each in found:
        score = "no reference" if each.score is None else _estimate(each.score, 2)
        cells = [each.task, acting(each.temperature), str(len(each.returns)), _estimate(each.mean_return, 1), score]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "Intervals: 95% over this checkpoint's episodes; results.json has all returns."])


def _estimate(estimate: Estimate, digits: int) -> str:
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f} {estimate.high:.{digits}f}]"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_shown(part)}" for key, part in value.items() if part not in NOTHING)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
