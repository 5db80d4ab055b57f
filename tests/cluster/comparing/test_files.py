"""From run directories to the files of a comparison, and back."""

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
import yaml

from cluster.comparing.arms import differences
from cluster.comparing.comparison import Comparison, ComparisonError, Reference, Row
from cluster.comparing.figures import FIGURES
from cluster.comparing.files import complete, read, write
from cluster.comparing.tables import NO_INTERVAL, OVERALL, cells, markdown
from cluster.rundir import RunError
from tests.cluster.comparing.made import CONFIG, ENVIRONMENT
from tests.cluster.small import CARTPOLE, PENDULUM, changed

TASKS = [{"name": CARTPOLE}, {"name": PENDULUM}]


def make_run(folder, arm, seed, returns, start="start", updates=(0, 50, 100)):
    """A run directory as a run leaves it: evaluated at some updates, with these returns on CartPole."""
    path = folder / f"{arm}-{seed}"
    path.mkdir(parents=True)
    rate = 1e-3 if arm == "cloning" else 1e-2
    config = changed(
        CONFIG, run__name=path.name, run__seed=seed, run__arm=arm, learner__learning_rate=rate, tasks=TASKS
    )
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    environment = ENVIRONMENT | {
        "start": {"checkpoint": str(folder / start / "checkpoints/step_000012"), "weights_sha256": "0"}
    }
    (path / "environment.json").write_text(json.dumps(environment))
    with open(path / "evaluations.jsonl", "w") as file:
        for update, value in zip(updates, returns, strict=True):
            for task, base in ((CARTPOLE, 0.0), (PENDULUM, -1000.0)):
                line = {"task": task, "arm": arm, "updates": update, "env_steps": update * 10, "temperature": 0.0}
                line |= {"training_seconds": update * 0.5, "checkpoint": f"{path}/checkpoints/step_{update:06d}"}
                file.write(json.dumps(line | {"returns": [base + value, base + value + 2.0]}) + "\n")
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    made = [make_run(folder, "cloning", seed, (100.0, 120.0 + seed, 130.0)) for seed in (0, 1)]
    return made + [make_run(folder, "awr", seed, (100.0, 220.0 + seed, 430.0 + 9 * seed)) for seed in (0, 1)]


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "comparison"
    comparison = read(runs)
    write(comparison, out)
    return comparison, out


def test_runs_become_arms_with_curves(written):
    comparison, _ = written
    assert {(row.arm, row.seed, row.task) for row in comparison.rows} == {
        (arm, seed, task) for arm in ("cloning", "awr") for seed in (0, 1) for task in (CARTPOLE, PENDULUM)
    }
    assert differences(comparison.runs) == {"learner.learning_rate": {"cloning": "0.001", "awr": "0.01"}}
    assert comparison.warnings == []
    assert {a.metric for a in comparison.aggregates} >= {"iqm", "before", "regret", "improvement", "difference"}


def test_files_and_back(written):
    comparison, out = written
    assert Comparison.load(out / "comparison.json") == comparison
    again = read([out])
    assert again.aggregates == comparison.aggregates
    assert again.runs == comparison.runs
    for image in (out / "comparison.png", *(out / "figures").iterdir()):
        assert image.read_bytes().startswith(b"\x89PNG")
    assert {image.stem for image in (out / "figures").iterdir()} == FIGURES.keys() - {"scores"}
    text = (out / "comparison.md").read_text()
    assert all((out / image).is_file() for image in re.findall(r"!\[[^]]*\]\(([^)]*)\)", text))
    assert "| cloning | greedy | gym/CartPole-v1 |" in text


LOADING = ("src", "href", "xlink:href", "data")


def test_many_tasks_are_lines_and_few_are_columns(written):
    comparison, _ = written
    head, *body = cells(comparison)
    assert head == ["arm", "actions", CARTPOLE, PENDULUM, OVERALL]
    assert [line[:2] for line in body] == [["cloning", "greedy"], ["awr", "greedy"]]
    names = [f"gym/T{index}-v0" for index in range(7)]
    rows = [Row.make(name, "cloning", [1.0], Reference(0.0, 2.0), 0, "x", 0.0) for name in names]
    head, *body = cells(complete(Comparison(rows, {name: Reference(0.0, 2.0) for name in names})))
    assert head == ["task", "cloning, greedy"]
    assert body == [*([name, "0.50"] for name in names), [OVERALL, "0.50"]]


class Page(HTMLParser):
    """Collects tags, and everything that an element would load."""

    def __init__(self):
        super().__init__()
        self.tags, self.loaded = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loaded += [
            value for key, value in attributes if key in ("src", "href", "data") and not value.startswith("#")
        ]


