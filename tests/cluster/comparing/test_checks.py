"""Every reason why arms are not comparable is named, with who differs and in what."""

from dataclasses import replace

from cluster.comparing.arms import group
from cluster.comparing.checks import warnings
from tests.cluster.comparing.made import ENVIRONMENT, REFERENCES, A, B, row, run

AWR = [{"objective": "awr", "repeat": 1, "batch": 16, "data": {"online": 1.0}, "settings": {}}]


def told(other, seeds=(0, 0)):
    """What is said of a run of cloning beside another one."""
    runs = group([run("runs/cloning", run__seed=seeds[0]), other])
    rows = [row(task, each.arm, [1.0], each.seed) for each in runs for task in (A, B)]
    return warnings(rows, runs, REFERENCES)


def awr(environment=ENVIRONMENT, **changes):
    return run("runs/awr", environment, schedule=AWR, **changes)


def test_arms_that_differ_in_their_schedules_alone_are_comparable():
    assert told(awr()) == []


def test_start():
    other = ENVIRONMENT | {"start": {"checkpoint": "runs/other", "weights_sha256": "b" * 64}}
    (line,) = told(awr(other))
    assert line == (
        "start of seed 0 differs: runs/pretrained/checkpoints/step_000012 (weights aaaaaaaa) in cloning; "
        "runs/other (weights bbbbbbbb) in awr"
    )


def test_budget():
    lines = told(awr(run__updates=50, actors__steps=500))
    assert lines == [
        "budget: learner updates differs: 100 in cloning; 50 in awr",
        "budget: environment steps differs: 1000 in cloning; 500 in awr",
    ]


def test_versions_and_machine():
    packages = {"packages": {"gymnasium": "1.1.0", "torch": "2.13.0"}}
    machine = {"hardware": {"cores": 64, "processor": "engine", "gpus": ["difference engine"]}, "commit": "d" * 40}
    assert told(awr(ENVIRONMENT | packages)) == ["version of gymnasium differs: 1.2.2 in cloning; 1.1.0 in awr"]
    commit, hardware = told(awr(ENVIRONMENT | machine))
    assert commit == "commit of Ocelot differs: c0ffeec0ff in cloning; dddddddddd in awr"
    assert "2 cores of abacus, no GPU in cloning; 64 cores of engine, difference engine in awr" in hardware


def test_sizes():
    assert told(awr(actors__processes=8)) == ["actors.processes differs: not set in cloning; 8 in awr"]
    more = run("runs/cloning-1", run__seed=1, actors__processes=8)
    assert [each.arm for each in group([run("runs/cloning"), more])] == ["cloning", "cloning"]


def test_evaluation_and_seeds():
    lines = told(awr(evaluation__episodes=50, evaluation__seed=8, run__seed=1), seeds=(0, 0))
    assert lines == [
        "seeds: awr has 1, cloning has 0; differences by seed are left out",
        "evaluation: episodes differs: 4 in cloning; 50 in awr",
        "evaluation: seed differs: 7 in cloning; 8 in awr",
    ]


def test_a_run_that_is_not_done():
    runs = group([run("runs/cloning")])
    assert warnings([], [replace(runs[0], updates=40)], REFERENCES) == [
        "runs/cloning is not done: its last evaluation is at update 40 of 100"
    ]


def test_a_task_without_reference():
    (line,) = warnings([row(A, "cloning", [1.0], references={A: None})], [], {A: None})
    assert line.startswith("no reference scores for gym/A-v0: shown in returns")


def test_differing_seeds_of_an_arm_are_named():
    old = ENVIRONMENT | {"python": "3.12.1"}
    runs = group([run("runs/a-0"), run("runs/a-1", old, run__seed=1), run("runs/a-2", run__seed=2)])
    (line,) = warnings([], runs, REFERENCES)
    assert line == "version of Python differs: 3.11.7 in a (seed 0, 2); 3.12.1 in a (seed 1)"
