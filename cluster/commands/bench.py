"""ocelot bench."""

from typing import Annotated

import typer

from cluster.commands.options import Json, write_json

app = typer.Typer(help="Speed, against what it could be.", no_args_is_help=True)

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
    from cluster import bench
    from cluster.bench_decode import decode as measure
    from cluster.bench_decode import everything, missing

    chosen = [(size, kind) for size, kind in everything(quick) if model in (None, size) and work in (None, kind)]
    if not chosen:
        raise typer.BadParameter(f"nothing is measured for model {model} and work {work}")
    figures = []
    for part in measure(chosen, threads, min(repeats, 3) if quick else repeats):
        bench.show(part)
        figures += part
        write_json(json, bench.result(figures))
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
    from cluster import bench
    from cluster.bench_serve import MODELS
    from cluster.bench_serve import serve as measure

    seconds, repeats = _effort(quick)
    names = [model] if model else ["4x128"] if quick else list(MODELS)
    figures = [figure for name in names for figure in measure(name, _checked(dtype), seconds, repeats)]
    bench.show(figures)
    write_json(json, bench.result(figures))


@app.command()
def demonstrations(quick: Quick = False, json: Json = None) -> None:
    """Demonstrations from disk, against what a learner of 4 layers of width 128 consumes; one thread each."""
    from cluster import bench
    from cluster.bench_demonstrations import demonstrations as measure

    figures = measure(*_effort(quick))
    bench.show(figures)
    write_json(json, bench.result(figures))


@app.command()
def domains(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks; some of every kind if left out.")] = None,
    quick: Quick = False,
    json: Json = None,
) -> None:
    """Stepping with tokens and patches, against the simulators alone; one thread."""
    from cluster import bench, bench_domains

    seconds, repeats = (1.0, 1) if quick else (3.0, 5)
    figures = [bench_domains.measure(task, seconds, repeats) for task in tasks or bench_domains.TASKS]
    bench.show(figures)
    write_json(json, bench.result(figures))


@app.command()
def loop(quick: Quick = False, dtype: Dtype = "float32", json: Json = None) -> None:
    """The whole loop (two actor processes, server, replay), without and with the learner; memory of each process."""
    from cluster import bench
    from cluster.bench_loop import loop as measure

    seconds, repeats = _effort(quick)
    figures = measure(_checked(dtype), seconds, repeats)
    bench.show(figures)
    write_json(json, bench.result(figures))


@app.command()
def train(quick: Quick = False, json: Json = None) -> None:
    """The learner on one thread, against plain PyTorch and Hugging Face's GPT-2; and how long it waits for Reverb."""
    from cluster import bench
    from cluster.bench_train import SIZES
    from cluster.bench_train import train as measure

    seconds, repeats = _effort(quick)
    figures = measure(["4x128"] if quick else list(SIZES), seconds, repeats)
    bench.show(figures)
    write_json(json, bench.result(figures))


def _effort(quick: bool) -> tuple[float, int]:
    """Seconds of one measurement, and how often it is repeated."""
    return (2.0, 3) if quick else (10.0, 5)


def _checked(dtype: str) -> str:
    if dtype not in ("float32", "bfloat16"):
        raise typer.BadParameter(f"'{dtype}' must be float32 or bfloat16", param_hint="--dtype")
    return dtype
