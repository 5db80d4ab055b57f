"""ocelot experts train | collect | measure."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.options import Json, write_json

app = typer.Typer(no_args_is_help=True, help="Makes experts, and records their episodes as demonstrations.")

Task = Annotated[str, typer.Argument(help="The task, for example gym/CartPole-v1 or control/cartpole-swingup.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Processes = Annotated[int, typer.Option(min=1, help="That play at the same time; the result does not depend on it.")]


@app.command()
def train(
    task: Task,
    quality: Annotated[str, typer.Option(help="expert, or medium: training stops at --until-return.")] = "expert",
    until_return: Annotated[float | None, typer.Option(help="Stop when the policy's mean return reaches this.")] = None,
    max_env_steps: Annotated[int, typer.Option(help="Stop after so many environment steps.")] = 300_000,
    algorithm: Annotated[
        str | None,
        typer.Option(help="ppo, sac, dqn, cem or dagger; one of the first three if left out, by spaces."),
    ] = None,
    network: Annotated[str, typer.Option(help="DQN's for images: nature2015 or nips2013.")] = "nature2015",
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where TensorBoard's files go.")] = Path("runs/experts"),
    json: Json = None,
) -> None:
    """Trains an expert with RLlib. The same command again goes on where an unfinished training stopped."""
    from actors.experts import train as trainer
    from actors.experts.files import stem
    from cluster.board import Board
    from cluster.interrupt import Interrupted, stop_on_signals
    from cluster.local_ray import local_ray
    from cluster.progress import Progress

    folder = out / f"{stem(task)}-{quality}"
    board = Board(folder)
    with local_ray(), Progress(f"Training on {task}", max_env_steps, "steps") as progress, stop_on_signals() as stop:

        def show(at: trainer.Progress) -> None:
            # Long episodes: between two updates there may have ended none.
            board.scalars({name: value for name, value in at.metrics.items() if not math.isnan(value)}, at.env_steps)
            found = "no episode ended" if math.isnan(at.mean_return) else f"mean return {at.mean_return:.1f}"
            progress.update(at.env_steps, found)

        try:
            file = trainer.train(
                task,
                quality,
                until_return,
                max_env_steps,
                seed,
                progress=show,
                algorithm=algorithm,
                network=network,
                stop=lambda: stop,
            )
        except trainer.Stopped:
            raise Interrupted(f"Stopped after {progress.done} steps; the same command goes on from there") from None
        finally:
            board.close()
    typer.echo(f"Expert: {file}\nRecord its episodes: ocelot experts collect {task} --quality {quality}")
    typer.echo(f"Look at its training: ocelot monitor {folder}")
    write_json(json, {"task": task, "quality": quality, "file": str(file)})


@app.command()
def collect(
    task: Task,
    quality: Annotated[str, typer.Option(help="random, medium, expert or mixed, in D4RL's sense.")] = "medium",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to play.")] = 100,
    seed: Seed = 0,
    dataset: Annotated[
        str | None, typer.Option(help="Id of the new dataset; made from task and quality if left out.")
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Keep an expert's episodes below 80% of its best window too.")
    ] = False,
    processes: Processes = 2,
    json: Json = None,
) -> None:
    """Records an expert's episodes as a Minari dataset. The same command again goes on where it was interrupted."""
    from actors.experts.collect import Collection
    from cluster.crew import share
    from cluster.progress import Progress

    arguments: dict[str, Any] = {
        "task": task,
        "quality": quality,
        "episodes": episodes,
        "seed": seed,
        "dataset_id": dataset,
        "keep_all": keep_all,
    }
    collection = Collection(**arguments)
    missing = collection.missing()
    done = episodes - sum(map(collection.size, missing))
    with Progress(f"{quality} episodes of {task}", episodes, "episodes", done=done) as progress:
        for played in share(Collection, arguments, "play", missing, processes):
            done += played
            progress.update(done)
    made = collection.finish()
    typer.echo(f"Dataset: {made}")
    write_json(json, {"task": task, "quality": quality, "episodes": episodes, "seed": seed, "dataset": made})


@app.command()
def measure(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Tasks, for example babyai/GoToLocal.")],
    episodes: Annotated[int, typer.Option(min=2, help="Episodes of each of the two players.")] = 100,
    seed: Seed = 0,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="References to add to; your own if left out.")
    ] = None,
    processes: Processes = 2,
    json: Json = None,
) -> None:
    """Measures the returns of random actions and of the expert: the 0 and 100 of a task's score.

    A task that FILE already has from as many episodes, the same seed and the same versions is not measured again, so
    the same command goes on where it was interrupted.
    """
    from actors.experts import references
    from cluster.crew import share
    from cluster.progress import Progress

    missing = [task for task in tasks if not references.up_to_date(task, episodes, seed, into)]
    arguments = {"episodes": episodes, "seed": seed}
    with Progress("Measuring", len(tasks), "tasks", done=len(tasks) - len(missing)) as progress:
        for done, measured in enumerate(share(references.Meter, arguments, "measure", missing, processes), start=1):
            references.save(measured, into)
            progress.update(len(tasks) - len(missing) + done, measured.task)
    found = {task: references.entry(task, into) for task in tasks}
    for task, reference in found.items():
        typer.echo(f"{task}: random {reference.random.mean:.2f}, expert {reference.expert.mean:.2f}")
    write_json(
        json, [{"task": name, "random": one.random.mean, "expert": one.expert.mean} for name, one in found.items()]
    )
