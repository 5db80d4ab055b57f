"""What TensorBoard makes of a run, asked over HTTP as its pages ask, and in a browser."""

import io
import json
import re
import shutil
import sys
import time
import urllib.parse
import urllib.request

import pytest
from PIL import Image

from cluster.monitor import FIRST, MonitorError, names, start
from tests.cluster.browser import browser
from tests.cluster.small import CARTPOLE, PENDULUM

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def url(watched, offline, tmp_path_factory):
    before = "tensorflow" in sys.modules
    address = start([offline.path, watched.path, watched.path], tmp_path_factory.mktemp("links"))
    assert ("tensorflow" in sys.modules) == before, "it costs 0.45 GB"
    deadline = time.monotonic() + 60
    while len(get(address, "data/plugin/scalars/tags").get("watched", {})) < 60:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return address


def get(url: str, path: str, body: dict | None = None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_it_serves_runs_by_their_names_on_loopback(url):
    assert url.startswith("http://127.0.0.1:")
    assert sorted(get(url, "data/runs")) == ["offline", "watched"]


def test_the_first_page_asks_three_questions_and_each_chart_shows_something(url):
    tags = get(url, "data/plugin/scalars/tags")
    shown = {tag for run in tags.values() for tag in run}
    categories = get(url, "data/plugin/custom_scalars/layout")["category"]
    assert {each["title"] for each in categories} == {
        "1. Is it learning?",
        "2. Is it healthy?",
        "3. Where does the time go?",
        "Pretraining",
    }
    for category in categories:
        for chart in category["chart"]:
            patterns = [re.compile(tag) for tag in chart["multiline"]["tag"]]
            found = {tag for tag in shown if any(pattern.search(tag) for pattern in patterns)}
            if category["title"] == "Pretraining":
                assert all(tag.startswith("offline/") for tag in found)
                assert found or "score" in chart["title"], "that run was not evaluated"
            elif f"{PENDULUM}: return" not in chart["title"]:  # too few steps for an episode of 200
                assert found, chart["title"]
                assert not any(tag.startswith("offline/") for tag in found)


def test_hyperparameters_are_of_the_runs_themselves_with_scores_beside_them(url):
    experiment = get(url, "data/plugin/hparams/experiment", {"experimentName": ""})
    assert "learner.learning_rate" in {each["name"] for each in experiment["hparamInfos"]}
    assert f"eval/score/{CARTPOLE}/greedy" in {each["name"]["tag"] for each in experiment["metricInfos"]}


def test_clips_move_and_stills_lie_side_by_side(url):
    images = get(url, "data/plugin/images/tags")["watched"]
    assert set(images) == {f"eval/{kind}/{task}" for kind in ("clip", "stills") for task in (CARTPOLE, PENDULUM)}

    def image(tag: str) -> Image.Image:
        query = f"data/plugin/images/images?run=watched&tag={urllib.parse.quote(tag)}&sample=0"
        newest = get(url, query)[-1]
        with urllib.request.urlopen(f"{url}data/plugin/images/individualImage?{newest['query']}", timeout=60) as file:
            return Image.open(io.BytesIO(file.read()))

    clip, stills = image(f"eval/clip/{PENDULUM}"), image(f"eval/stills/{PENDULUM}")
    assert clip.format == "GIF"
    # 200 steps at 30 a second, of which each third is drawn; pictures that are alike in all pixels count once.
    assert 30 <= clip.n_frames <= 67
    assert stills.width == 6 * clip.width
    assert stills.height == clip.height


def test_cards_tell_of_configuration_tasks_and_times(url):
    cards = get(url, "data/plugin/text/tags")["watched"]
    assert {card.split("/")[1] for card in cards} == {"config", "tasks", "environment", "time"}

    def text(name: str) -> str:
        return get(url, f"data/plugin/text/text?run=watched&tag=run/{name}/text_summary")[-1]["text"]

    assert "log_every: 1" in text("config")
    assert f"<td>{CARTPOLE}</td>" in text("tasks")
    assert "forward" in text("time")


def test_mistakes_are_named(tmp_path):
    with pytest.raises(MonitorError, match="no folder"):
        start([tmp_path / "missing"], tmp_path)
    (tmp_path / "run").mkdir()
    with pytest.raises(MonitorError, match="no TensorBoard events"):
        start([tmp_path / "run"], tmp_path)


def test_names_are_what_tells_runs_apart(tmp_path):
    assert names([tmp_path / "runs" / "one"]) == ["one"]
    assert names([tmp_path / "runs" / "one", tmp_path / "old" / "one"]) == ["runs/one", "old/one"]


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt-get install chromium")
def test_the_pages_load_in_a_browser_and_draw_the_charts(url, tmp_path):
    with browser(str(BROWSER), tmp_path) as text_of:
        first = ("1. Is it learning?", "2. Is it healthy?", "interquartile mean of the evaluations' scores", "watched")
        text_of(f"{url}#{FIRST}", first)
        text_of(f"{url}#images", (f"eval/clip/{CARTPOLE}", f"eval/stills/{PENDULUM}"))
        text_of(f"{url}#text", ("run/config", "run/time"))
        text_of(f"{url}#timeseries", ("/steps_per_second", "offline"))
