import json

import pytest

from actors.experts import references
from actors.experts.references import Measurement, Reference
from actors.experts.types import ExpertError


@pytest.mark.parametrize("task", ["control/cartpole-swingup", "gym/Acrobot-v1", "gym/CartPole-v1", "gym/Pendulum-v1"])
def test_what_ships_was_measured_properly(task):
    reference = references.load(task)
    for measurement in (reference.random, reference.expert):
        assert measurement.episodes >= 100
        assert measurement.low <= measurement.mean <= measurement.high
    assert reference.random.high < reference.expert.low
    assert {"python", "gymnasium"} <= reference.versions.keys()
    assert task in references.known()


def test_measuring_repeats_and_agrees_with_what_ships():
    told = []
    measured = references.measure("gym/Pendulum-v1", 10, 3, progress=lambda done, of: told.append((done, of)))
    assert told == [(done, 20) for done in range(1, 21)]
    assert measured == references.measure("gym/Pendulum-v1", 10, 3)
    shipped = references.load("gym/Pendulum-v1")
    assert abs(measured.expert.mean - shipped.expert.mean) < 100
    assert abs(measured.random.mean - shipped.random.mean) < 300


def test_a_persons_own_measurement_comes_first(own_folder):
    measured = references.measure("gym/CartPole-v1", 2)
    assert references.save(measured) == own_folder / "references.json"
    assert references.load("gym/CartPole-v1") == measured
    assert references.load("gym/Pendulum-v1").expert.episodes == 100


def test_what_has_no_score_says_why(own_folder):
    with pytest.raises(ExpertError, match=r"gym/Taxi-v3: no reference returns.*gym/CartPole-v1"):
        references.load("gym/Taxi-v3")
    with pytest.raises(ExpertError, match="play at least 2"):
        references.measure("gym/CartPole-v1", 1)
    measurement = Measurement("p", 2, 5.0, 4.0, 6.0)
    references.save(Reference("gym/CartPole-v1", measurement, measurement, 0, {}))
    with pytest.raises(ExpertError, match=r"returns 5.0 on average and random actions 5.0, so it has no score"):
        references.load("gym/CartPole-v1")
    path = own_folder / "references.json"
    path.write_text(json.dumps({"gym/CartPole-v1": {"random": {}}}))
    with pytest.raises(ExpertError, match=r"references.json: the entry of gym/CartPole-v1 is damaged"):
        references.load("gym/CartPole-v1")
    for content in ("{", "[]"):
        path.write_text(content)
        with pytest.raises(ExpertError, match=r"references.json: not"):
            references.load("gym/CartPole-v1")
