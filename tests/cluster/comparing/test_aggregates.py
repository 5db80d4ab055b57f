import numpy as np
import pytest
from scipy import stats

from cluster.comparing.aggregates import EPISODES, SEEDS, aggregate, arms
from cluster.comparing.comparison import Comparison, ComparisonError, Reference, Row
from cluster.comparing.files import complete, read, write
from cluster.comparing.tables import cells, markdown

A, B = "gym/A-v0", "gym/B-v0"
REFERENCES = {A: Reference(0.0, 100.0), B: Reference(-200.0, 0.0)}


def row(task, arm, returns, seed=0, temperature=0.0):
    return Row.make(task, arm, returns, REFERENCES[task], seed, f"runs/{arm}", temperature)


def pick(aggregates, arm, task, metric="score", temperature=0.0):
    (found,) = [a for a in aggregates if (a.arm, a.task, a.metric, a.temperature) == (arm, task, metric, temperature)]
    return found


@pytest.fixture
def one_seed():
    generator = np.random.default_rng(0)
    starts = {A: generator.normal(40, 10, 50), B: generator.normal(-100, 20, 50)}
    rows = [Row.make(task, "random", [REFERENCES[task].random] * 50, REFERENCES[task], 0) for task in starts]
    for task, returns in starts.items():
        rows.append(row(task, "cloning", returns))
        rows.append(row(task, "alternating", returns + 20))
    return rows


def test_scores_are_normalised():
    assert row(A, "x", [0.0, 50.0, 100.0]).score == pytest.approx(0.5)
    assert row(B, "x", [-200.0, 0.0]).score == pytest.approx(0.5)


def test_one_seed_is_over_episodes(one_seed):
    found = aggregate(one_seed, REFERENCES)
    cloning = pick(found, "cloning", A)
    assert cloning.interval == EPISODES
    assert cloning.value == pytest.approx(np.mean(one_seed[2].returns) / 100)
    assert cloning.low < cloning.value < cloning.high
    overall = pick(found, "cloning", None)
    assert overall.value == pytest.approx((pick(found, "cloning", A).value + pick(found, "cloning", B).value) / 2)


def test_differences_are_paired(one_seed):
    found = aggregate(one_seed, REFERENCES)
    on_a = pick(found, "alternating - cloning", A, "difference")
    assert (on_a.value, on_a.low, on_a.high) == pytest.approx((0.2, 0.2, 0.2)), "the same episodes: no spread is left"
    assert pick(found, "alternating - cloning", None, "difference").value == pytest.approx(0.15)
    assert not [a for a in found if a.arm == "random - cloning"]


def test_several_seeds_are_rliables_interquartile_mean():
    generator = np.random.default_rng(1)
    rows, matrix = [], []
    for seed in range(5):
        returns = {task: generator.normal(40 if task == A else -100, 10, 20) for task in (A, B)}
        for task in (A, B):
            rows += [row(task, "cloning", returns[task], seed), row(task, "awr", returns[task] + 10 * seed, seed)]
        matrix.append([REFERENCES[task].score(returns[task]).mean() for task in (A, B)])
    found = aggregate(rows, REFERENCES)
    iqm = pick(found, "cloning", None, "iqm")
    assert iqm.value == pytest.approx(stats.trim_mean(np.array(matrix), 0.25, axis=None))
    assert iqm.interval == SEEDS
    assert pick(found, "cloning", A).value == pytest.approx(np.array(matrix)[:, 0].mean())
    paired = pick(found, "awr - cloning", A, "difference")
    assert paired.value == pytest.approx(0.2)
    assert 0.0 < paired.low < 0.2 < paired.high < 0.4


def test_what_cannot_be_compared_is_named(one_seed):
    with pytest.raises(ComparisonError, match="two evaluations"):
        aggregate([*one_seed, one_seed[-1]], REFERENCES)
    with pytest.raises(ComparisonError, match="gym/B-v0 has no reference"):
        aggregate(one_seed, {A: REFERENCES[A]})
    with pytest.raises(ComparisonError, match="seed 1 has no evaluation of gym/B-v0"):
        aggregate([*one_seed, row(A, "cloning", [1.0], seed=1)], REFERENCES)


def test_usual_arms_stand_in_their_order(one_seed):
    assert arms(one_seed) == ["random", "cloning", "alternating"]


def test_files(one_seed, tmp_path, capsys):
    comparison = complete(one_seed, REFERENCES)
    write(comparison, tmp_path / "out")
    printed = capsys.readouterr().out
    assert "alternating" in printed
    assert EPISODES in printed
    assert Comparison.load(tmp_path / "out" / "comparison.json") == comparison
    assert (tmp_path / "out" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert read([tmp_path / "out"]).aggregates == comparison.aggregates
    text = markdown(comparison)
    assert "| random | own | 0.00 [0.00 0.00] | 0.00 [0.00 0.00] | 0.00 [0.00 0.00] |" in text
    assert "alternating - cloning, gym/A-v0, greedy: 0.20 [0.20 0.20]" in text
    assert cells(comparison)[0] == ["arm", "actions", A, B, "all tasks"]


def test_a_file_that_is_none_of_ours(tmp_path):
    (tmp_path / "comparison.json").write_text('{"rows": [{"task": "x"}]}')
    with pytest.raises(ComparisonError, match="no comparison"):
        read([tmp_path])
