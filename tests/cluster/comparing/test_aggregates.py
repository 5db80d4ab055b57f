import numpy as np
import pytest
from scipy import stats

from cluster.comparing.aggregates import EPISODES, ONE_SEED, SEEDS, aggregate, over_episodes
from cluster.comparing.arms import arms
from cluster.comparing.comparison import ComparisonError, Row
from tests.cluster.comparing.made import REFERENCES, A, B, row, run, way


def pick(aggregates, arm, task, metric="score", temperature: float | None = 0.0):
    (found,) = [a for a in aggregates if (a.arm, a.task, a.metric, a.temperature) == (arm, task, metric, temperature)]
    return found


@pytest.fixture(scope="module")
def one_seed():
    generator = np.random.default_rng(0)
    starts = {A: generator.normal(40, 10, 50), B: generator.normal(-100, 20, 50)}
    rows = [Row.make(task, "random", [REFERENCES[task].random] * 50, REFERENCES[task], 0) for task in starts]
    for task, returns in starts.items():
        rows.append(row(task, "cloning", returns))
        rows.append(row(task, "alternating", returns + 20))
    return rows


@pytest.fixture(scope="module")
def five_seeds():
    generator = np.random.default_rng(1)
    rows = []
    for seed in range(5):
        for task, centre in ((A, 40), (B, -100)):
            returns = generator.normal(centre, 10, 20)
            rows += [row(task, "cloning", returns, seed), row(task, "awr", returns + 10 * seed, seed)]
    return rows


def scores_of(rows, arm):
    return np.array(
        [[next(r.score for r in rows if (r.arm, r.task, r.seed) == (arm, t, s)) for t in (A, B)] for s in range(5)]
    )


def test_scores_are_normalised():
    assert row(A, "x", [0.0, 50.0, 100.0]).score == pytest.approx(0.5)
    assert row(B, "x", [-200.0, 0.0]).score == pytest.approx(0.5)


def test_one_seed_has_no_interval_and_says_so(one_seed):
    found = aggregate(one_seed, REFERENCES)
    assert {(a.low, a.high) for a in found} == {(None, None)}
    assert {a.interval for a in found if a.metric not in ("above_half", "above_expert")} == {ONE_SEED}
    cloning = pick(found, "cloning", A)
    assert cloning.value == pytest.approx(np.mean(one_seed[2].returns) / 100)
    assert pick(found, "alternating - cloning", A, "difference").value == pytest.approx(0.2)
    assert pick(found, "alternating - cloning", None, "difference").value == pytest.approx(0.15)
    assert pick(found, "alternating - cloning", None, "improvement").value == 1.0
    assert not [a for a in found if a.arm == "random - cloning"]


def test_one_seeds_own_scores_may_have_intervals_over_episodes_that_say_so(one_seed, five_seeds):
    found = over_episodes(aggregate(one_seed, REFERENCES), one_seed, REFERENCES)
    cloning = pick(found, "cloning", A)
    assert cloning.low <= cloning.value <= cloning.high
    assert cloning.interval == EPISODES
    assert {a.interval for a in found if a.metric in ("difference", "iqm", "improvement")} == {ONE_SEED}
    over_seeds = aggregate(five_seeds, REFERENCES)
    assert over_episodes(over_seeds, five_seeds, REFERENCES) == over_seeds


def test_several_seeds_are_rliables_interquartile_mean(five_seeds):
    found = aggregate(five_seeds, REFERENCES)
    iqm = pick(found, "cloning", None, "iqm")
    assert iqm.value == pytest.approx(stats.trim_mean(scores_of(five_seeds, "cloning"), 0.25, axis=None))
    assert iqm.interval == SEEDS
    assert iqm.low < iqm.value < iqm.high
    assert pick(found, "cloning", A).value == pytest.approx(scores_of(five_seeds, "cloning")[:, 0].mean())


def test_differences_are_paired_by_seed(five_seeds):
    found = aggregate(five_seeds, REFERENCES)
    paired = pick(found, "awr - cloning", A, "difference")
    assert paired.value == pytest.approx(0.2)
    assert 0.0 < paired.low < 0.2 < paired.high < 0.4
    overall = pick(found, "awr - cloning", None, "difference")
    assert overall.value == pytest.approx((scores_of(five_seeds, "awr") - scores_of(five_seeds, "cloning")).mean())


def test_differences_are_of_the_seeds_that_both_have(five_seeds):
    lacking = [each for each in five_seeds if each.arm != "awr" or each.seed in (1, 3)]
    overall = pick(aggregate(lacking, REFERENCES), "awr - cloning", None, "difference")
    both = (scores_of(five_seeds, "awr") - scores_of(five_seeds, "cloning")).mean(axis=1)[[1, 3]]
    assert overall.value == pytest.approx(both.mean())
    strangers = [each for each in five_seeds if (each.seed == 0) == (each.arm == "awr")]
    assert "difference" not in {found.metric for found in aggregate(strangers, REFERENCES)}


def test_tasks_above_shares_of_the_expert_are_counted():
    rows = [row(A, "cloning", [50.0]), row(B, "cloning", [0.0]), row(A, "awr", [49.0]), row(B, "awr", [-120.0])]
    found = aggregate(rows, REFERENCES)
    counts = {(a.arm, a.metric): a.value for a in found if a.metric.startswith("above")}
    assert counts == {
        ("cloning", "above_half"): 2,
        ("cloning", "above_expert"): 1,
        ("awr", "above_half"): 0,
        ("awr", "above_expert"): 0,
    }


def test_before_and_regret():
    one = run("runs/cloning")
    points = way(one, A, [0.0, 0.2, 0.4]) + way(one, B, [0.5, 0.5, 0.5])
    found = aggregate([row(A, "cloning", [40.0]), row(B, "cloning", [-100.0])], REFERENCES, points)
    assert pick(found, "cloning", A, "before").value == 0.0
    assert pick(found, "cloning", None, "before").value == pytest.approx(0.25)
    assert pick(found, "cloning", A, "regret").value == pytest.approx(0.8)
    assert pick(found, "cloning", None, "regret").value == pytest.approx(0.65)


def test_a_task_without_reference_is_shown_in_returns_and_left_out_of_the_whole():
    references = {A: REFERENCES[A], B: None}
    rows = [row(task, arm, [50.0], references=references) for task in (A, B) for arm in ("cloning", "awr")]
    found = aggregate(rows, references)
    assert pick(found, "cloning", B, "return").value == 50.0
    assert pick(found, "cloning", None, "iqm").value == 0.5
    alone = aggregate([each for each in rows if each.task == B], {B: None})
    assert not [a for a in alone if a.metric == "iqm"]
    assert pick(alone, "awr - cloning", B, "difference").value == 0.0


def test_what_cannot_be_compared_is_named(one_seed):
    with pytest.raises(ComparisonError, match="two evaluations"):
        aggregate([*one_seed, one_seed[-1]], REFERENCES)
    with pytest.raises(ComparisonError, match="seed 1 has no evaluation of gym/B-v0"):
        aggregate([*one_seed, row(A, "cloning", [1.0], seed=1)], REFERENCES)


def test_usual_arms_stand_in_their_order(one_seed):
    assert arms(one_seed) == ["random", "cloning", "alternating"]
