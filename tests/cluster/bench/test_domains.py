import json

import pytest

from cluster.bench import figures as bench
from cluster.bench.domains import measure_all
from policy.errors import OcelotError

TASK = "gym/CartPole-v1"


def test_an_interrupted_benchmark_goes_on_where_it_stopped(tmp_path):
    file = tmp_path / "domains.json"
    before = bench.Figure(TASK, 123.0, "env steps/s", 456.0, 123.0 / 456.0, 1.0, 200.0, 2)
    file.write_text(json.dumps(bench.result([before])))
    measured = list(measure_all([TASK, "gym/MountainCar-v0"], 0.01, 2, file))
    assert measured[0] == before
    assert measured[1].name == "gym/MountainCar-v0"
    assert measured[1].ratio is not None
    assert 0 < measured[1].ratio < 2
    assert next(measure_all([TASK], 0.01, 1, file)) != before  # other repeats
    other = json.loads(file.read_text())
    other["environment"]["packages"]["gymnasium"] = "0.1"
    file.write_text(json.dumps(other))
    assert next(measure_all([TASK], 0.01, 2, file)) != before  # other versions


def test_a_file_that_is_no_result_is_named(tmp_path):
    (tmp_path / "notes.json").write_text("[]")
    with pytest.raises(OcelotError, match=r"notes\.json: no result of a benchmark"):
        next(measure_all([TASK], 0.01, 1, tmp_path / "notes.json"))
