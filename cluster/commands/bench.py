"""ocelot bench."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json, write_json

app = typer.Typer(help="Speed, against what it could be.", no_args_is_help=True)

HISTORY = Path("benchmarks/history.jsonl")
PAGE = Path("docs/speed-history.html")

Quick = Annotated[bool, typer.Option("--quick", help="Under a minute, and less exact.")]
Dtype = Annotated[str, typer.Option(help="Of weights and cache: float32 or bfloat16.")]


@app.command()
def decode(
    quick: Quick = False,
    model: Annotated[str | None, typer.Option(help="4x128, 6x256 or 8x768; all if left out.")] = None,
    work: Annotated[str | None, typer.Option(help="Tokens of a step: 7, 44 or 22 (images); all if left out.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each contender.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, help="Episodes of each contender.")] = 5,
    json: Json = None,
) -> None:
    """The decoding engine in one process, against plain PyTorch, Hugging Face's GPT-2 and recomputing."""
    from cluster.bench.decode import decode as measure
    from cluster.bench.decode import everything, missing
    from cluster.bench.figures import result, show

    chosen = [(size, kind) for size, kind in everything(quick) if model in (None, size) and work in (None, kind)]
    if not chosen:
        raise typer.BadParameter(f"nothing is measured for model {model} and work {work}")
    figures = []
    for part in measure(chosen, threads, min(repeats, 3) if quick else repeats):
        show(part)
        figures += part
        write_json(json, result(figures))
    if missing() is not None:
        typer.echo(missing())


@app.command()
def serve(
    quick: Quick = False,
    dtype: Dtype = "float32",
    model: Annotated[str | None, typer.Option(help="4x128, 6x256 or 8x768; all if left out.")] = None,
    json: Json = None,
) -> None:
    """The policy server asked by 4 processes, against the engine in one; latency; a frozen process among others."""
    from cluster.bench.figures import result, show
    from cluster.bench.serve import MODELS
    from cluster.bench.serve import serve as measure

    seconds, repeats = _effort(quick)
    names = [model] if model else ["4x128"] if quick else list(MODELS)
    figures = []
    for name in names:
        part = measure(name, _checked(dtype), seconds, repeats)
        show(part)
        figures += part
        write_json(json, result(figures))


@app.command()
def demonstrations(quick: Quick = False, json: Json = None) -> None:
    """Demonstrations from disk, against what a learner of 4 layers of width 128 consumes; one thread each."""
    from cluster.bench.demonstrations import demonstrations as measure
    from cluster.bench.figures import result, show

    figures = measure(*_effort(quick))
    show(figures)
    write_json(json, result(figures))


@app.command()
def domains(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks; some of every kind if left out.")] = None,
    quick: Quick = False,
    json: Json = None,
) -> None:
    """Stepping with tokens and patches, against the simulators alone; one thread.

    The file of --json is written after each task, and the same command goes on where it was interrupted.
    """
    from cluster.bench import domains
    from cluster.bench.figures import result, show

    seconds, repeats = (1.0, 1) if quick else (3.0, 5)
    figures = []
    for figure in domains.measure_all(tasks or domains.TASKS, seconds, repeats, json):
        figures.append(figure)
        write_json(json, result(figures))
    show(figures)


@app.command()
def loop(quick: Quick = False, dtype: Dtype = "float32", json: Json = None) -> None:
    """The whole loop (two actor processes, server, replay), without and with the learner; memory of each process."""
    from cluster.bench.figures import result, show
    from cluster.bench.loop import loop as measure

    seconds, repeats = _effort(quick)
    figures = measure(_checked(dtype), seconds, repeats)
    show(figures)
    write_json(json, result(figures))


