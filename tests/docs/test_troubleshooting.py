"""Every message that the page about trouble explains is one that is really given."""

import errno
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.cli import app
from cluster.comparing.files import read
from cluster.config import PretrainConfig
from cluster.rundir import RunDirectory, writing
from policy import checkpoint
from policy.errors import OcelotError
from tests.cluster.comparing.test_files import make_run
from tests.docs.pages import ROOT, files

TEXT = (ROOT / "docs" / "troubleshooting.md").read_text()
MESSAGES = re.findall(r"^\*\*`(.*?)`\*\*$", TEXT, re.MULTILINE)
UNBOUNDED = """
import gymnasium as gym
import numpy as np

class Unbounded(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)

gym.register("Unbounded-v0", "unbounded:Unbounded")
"""


def command(*arguments: str) -> Callable[[], object]:
    return lambda: app(list(arguments), standalone_mode=False)


def another_configuration() -> None:
    def made(seed: int) -> RunDirectory:
        run = {"name": "cloning", "updates": 1, "seed": seed}
        return RunDirectory.create(PretrainConfig.model_validate({"run": run, "tasks": [{"name": "gym/CartPole-v1"}]}))

    made(0).add_evaluation({})
    made(1)


def no_evaluations() -> None:
    read([make_run(Path("runs"), "cloning", 0, (), updates=())])


def twice() -> None:
    run = make_run(Path("runs"), "awr", 0, (1.0,), updates=(100,))
    read([run, run])


def no_space() -> None:
    with writing(Path("runs/cloning")):
        raise OSError(errno.ENOSPC, "no space left on device")


def cut_off() -> None:
    from actors.domains import task_layout
    from policy.config import PolicyConfig
    from policy.model import Policy

    sizes = PolicyConfig(layers=1, width=8, heads=1, feedforward=8, context=16)
    checkpoint.save("saved", Policy(sizes), {"gym/CartPole-v1": task_layout("gym/CartPole-v1")})
    Path("saved/model.safetensors").write_bytes(Path("saved/model.safetensors").read_bytes()[:1000])
    checkpoint.load("saved")


CORRIDOR = "gym/corridor:Corridor-v0"
CAUSES = {
    "unknown task 'gym/CartPol-v1'": command("domains", "gym/CartPol-v1"),
    "no module named 'corridor'": command("domains", CORRIDOR),
    "its space cannot become tokens": command("domains", "gym/unbounded:Unbounded-v0"),
    "learner.learnig_rate": command("finetune", "finetune.yaml", "--set", "learner.learnig_rate=1"),
    "no dataset 'mine/nothing-v0'": command("pretrain", "pretrain.yaml", "--set", "tasks=[{name: gym/CartPole-v1, "
                                            "datasets: [mine/nothing-v0]}]"),
    "no checkpoint at runs/pretrained": command("finetune", "finetune.yaml"),
    "runs/cloning exists": another_configuration,
    "has no evaluations": no_evaluations,
    "has two evaluations": twice,
    "no space left on the disk of runs/cloning": no_space,
    "is not a whole safetensors file": cut_off,
}  # fmt: skip


@pytest.mark.parametrize("start", CAUSES, ids=str)
def test_the_message_is_as_the_page_quotes_it(start: str, tmp_path, monkeypatch):
    (quoted,) = [message for message in MESSAGES if start in message]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "unbounded.py").write_text(UNBOUNDED)
    for name, content in files(ROOT / "docs" / "your-environment.md").items():
        if name.endswith(".yaml"):
            (tmp_path / name).write_text(content)
    with pytest.raises(OcelotError) as raised:
        CAUSES[start]()
    said = str(raised.value)
    for part in re.split(r"\.\.\.|runs/cloning has|arm 'awr' has|model\.safetensors is", quoted):
        assert part.strip(" ()?;") in said, f"{part!r} is not in: {said}"


def test_messages_that_take_a_run_are_in_the_source():
    rest = [message for message in MESSAGES if not any(start in message for start in CAUSES)]
    source = (ROOT / "cluster" / "finetune.py").read_text() + (ROOT / "actors" / "experts" / "registry.py").read_text()
    assert len(rest) == 2
    assert "environment steps are done, but the learner has waited" in source
    assert "environment steps are done, but the learner has waited" in rest[1]
    assert re.search(r"it has: |make one with", source)