def test_the_page_needs_nothing_else(written):
    _, out = written
    text = (out / "comparison.html").read_text()
    page = Page()
    page.feed(text)
    assert page.loaded == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)", text)
    assert page.tags.count("svg") == len(FIGURES)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_figures_on_the_page_take_its_colours_and_have_ids_of_their_own(written):
    _, out = written
    text = (out / "comparison.html").read_text()
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    ids = [found for drawing in drawings for found in re.findall(r'\bid="([^"]*)"', drawing)]
    assert len(ids) == len(set(ids))
    for drawing in drawings:
        ElementTree.fromstring(drawing.replace("xlink:href", "href"))
        fixed = set(re.findall(r"#[0-9a-f]{6}\b", drawing)) - {"#ffffff", "#000000"}
        assert fixed == set(), "a colour that dark mode cannot change"
        assert "var(--arm-0)" in drawing or "var(--arm-1)" in drawing


def test_one_seed_gives_no_interval_anywhere(runs, tmp_path, capsys):
    comparison = read([runs[0], runs[2]])
    assert all(a.low is None and a.high is None for a in comparison.aggregates)
    text = markdown(comparison)
    assert NO_INTERVAL in text
    assert "[" not in text.replace("![", "")
    write(comparison, tmp_path)
    assert "no interval can be had" in " ".join(capsys.readouterr().out.split())
    told, option, _ = NO_INTERVAL.split("`")
    assert f"{told}<code>{option}</code>" in (tmp_path / "comparison.html").read_text()


def test_a_task_without_a_score_is_shown_in_returns(tmp_path):
    own = "gym/mine:Own-v0"
    runs = [make_run(tmp_path, arm, 0, (1.0, 2.0, end)) for arm, end in (("cloning", 30.0), ("awr", 40.0))]
    for run in runs:
        lines = [line for line in (run / "evaluations.jsonl").read_text().splitlines() if CARTPOLE in line]
        (run / "evaluations.jsonl").write_text("\n".join(lines).replace(CARTPOLE, own) + "\n")
    write(read(runs), tmp_path / "out")
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert re.findall(r'<div class="value">([^<]*)</div>', page) == ["31.0", "41.0"]
    assert f"Mean return on {own}, greedy actions." in page
    assert "<code>ocelot experts measure TASK</code>" in page
    assert "0 is the random player" not in page
    assert "Dashed" not in page


def test_names_and_settings_cannot_inject_into_the_page(tmp_path):
    path = make_run(tmp_path, "<script>alert(1)</script>".replace("/", "-"), 0, (1.0, 2.0, 3.0))
    write(read([path]), tmp_path / "out")
    assert "<script>" not in (tmp_path / "out" / "comparison.html").read_text()


def test_where_a_run_began_is_found_in_the_run_of_its_start(tmp_path):
    start = make_run(tmp_path, "start", 0, (55.0,), updates=(12,))
    run = make_run(tmp_path, "awr", 0, (100.0,), updates=(100,), start=start.name)
    comparison = read([run])
    begun = [point for point in comparison.points if point.updates == 0]
    assert {(point.task, point.mean_return, point.seconds) for point in begun} == {
        (CARTPOLE, 56.0, 0.0),
        (PENDULUM, -944.0, 0.0),
    }


def test_runs_of_one_folder_name_from_two_machines_stay_apart(runs, tmp_path):
    for seed, run in enumerate(runs[:2]):
        compared = read([run])
        moved = json.loads(json.dumps(compared.__dict__, default=lambda value: value.__dict__))
        text = json.dumps(moved).replace(str(run), "runs/cloning")
        (tmp_path / str(seed)).mkdir()
        (tmp_path / str(seed) / "comparison.json").write_text(text)
    together = read([tmp_path / "0", tmp_path / "1"])
    assert [run.folder for run in together.runs] == ["runs/cloning", "runs/cloning #2"]
    assert {row.seed for row in together.rows} == {0, 1}


def test_the_study_that_ships_can_be_read():
    from pathlib import Path

    comparison = read([Path(__file__).parents[3] / "results" / "quickstart"])
    iqm = {a.arm: a for a in comparison.aggregates if (a.metric, a.temperature) == ("iqm", 0.0)}
    assert iqm["alternating"].low > iqm["cloning"].high
    assert {a.arm for a in comparison.aggregates if a.metric == "before"} == {
        "cloning",
        "filtered_cloning",
        "alternating",
    }


def test_what_is_no_comparison_is_refused(tmp_path, runs):
    with pytest.raises(RunError, match=r"no run directory.*give run directories"):
        read([tmp_path])
    (tmp_path / "comparison.json").write_text('{"rows": [{"task": "x"}]}')
    with pytest.raises(ComparisonError, match="no comparison"):
        read([tmp_path])
    empty = make_run(tmp_path / "more", "empty", 0, (), updates=())
    with pytest.raises(ComparisonError, match="has no evaluations"):
        read([empty])
    with pytest.raises(ComparisonError, match="two evaluations"):
        read([runs[0], runs[0]])
