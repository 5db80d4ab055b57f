"""docs/metrics.md explains what runs show: every tag of it, and nothing else."""

import re
from pathlib import Path

import pytest

from cluster.board import OFFLINE
from cluster.watching.events import without_tensorflow

METRICS = Path(__file__).parents[3] / "docs" / "metrics.md"
NAMES = {"TASK": r".+", "TABLE": r"[a-z]+", "OBJECTIVE": r"[a-z_]+", "ACTING": r"(greedy|temperature_[\d.]+)"}


def documented() -> dict[str, re.Pattern]:
    """The first column of its tables, as patterns."""
    rows = re.findall(r"^\| ([a-z]+/\S+) \|", METRICS.read_text(), re.MULTILINE)
    patterns = {}
    for tag in rows:
        pattern = re.escape(tag)
        for name, expression in NAMES.items():
            pattern = re.sub(rf"\b{name}\b", expression.replace("\\", r"\\"), pattern)
        patterns[tag] = re.compile(pattern)
    return patterns


def written(run: Path) -> set[str]:
    """Tags of everything but texts and what TensorBoard's own pages are made of."""
    without_tensorflow()
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return {
        value.tag
        for file in run.glob("events.out.*")
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name in ("scalars", "images", "histograms")
    }


@pytest.fixture(scope="module")
def tags(watched, offline):
    return written(watched.path), written(offline.path)


def test_every_tag_is_explained_once(tags):
    online, before = tags
    patterns = documented()
    for tag in online | {tag.removeprefix(f"{OFFLINE}/") for tag in before}:
        explained = [name for name, pattern in patterns.items() if pattern.fullmatch(tag)]
        assert len(explained) == 1, f"{tag}: {explained}"


def test_nothing_is_explained_that_no_run_shows(tags):
    online, before = tags
    shown = online | {tag.removeprefix(f"{OFFLINE}/") for tag in before}
    missing = [name for name, pattern in documented().items() if not any(pattern.fullmatch(tag) for tag in shown)]
    assert missing == []


def test_updates_and_environment_steps_share_no_chart(tags):
    online, before = tags
    assert all(tag.startswith(f"{OFFLINE}/") for tag in before)
    assert not any(tag.startswith(f"{OFFLINE}/") for tag in online)
