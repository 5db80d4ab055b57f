"""Runs into arms, by what differs in their configurations."""

import pytest

from cluster.comparing.arms import baseline, differences, group, schedule_in_words
from tests.cluster.comparing.made import run

AWR_SETTINGS = {"temperature": 0.3}
AWR = [{"objective": "awr", "repeat": 9, "batch": 16, "data": {"expert": 0.1, "online": 0.9}, "settings": AWR_SETTINGS}]


def arms_of(*runs):
    return [found.arm for found in group(runs)]


def test_seeds_of_one_configuration_are_one_arm():
    assert arms_of(run("runs/a-s0"), run("runs/a-s1", run__seed=1)) == ["a", "a"]
    assert arms_of(run("0/awr", run__seed=0), run("1/awr", run__seed=1)) == ["awr", "awr"]
    assert arms_of(run("runs/x", run__arm="mine"), run("runs/y", run__arm="mine", run__seed=1)) == ["mine", "mine"]


def test_what_does_not_train_makes_no_arm():
    one = run("runs/a-0")
    other = run(
        "runs/a-1", run__seed=1, run__log_every=50, run__folder="elsewhere", evaluation__episodes=9, checkpoint="x"
    )
    assert arms_of(one, other) == ["a", "a"]


def test_settings_make_arms_and_are_told_apart():
    runs = group([run("runs/cloning"), run("runs/awr", schedule=AWR), run("runs/awr-1", schedule=AWR, run__seed=1)])
    assert [found.arm for found in runs] == ["cloning", "awr", "awr"]
    assert differences(runs) == {
        "schedule": {
            "cloning": "1 x bc (expert 1; batch 16)",
            "awr": "9 x awr (expert 0.1, online 0.9; batch 16; temperature 0.3)",
        }
    }


def test_one_name_for_different_settings_is_made_two():
    found = group([run("runs/a", run__arm="arm"), run("runs/b", run__arm="arm", learner__learning_rate=0.01)])
    assert [each.arm for each in found] == ["arm (learner.learning_rate 0.001)", "arm (learner.learning_rate 0.01)"]
    assert list(differences(found)) == ["learner.learning_rate"]


def test_another_start_is_an_arm_only_within_a_seed():
    same_seed = group([run("runs/a", run__arm="arm"), run("runs/b", run__arm="arm", checkpoint="runs/better")])
    assert [each.arm for each in same_seed] == ["arm (checkpoint runs/pretrained)", "arm (checkpoint runs/better)"]
    assert list(differences(same_seed)) == ["checkpoint"]


def test_a_schedule_in_words_names_changed_settings_alone():
    entry = {"objective": "awr", "repeat": 1, "batch": 8, "data": {"online": 1.0}, "settings": {"temperature": 1.0}}
    assert schedule_in_words([entry]) == "1 x awr (online 1; batch 8)"


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (["random", "pretrained", "cloning", "awr"], "cloning"),
        (["pretrained", "awr", "iql"], "awr"),
        (["random", "expert"], None),
    ],
)
def test_all_are_held_against_cloning_or_the_first_that_learned(names, held):
    assert baseline(names) == held
