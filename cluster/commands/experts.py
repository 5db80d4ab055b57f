"""ocelot experts train | collect | measure."""

from typing import Annotated

import typer

from cluster.commands.options import Json, write_json

app = typer.Typer(no_args_is_help=True, help="Makes experts, and records their episodes as demonstrations.")

Task = Annotated[str, typer.Argument(help="The task, for example gym/CartPole-v1 or control/cartpole-swingup.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


@app.command()
def train(
    task: Task,
    quality: Annotated[str, typer.Option(help="expert, or medium: training stops at --until-return.")] = "expert",
    until_return: Annotated[float | None, typer.Option(help="Stop when the policy's mean return reaches this.")] = None,
    max_env_steps: Annotated[int, typer.Option(help="Stop after so many environment steps.")] = 300_000,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Trains an expert with PPO. The same command again goes on where an unfinished training stopped."""
    from actors.experts import train as trainer
    from cluster.progress import Progress

    with Progress(f"PPO on {task}", max_env_steps, "steps") as progress:
        file = trainer.train(
            task,
            quality,
            until_return,
            max_env_steps,
            seed,
            progress=lambda at: progress.update(at.env_steps, f"mean return {at.mean_return:.1f}"),
        )
    typer.echo(f"Expert: {file}\nRecord its episodes: ocelot experts collect {task} --quality {quality}")
    write_json(json, {"task": task, "quality": quality, "file": str(file)})


@app.command()
def collect(
    task: Task,
    quality: Annotated[str, typer.Option(help="random, medium, expert or mixed, in D4RL's sense.")] = "medium",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to record.")] = 100,
    seed: Seed = 0,
    dataset: Annotated[
        str | None, typer.Option(help="Id of the new dataset; made from task and quality if left out.")
    ] = None,
    json: Json = None,
) -> None:
    """Records an expert's episodes as a Minari dataset."""
    from actors.experts.collect import collect as record
    from cluster.progress import Progress

    with Progress(f"{quality} episodes of {task}", episodes, "episodes") as progress:
        made = record(task, quality, episodes, seed, dataset, lambda done, _: progress.update(done))
    typer.echo(f"Dataset: {made}")
    write_json(json, {"task": task, "quality": quality, "episodes": episodes, "seed": seed, "dataset": made})


@app.command()
def measure(
    task: Task,
    episodes: Annotated[int, typer.Option(min=2, help="Episodes of each of the two players.")] = 100,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Measures the returns of random actions and of the expert: the 0 and 1 of a task's normalised score."""
    from actors.experts import references
    from cluster.progress import Progress

    with Progress(f"Measuring {task}", 2 * episodes, "episodes") as progress:
        measured = references.measure(task, episodes, seed, lambda done, _: progress.update(done))
    file = references.save(measured)
    typer.echo(f"{task}: random {measured.random.mean:.2f}, expert {measured.expert.mean:.2f}; written to {file}")
    write_json(json, {"task": task, "random": measured.random.mean, "expert": measured.expert.mean})
