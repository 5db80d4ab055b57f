import json
import subprocess
import sys

import pytest

from cluster.packages import how_to_install

COMMANDS = [
    "quickstart",
    "domains",
    "experts",
    "pretrain",
    "finetune",
    "evaluate",
    "compare",
    "monitor",
    "runs",
    "record",
    "inspect",
]


def ocelot(*arguments, timeout=120, **options):
    command = [sys.executable, "-c", "from cluster.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)


def test_help_names_every_command_and_is_quick():
    done = ocelot("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
    check = "import sys, cluster.cli; sys.exit(any(m in sys.modules for m in ('torch', 'ray', 'gymnasium', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", check], timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["domains", "gym/CartPol-v1"], "gym/CartPole-v1"),
        (["finetune", "missing.yaml"], "no such file"),
        (["compare", "runs/missing", "--out", "out"], "no run directory"),
        (["evaluate", "runs/missing"], "no checkpoint"),
        (["quickstart", "--arms", "clonning", "--out", "out"], "clonning"),
        (["monitor", "runs/missing"], "no folder"),
        (["runs", "missing"], "no folder"),
    ],
)
def test_errors_of_a_person_have_no_traceback(tmp_path, arguments, text):
    done = ocelot(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_exits_with_2(tmp_path):
    assert ocelot("finetune").returncode == 2
    assert ocelot("fintune").returncode == 2


def test_errors_of_ours_keep_their_traceback():
    code = (
        "from unittest import mock\n"
        "import cluster.cli\n"
        "with mock.patch('cluster.cli.app', side_effect=ZeroDivisionError):\n"
        "    cluster.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_missing_package_is_named():
    hint = how_to_install("reverb.client")
    assert hint is not None
    assert "dm-reverb" in hint
    assert "replay.backend=memory" in hint
    assert how_to_install("policy.nothing") is None


def test_help_config_describes_settings():
    done = ocelot("finetune", "--help-config")
    assert done.returncode == 0
    assert "learning_rate: float = 0.0003  # Peak step size of AdamW." in done.stdout


def test_domains_describes_a_task(tmp_path):
    file = tmp_path / "task.json"
    done = ocelot("domains", "gym/CartPole-v1", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert "tokens a step: 6 (4 observation, 1 separator, 1 action)" in done.stdout
    description = json.loads(file.read_text())
    assert description["step_tokens"] == 6
    assert description["observation"]["low"][1] is None, "JSON has no infinity"


def test_a_module_beside_the_person_is_found_and_takes_no_packages_place(tmp_path):
    (tmp_path / "rooms.py").write_text(
        "import gymnasium as gym\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "gym.register('Room-v0', lambda **settings: CartPoleEnv(**settings), max_episode_steps=9)\n"
    )
    (tmp_path / "yaml.py").write_text("raise RuntimeError('not this one')\n")
    done = ocelot_script("domains", "gym/rooms:Room-v0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tokens a step: 6" in done.stdout


def ocelot_script(*arguments, **options):
    """As the installed command starts: the current directory is not on the path, other than with python -c."""
    command = [sys.executable, "-P", "-c", "from cluster.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
