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
    assert scores.excluded == ["b/worse", "c/new"]


def test_an_expert_no_better_than_random_gives_no_score():
    assert find("b/worse") is find("b/equal") is find("c/new") is None
    with pytest.raises(ComparisonError, match="b/equal has no reference scores"):
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
