"""ocelot cluster."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.options import ConfigFiles, Json, Name, Overrides, help_config, overrides, write_json

app = typer.Typer(help="Launches Ray clusters: of this machine, of machines over ssh, or on Kubernetes.")
NAME = typer.Argument(help="Which cluster.")


def _model() -> Any:
    from cluster.launch.config import ClusterConfig

    return ClusterConfig


@app.command()
def up(
    file: Annotated[Path | None, typer.Argument(help="The cluster as YAML; none: this machine alone.")] = None,
    set_: Overrides = None,
    show: Annotated[bool, typer.Option(help="Only print what Ray's launcher or Kubernetes would be given.")] = False,
    help_config: Annotated[bool, help_config(_model)] = False,
) -> None:
    """Launches a cluster, closed to all who lack its token."""
    import yaml

    from cluster.config_files import load
    from cluster.launch import kubernetes, ssh
    from cluster.launch.config import ClusterConfig
    from cluster.launch.kinds import KINDS
    from cluster.launch.state import ClusterState, LaunchError

    config = load(ClusterConfig, [] if file is None else [file], set_ or [])
    state = ClusterState(config.name)
    if show:
        if config.kind == "local":
            raise LaunchError("a cluster of this machine is started directly; there is nothing to show")
        made = [ssh.launcher_file(config, state)] if config.kind == "ssh" else kubernetes.manifests(config, "TOKEN")
        typer.echo(yaml.safe_dump_all(made, sort_keys=False))
        return
    state.create(config)
    KINDS[config.kind].up(config, state)
    typer.echo(f"Cluster {config.name} runs; its token is in {state.token}")
    typer.echo(f"Run on it: ocelot cluster submit CONFIG --cluster {config.name}")


@app.command()
def status(cluster: Annotated[str, NAME] = "local", json: Json = None) -> None:
    """Shows a cluster's nodes."""
    from cluster.launch.jobs import nodes
    from cluster.launch.state import ClusterState

    state = ClusterState(cluster)
    found = nodes(state.config(), state)
    typer.echo(f"Cluster {cluster}; token {state.token}")
    for node in found:
        resources = {key: value for key, value in node["resources_total"].items() if key in ("CPU", "GPU")}
        role = "head" if node["is_head_node"] else "worker"
        typer.echo(f"  {node['node_ip']:15} {role:6} {node['state']:5} {resources}")
    write_json(json, {"cluster": cluster, "nodes": found})


@app.command()
def submit(
    config: ConfigFiles,
    set_: Overrides = None,
    name: Name = None,
    cluster: Annotated[str, typer.Option(help="Which cluster.")] = "local",
    allow_open_replay: Annotated[
        bool, typer.Option(help="Go on where anybody on the cluster's network could read and write replay.")
    ] = False,
    own_cluster: Annotated[
        bool, typer.Option(help="Kubernetes: a RayJob with a cluster of its own, made anew when it fails.")
    ] = False,
) -> None:
    """Runs `ocelot finetune` on a cluster as a Ray job, with the current directory, and follows it to its end.

    The exit status is the run's. The same command again resumes the run. Leaving it (Ctrl-C) leaves the job running.
    """
    from cluster.config import FinetuneConfig
    from cluster.config_files import dump, load
    from cluster.launch import kubernetes
    from cluster.launch.jobs import on_cluster
    from cluster.launch.jobs import submit as send
    from cluster.launch.state import ClusterState, LaunchError

    state = ClusterState(cluster)
    where = state.config()
    run = on_cluster(load(FinetuneConfig, config, overrides(set_, name)), where)
    if own_cluster and where.kind != "kubernetes":
        raise LaunchError(f"--own-cluster is for clusters of kind kubernetes; '{cluster}' is of kind {where.kind}")
    if own_cluster:
        flags = ["--allow-open-replay"] if allow_open_replay else []
        raise typer.Exit(kubernetes.start_job(where, state, dump(run), flags))
    raise typer.Exit(send(where, state, run, allow_open_replay))


@app.command()
def down(cluster: Annotated[str, NAME] = "local") -> None:
    """Ends a cluster; run directories stay."""
    from cluster.launch.kinds import KINDS
    from cluster.launch.state import ClusterState

    state = ClusterState(cluster)
    config = state.config()
    KINDS[config.kind].down(config, state)
    typer.echo(f"Cluster {cluster} has ended.")