@app.command()
def contest(
    tasks: Annotated[list[str] | None, typer.Argument(help="cartpole, pendulum, busy; all if left out.")] = None,
    sb3: Annotated[
        str | None, typer.Option(metavar="PYTHON", help="A Python that has stable-baselines3; left out without one.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="That each library is measured on each task.")] = 60.0,
    quick: Quick = False,
    dtype: Dtype = "float32",
    json: Json = None,
) -> None:
    """The whole loop against RLlib's IMPALA and stable-baselines3's PPO: speed, memory, and where the time goes.

    In `busy`, a step of a simulator takes 5 ms of processor time; the others are CartPole and Pendulum.
    """
    from cluster.bench import loop_contest
    from cluster.bench.figures import Figure, result, show
    from cluster.bench.loop_simulators import TASKS

    for task in tasks or ():
        if task not in TASKS:
            raise typer.BadParameter(f"'{task}' must be one of {', '.join(TASKS)}", param_hint="TASKS")
    figures: list[Figure] = []
    libraries: dict[str, str] = {}
    for task in tasks or TASKS:
        measured = loop_contest.contest(task, 5.0 if quick else seconds, _checked(dtype), loop_contest.pythons(sb3))
        libraries |= {name: each.version for name, each in measured.items()}
        figures += (part := loop_contest.figures(task, measured))
        show(part)
        write_json(json, result(figures) | {"libraries": libraries})


@app.command()
def train(
    quick: Quick = False,
    model: Annotated[
        str | None,
        typer.Option(help="4x128, 6x256 or 8x768, or Gato's 79M, 364M or 1.18B; all of the device's if left out."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda where there is a GPU if left out.")] = None,
    json: Json = None,
) -> None:
    """The learner on one thread or a GPU, against plain PyTorch, Hugging Face's GPT-2, and what the hardware can do.

    And what it waits for: windows of Reverb, and checkpoints of the largest. The file of --json is written after each
    model.
    """
    from cluster.bench.figures import Figure, result, show
    from cluster.bench.train import train as measure
    from cluster.bench.train_sizes import GATO, SIZES
    from policy.devices import best

    if model not in (None, *SIZES, *GATO):
        raise typer.BadParameter(f"'{model}' must be one of {', '.join(SIZES | GATO)}", param_hint="--model")
    device = device or best()
    if device not in ("cpu", best()):
        raise typer.BadParameter(f"'{device}' must be cpu, or cuda where there is a GPU", param_hint="--device")
    every = list(SIZES if device == "cpu" else GATO)
    figures: list[Figure] = []
    for part in measure([model] if model else every[:1] if quick else every, *_effort(quick), device):
        show(part)
        write_json(json, result(figures := [*figures, *part]))


@app.command()
def history(
    results: Annotated[
        list[Path] | None, typer.Argument(metavar="RESULT...", help="What other benchmarks wrote with --json.")
    ] = None,
    file: Annotated[Path, typer.Option(help="The history, which the results are added to.")] = HISTORY,
    page: Annotated[Path, typer.Option(help="The page that is drawn from it.")] = PAGE,
    json: Json = None,
) -> None:
    """Adds results to the history of benchmarks, says which figures became worse, and draws every one over time.

    A line of the history has the commit, hardware, versions and figures of one result, under the name of its file.
    """
    from cluster.bench import history
    from cluster.bench.history_page import render
    from cluster.rundir import writing

    for result in results or []:
        history.add(file, result)
    measurements = history.read(file)
    changes = history.changes(measurements)
    for line in history.in_words(changes):
        typer.echo(line)
    with writing(page):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(render(measurements))
    typer.echo(f"Written: {page}")
    write_json(json, [asdict(change) for change in changes])


@app.command()
def scale(
    quick: Annotated[bool, typer.Option("--quick", help="Under two minutes, and less exact.")] = False,
    actors: Annotated[int | None, typer.Option(min=16, help="Largest load; 200, or 100 with --quick.")] = None,
    step_ms: Annotated[list[float] | None, typer.Option(help="Milliseconds of a step; 20 and 50, quick: 50.")] = None,
    json: Json = None,
) -> None:
    """Where server, replay and learner saturate under many simulated actors, and what that says of twice as many."""
    from cluster.bench.figures import result, show
    from cluster.bench.scale.measure import Effort, loads, report
    from cluster.bench.scale.measure import scale as measure

    if any(step <= 0 for step in step_ms or ()):
        raise typer.BadParameter("a step takes more than 0 ms", param_hint="--step-ms")
    steps = [step / 1000 for step in step_ms or ([50] if quick else [20, 50])]
    if quick:
        effort = Effort(loads(actors or 100, 3), steps, warm=3.0, seconds=1.0, repeats=2)
    else:
        effort = Effort(loads(actors or 200, 5), steps, warm=10.0, seconds=5.0, repeats=3)
    points = []
    for sweep in measure(effort):
        points += sweep
        show(report(sweep))
        write_json(json, result(report(points)) | {"points": [vars(point) for point in points]})


def _effort(quick: bool) -> tuple[float, int]:
    """Seconds of one measurement, and how often it is repeated."""
    return (2.0, 3) if quick else (10.0, 5)


def _checked(dtype: str) -> str:
    if dtype not in ("float32", "bfloat16"):
        raise typer.BadParameter(f"'{dtype}' must be float32 or bfloat16", param_hint="--dtype")
    return dtype
