"""Every command in README.md and docs/ is one that the command line takes, and those that take seconds are run."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from tests.docs.pages import PAGES, ROOT, Command, commands, files, mentions

EVERY = [command for page in PAGES for command in commands(page)]
TUTORIAL = "your-environment.md"
PATIENCE = 600  # seconds for a command that takes half a minute on an idle machine
OTHERS = {"source", "hf", "kubectl", "git"}
"""Commands that are not ours, and are left to their owners."""


@pytest.mark.parametrize("command", EVERY, ids=lambda command: f"{command.page}: {command.text[:60]}")
def test_the_command_line_takes_it(command: Command):
    words = shlex.split(command.text)
    first, *arguments = itertools.dropwhile(re.compile(r"[A-Z_]+=").match, words)  # variables come first
    if first == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif first == "ocelot":
        parse(arguments)
    elif first == "python":
        assert arguments[0] in files(ROOT / "docs" / command.page)
    else:
        assert first in OTHERS, f"{first}: say in {__name__} whose command that is"


def parse(arguments: list[str]) -> None:
    """Reads arguments as `ocelot` does, and runs nothing."""
    command = typer.main.get_command(app())
    context = command.make_context("ocelot", list(arguments), resilient_parsing=True)
    while hasattr(command, "commands"):
        name = arguments.pop(0)
        if name in ("--help", "-h"):
            return
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
        if not hasattr(command, "commands") and not {"--help", "--help-config"} & set(arguments):
            context = command.make_context(name, list(arguments), parent=context)  # raises on an unknown option


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_the_text_exist_with_their_options(page: Path):
    for mention in mentions(page):
        known = typer.main.get_command(app())
        for word in re.split(r"[\s,;]+", mention):
            names = word.replace("\\|", "|").split("|")
            if not hasattr(known, "commands") or not re.fullmatch(r"[a-z]+", names[0]):
                break
            missing = set(names) - known.commands.keys()
            assert not missing, f"{page.name}: there is no `ocelot {mention}`"
            known = known.commands[names[0]]
        options = {name for parameter in known.params for name in (*parameter.opts, *parameter.secondary_opts)}
        unknown = set(re.findall(r"--[a-z][a-z-]+", mention)) - options - {"--help"}
        assert not unknown, f"{page.name}: `ocelot {mention}` has no {', '.join(unknown)}"


def app():
    from cluster.cli import app

    return app


def run(command: Command, folder: Path) -> None:
    """Runs a command as a person does who has installed Ocelot, in their own folder."""
    ours = f"{shlex.quote(sys.executable)} -P -c 'from cluster.cli import main; main()'"
    line = re.sub(r"^ocelot\b", ours, command.shortened)
    line = re.sub(r"^python\b", shlex.quote(sys.executable), line)
    known = {"PYTHONPATH": str(ROOT), "MINARI_DATASETS_PATH": str(folder / "datasets"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        line, shell=True, cwd=folder, env=os.environ | known, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, f"{command.page}: {command.text}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


def prepare(folder: Path, page: Path) -> None:
    """Writes a page's files; results and examples lie beside them as in a checkout."""
    (folder / "datasets").mkdir(exist_ok=True)
    for name in ("results", "examples"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    for name, content in files(page).items():
        (folder / name).write_text(content)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != TUTORIAL], ids=lambda page: page.name)
def test_quick_commands_do_what_they_say(page: Path, tmp_path):
    wanted = [command for command in commands(page) if command.long is None and command.after is None]
    prepare(tmp_path, page)
    for command in wanted:
        if command.text.startswith(("ocelot", "python")):
            run(command, tmp_path)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory) -> Path:
    """The folder of somebody who followed the page about their own environment, with few updates."""
    folder = tmp_path_factory.mktemp("tutorial")
    page = ROOT / "docs" / TUTORIAL
    prepare(folder, page)
    for command in commands(page):
        if command.long is None:
            run(command, folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_new_environment_is_tuned_compared_and_filmed(tutorial: Path):
    page = (tutorial / "comparison" / "comparison.html").read_text()
    assert "no interval can be had" in page
    assert "no reference scores for gym/corridor:Corridor-v0" in page
    assert "Intervals: 95% over seeds" in (tutorial / "two-seeds" / "comparison.html").read_text()
    assert (tutorial / "walkers.mp4").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_other_pages_go_on_from_there(tutorial: Path, tmp_path):
    for page in PAGES:
        wanted = [command for command in commands(page) if command.after == TUTORIAL]
        if not wanted:
            continue
        folder = tmp_path / page.stem
        shutil.copytree(tutorial, folder, symlinks=True)
        prepare(folder, page)
        for name, content in files(page).items():
            (folder / name).write_text(content.replace("updates: 2000", "updates: 10"))
        shorter = "--set run.updates=10 --set actors.steps=300 --set evaluation.episodes=1"
        shorter += " --set evaluation.every=0 --set evaluation.clips=false"
        for command in wanted:
            offline = shorter.replace("--set actors.steps=300 ", "")
            tiny = offline if command.text.startswith("ocelot pretrain") else shorter
            run(Command(command.page, command.text, tiny=tiny), folder)


def test_readme_tells_the_tutorials_story():
    """What README does not run is run as the page about a person's own environment."""
    readme, tutorial = ROOT / "README.md", ROOT / "docs" / TUTORIAL
    told = [command.text for command in commands(readme) if command.long == f"docs/{TUTORIAL} runs the same"]
    assert len(told) > 8
    assert set(told) <= {command.text for command in commands(tutorial)}
    assert files(readme).items() <= files(tutorial).items()


def test_pages_have_commands_at_all():
    assert len(EVERY) > 30
    assert {"README.md", TUTORIAL, "quickstart.md"} <= {command.page for command in EVERY}
