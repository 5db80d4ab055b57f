"""The first page of TensorBoard has no chart that must stay empty."""

from cluster.watching import charts
from tests.cluster.small import CARTPOLE

OWN = "gym/mine:Own-v0"
IQM = "interquartile mean of the evaluations' scores"


def test_a_task_without_a_score_is_shown_in_returns():
    learning = charts.online([OWN])["1. Is it learning?"]
    assert learning[f"{OWN}: return in evaluations"] == [r"eval/return/gym/mine:Own\-v0/.*"]
    assert IQM not in learning
    assert not any("score" in title for title in learning)
    assert f"{OWN}: return in evaluations while pretraining" in charts.offline([OWN])["Pretraining"]


def test_tasks_with_scores_are_shown_together_too():
    learning = charts.online([CARTPOLE, OWN])["1. Is it learning?"]
    assert list(learning)[:3] == [IQM, f"{CARTPOLE}: score", f"{OWN}: return in evaluations"]
