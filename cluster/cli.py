"""The command line: `ocelot COMMAND`. A command is a module of commands/, which imports what it needs when it runs."""

import os
import sys

import typer

from cluster.commands import (
    bench,
    cluster,
    compare,
    demos,
    doctor,
    domains,
    evaluate,
    experts,
    export,
    finetune,
    import_,
    inspect,
    monitor,
    pretrain,
    quickstart,
    record,
    runs,
    sizes,
    study,
    tokenizer,
)
from cluster.packages import how_to_install
from policy.errors import OcelotError

PERSON = 2  # exit status for what a person can put right

app = typer.Typer(
    name="ocelot",
    help="Generalist token policies, pretrained by imitation and made better online by reinforcement learning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("quickstart")(quickstart.quickstart)
app.command("doctor")(doctor.doctor)
app.command("domains")(domains.domains)
app.add_typer(experts.app, name="experts")
app.add_typer(demos.app, name="demos")
app.command("pretrain")(pretrain.pretrain)
app.command("finetune")(finetune.finetune)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("study")(study.study)
app.command("monitor")(monitor.monitor)
app.command("runs")(runs.runs)
app.command("record")(record.record)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("inspect")(inspect.inspect)
app.command("sizes")(sizes.sizes)
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(bench.app, name="bench")
app.add_typer(cluster.app, name="cluster")


def main() -> None:
    """Runs a command. What a person can put right is told without a traceback, with exit status 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported; processes inherit it
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _see_current_directory()
    try:
        app()
    except OcelotError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(PERSON)
    except ModuleNotFoundError as error:
        hint = how_to_install(error.name)
        if hint is None:
            raise
        print(f"Error: {hint}", file=sys.stderr)
        sys.exit(PERSON)


def _see_current_directory() -> None:
    """Lets gym/my_module:MyEnv-v0 find my_module.py where the command is given, in processes of Ray too; after all that
    is installed, so that no file there takes the place of a package."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    known = os.environ.get("PYTHONPATH")
    if here not in (known or "").split(os.pathsep):
        os.environ["PYTHONPATH"] = f"{known}{os.pathsep}{here}" if known else here
