import math

import pytest

from actors.experts import references
from actors.experts.references import Measurement, Reference
from cluster.comparing.comparison import ComparisonError
from cluster.reference_scores import domain_scores, find, required


@pytest.fixture(autouse=True)
def measured(tmp_path, monkeypatch):
    monkeypatch.setenv("OCELOT_EXPERTS_PATH", str(tmp_path))

    def put(task, random, expert):
        ends = [Measurement("player", 10, mean, mean - 1, mean + 1) for mean in (random, expert)]
        references.save(Reference(task, *ends, 0, {}))

    put("a/one", 0.0, 10.0)
    put("a/two", -100.0, 100.0)
    put("b/three", 5.0, 6.0)
    put("b/worse", 5.0, 4.0)
    put("b/equal", 5.0, 5.0)


def test_scores_are_percent_of_the_expert_and_domains_weigh_alike():
    scores = domain_scores({"a/one": [4.0, 6.0], "a/two": [-100.0], "b/three": [6.5], "b/worse": [9.0], "c/new": [1.0]})
    assert scores.tasks == pytest.approx({"a/one": 50.0, "a/two": 0.0, "b/three": 150.0})
    assert scores.domains == pytest.approx({"a": 25.0, "b": 150.0})
    assert scores.mean == pytest.approx(87.5)
    assert list(scores.excluded) == ["b/worse", "c/new"]
    assert scores.excluded["b/worse"] == "its expert, 4.0 on average, is no better than random actions, 5.0"
    assert "nobody measured" in scores.excluded["c/new"]


def test_an_expert_no_better_than_random_gives_no_score():
    assert find("b/worse") is find("b/equal") is find("c/new") is None
    with pytest.raises(ComparisonError, match=r"b/equal has no score: its expert, 5\.0 on average, is no better"):
        required("b/equal")
    assert required("a/one").expert == 10.0
    assert math.isnan(domain_scores({"b/equal": [5.0]}).mean)


def test_at_least_forty_tasks_of_eight_domains_ship_with_references():
    from actors.experts.files import read_json

    shipped = read_json(references.SHIPPED)
    assert len(shipped) >= 40
    assert len({task.partition("/")[0] for task in shipped}) >= 8
    for task in shipped:
        reference = references.entry(task, references.SHIPPED)
        assert reference.expert.low > reference.random.high, task
        assert "ocelot" in reference.versions


def test_games_of_atari_that_nobody_measured_have_published_scales():
    from actors import domains
    from actors.experts import published
    from actors.experts.files import read_json

    known = find("atari/breakout")
    assert known is not None
    assert (known.random, known.expert) == (1.7, 401.2)
    assert known.published == "DQN, Mnih et al., Nature 518 (2015), Extended Data Table 2"
    assert find("atari/breakout-grey") == known
    assert find("atari/montezuma_revenge") is None  # where DQN is no better than random actions
    rows = read_json(references.SHIPPED.with_name("published.json"))
    assert len(rows) == 57
    assert set(rows) <= set(domains.names())
    for task in rows:
        row = published.find(task)
        assert row is not None
        assert row.expert > row.random or task == "atari/montezuma_revenge"


def test_a_measurement_comes_before_what_was_published():
    ends = [Measurement("player", 10, mean, mean - 1, mean + 1) for mean in (0.0, 5.0)]
    references.save(Reference("atari/breakout", *ends, 0, {}))
    known = find("atari/breakout")
    assert known is not None
    assert (known.expert, known.published) == (5.0, None)
