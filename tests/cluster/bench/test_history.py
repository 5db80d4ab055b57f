"""Benchmarks over time: what a line holds, what counts as worse, and the page."""

import json
import re

import pytest

from cluster.bench import history as bench_history
from cluster.bench.figures import Figure, result
from cluster.bench.history import HistoryError
from cluster.bench.history_page import render
from cluster.cli import app


def write(folder, figures, day=1, bench="loop", **environment):
    """A result as `ocelot bench --json` writes it, on some day; returns the file."""
    content = result(figures) | {"measured": f"2026-01-{day:02d}T00:00:00+00:00"}
    content["environment"] |= environment
    (folder / str(day)).mkdir(exist_ok=True)
    file = folder / str(day) / f"{bench}.json"
    file.write_text(json.dumps(content))
    return file


def measured(folder, *figures, **about):
    """The history of one figure a day."""
    history = folder / "history.jsonl"
    for day, figure in enumerate(figures, 1):
        bench_history.add(history, write(folder, [figure], day, **about))
    return bench_history.read(history)


def steps(*values, baseline=None):
    return Figure.of("loop", values, "env steps/s", baseline)


def test_a_line_has_commit_hardware_versions_and_figures(tmp_path):
    (found,) = measured(tmp_path, steps(90.0, 100.0, 110.0, baseline=200.0))
    line = json.loads((tmp_path / "history.jsonl").read_text())
    assert line["bench"] == found.bench == "loop"
    assert line["hardware"]["cores"] >= 1
    assert line["packages"]["torch"]
    assert line["commit"]
    assert found.figures == {"loop": Figure("loop", 100.0, "env steps/s", 200.0, 0.5, 90.0, 110.0, 3)}


@pytest.mark.parametrize(
    ("figures", "worse"),
    [
        ((steps(100.0), steps(85.0)), True),
        ((steps(100.0), steps(95.0)), False),
        ((steps(100.0), steps(70.0, 80.0, 95.0)), False),  # one repeat was as fast as before
        ((steps(100.0), steps(101.0), steps(20.0), steps(85.0)), True),  # against the median, not the last
        ((steps(100.0, baseline=200.0), steps(50.0, baseline=100.0)), False),  # a slow day of the machine
        ((steps(100.0, baseline=200.0), steps(100.0, baseline=400.0)), True),
        ((Figure("loop", 100.0, "MiB"), Figure("loop", 120.0, "MiB")), True),
        ((Figure("loop", 100.0, "MiB"), Figure("loop", 50.0, "MiB")), False),
        ((Figure("loop", 0.5, "of 1"), Figure("loop", 0.1, "of 1")), False),  # nobody can say
    ],
)
def test_what_counts_as_worse(tmp_path, figures, worse):
    (change,) = bench_history.changes(measured(tmp_path, *figures))
    assert change.worse == worse
    assert len(list(bench_history.in_words([change]))) == worse


def test_machines_and_benchmarks_are_held_apart(tmp_path):
    history = tmp_path / "history.jsonl"
    other = {"cores": 64, "processor": "another", "gpus": ["NVIDIA"]}
    bench_history.add(history, write(tmp_path, [steps(100.0)], 1))
    bench_history.add(history, write(tmp_path, [steps(10.0)], 2, hardware=other))
    bench_history.add(history, write(tmp_path, [steps(10.0)], 3, bench="serve"))
    found = bench_history.read(history)
    assert bench_history.changes(found) == []
    assert ("loop", "64 cores of another, NVIDIA") in bench_history.series(found)
    assert "Nothing was measured twice" in render(found)


def test_the_page_shows_each_figure_and_what_became_worse(tmp_path):
    found = measured(tmp_path, steps(100.0), steps(100.0), steps(50.0))
    page = render(found)
    assert page.count("<svg") == 1
    assert "loop, loop: 100 before, 50 now, env steps/s (0.50 times" in page
    assert "var(--arm-1)" in page.split("<svg")[1], "its panel stands out"
    assert not re.search(r"<script|<link|@import|url\((?!#)", page)
    better = render(found[:2])
    assert "None of the 1 figures" in better
    assert "var(--arm-1)" not in better.split("<svg")[1].split("</svg>")[0]
    assert "the same" in better, "versions are told where they changed"


def test_one_command_adds_draws_and_tells(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for day, value in ((1, 100.0), (2, 50.0)):
        write(tmp_path, [steps(value)], day)
    app(["bench", "history", "1/loop.json", "2/loop.json", "--json", "changes.json"], standalone_mode=False)
    told = capsys.readouterr().out
    assert "100 before, 50 now" in told
    assert "Written: docs/speed-history.html" in told
    assert len((tmp_path / "benchmarks" / "history.jsonl").read_text().splitlines()) == 2
    assert json.loads((tmp_path / "changes.json").read_text())[0]["worse"] is True


def test_what_is_no_result_is_refused_and_changes_nothing(tmp_path):
    history = tmp_path / "history.jsonl"
    good = write(tmp_path, [steps(1.0)])
    bench_history.add(history, good)
    before = history.read_text()
    with pytest.raises(HistoryError, match="already"):
        bench_history.add(history, good)
    (tmp_path / "cut.json").write_text(good.read_text()[:50])
    with pytest.raises(HistoryError, match="not whole"):
        bench_history.add(history, tmp_path / "cut.json")
    with pytest.raises(HistoryError, match="no such file"):
        bench_history.add(history, tmp_path / "missing.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(HistoryError, match="it lacks 'environment'"):
        bench_history.add(history, tmp_path / "other.json")
    assert history.read_text() == before
    history.write_text(before + "{}\n")
    with pytest.raises(HistoryError, match="line 2"):
        bench_history.read(history)
