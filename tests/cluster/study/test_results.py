"""What the page of a study says beside its comparison, on figures made up by hand."""

import pytest

from cluster.comparing.comparison import Comparison, Point, Reference, Row, Run
from cluster.study.results import ALL, after_switch, kept, made_with, pairs

A, B = "gym/A", "gym/B"
REFERENCES = {A: Reference(0.0, 1.0), B: Reference(0.0, 1.0)}


def point(task: str, seed: int, updates: int, score: float) -> Point:
    return Point(task, "arm", seed, 0.0, updates, updates, None, score, score, f"run-{seed}")


def test_the_switch_is_judged_by_the_first_evaluation_after_it_and_over_all_tasks():
    points = [
        point(task, seed, updates, score)
        for seed, changes in enumerate([(0.1, -0.3), (0.3, -0.1)])
        for task, change in zip((A, B), changes, strict=True)
        for updates, score in ((0, 0.5), (100, 0.5 + change), (200, 1.0))
    ]
    changes = after_switch(Comparison([], REFERENCES, points=points), "arm", 0.0)
    assert {task: change.value for task, change in changes.items()} == pytest.approx({A: 0.2, B: -0.2, ALL: 0.0})
    assert (changes[ALL].low, changes[ALL].high) == pytest.approx((-0.1, 0.1))


def test_what_is_kept_is_told_of_tasks_that_were_left_alone():
    rows = [
        Row.make(task, arm, [score], REFERENCES[task], seed, temperature=0.0)
        for arm, scores in (("pretrained", (0.8, 0.5)), ("arm", (0.6, 0.9)))
        for task, score in zip((A, B), scores, strict=True)
        for seed in (0, 1)
    ]
    config = {"run": {"seed": 0}, "tasks": [{"name": A, "online": False}, {"name": B, "online": True}]}
    shares = kept(Comparison(rows, REFERENCES, runs=[Run("run", "arm", config, {}, 1, 1)]), "arm", 0.0)
    assert {task: share.value for task, share in shares.items()} == pytest.approx({A: 0.75})


def test_no_difference_is_told_twice():
    assert pairs(["alternating", "cloning", "offline_rl"]) == [
        ("alternating", "cloning"),
        ("offline_rl", "cloning"),
        ("alternating", "offline_rl"),
    ]
    assert pairs(["alternating"]) == []


def test_what_made_a_study_is_what_made_its_runs():
    hardware = {"cores": 2, "processor": "A", "memory_gb": 24.0, "gpus": []}
    first = {
        "commit": "abc",
        "changed_files": False,
        "python": "3.11.7",
        "packages": {"torch": "2.12"},
        "hardware": hardware,
    }
    second = first | {"commit": "def", "changed_files": True, "packages": {"torch": "2.13"}}
    second["hardware"] = hardware | {"gpus": ["H200"]}
    assert made_with([first, first, second]) == [
        "- 2 on 2 cores of A, no GPU, 24.0 GB",
        "- 1 on 2 cores of A, H200, 24.0 GB",
        "- 2 at commit abc",
        "- 1 at commit def, with changes that are not in it",
        "- Python 3.11.7, torch 2.12 and 2.13",
    ]
