"""Texts, and images with texts, among the data of a pretraining run."""

from typing import TYPE_CHECKING

from cluster.config import PretrainConfig
from cluster.config_files import ConfigError
from learner.types import TaskInfo
from policy.images import PATCH
from policy.returns import ReturnScale
from policy.text import TextTokenizer

if TYPE_CHECKING:
    from replay.corpus import TextCorpus

TEXT = TaskInfo(discount=1.0, return_scale=ReturnScale(0.0, 1.0))  # text has no rewards


def text_corpora(config: PretrainConfig, tokenizer: TextTokenizer | None, context: int) -> "dict[str, TextCorpus]":
    """The texts and captions of a configuration by task.

    Args:
        tokenizer: of the policy; None where the configuration has no texts.
        context: tokens that the policy sees at once.

    Raises:
        ConfigError: two of one name, or an image size that is not made of multiples of 16.
        DatasetError: a folder that is missing or cannot be used.
    """
    from replay.captions import CaptionFolder
    from replay.texts import TextFolder

    corpora: dict[str, TextCorpus] = {}
    for texts in config.texts:
        assert tokenizer is not None
        corpora[_new(f"text/{texts.name}", corpora)] = TextFolder(
            f"text/{texts.name}", texts.folder, tokenizer, context
        )
    for captions in config.captions:
        assert tokenizer is not None
        if any(side % PATCH for side in captions.image_size):
            raise ConfigError(
                f"captions {captions.name}: image_size {list(captions.image_size)} must be multiples of {PATCH}"
            )
        corpora[_new(f"captions/{captions.name}", corpora)] = CaptionFolder(
            f"captions/{captions.name}", captions.folder, tokenizer, context, captions.image_size
        )
    return corpora


def weights(config: PretrainConfig) -> dict[str, float]:
    """Weight by task, texts and captions behind the others."""
    return (
        {task.name: task.weight for task in config.tasks}
        | {f"text/{texts.name}": texts.weight for texts in config.texts}
        | {f"captions/{captions.name}": captions.weight for captions in config.captions}
    )


def _new(task: str, corpora: "dict[str, TextCorpus]") -> str:
    if task in corpora:
        raise ConfigError(f"there are two {task}; give each a name of its own")
    return task
