"""What flows through a run a second, as its processes measured it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.config_files import read_yaml
from cluster.inspecting.errors import InspectError
from cluster.rundir import RunDirectory
from cluster.watching.events import mean_over_time, read_scalars
from cluster.watching.timing_tree import timing_tree
from policy.checkpoint import WEIGHTS

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Stream:
    """One arrow of the picture."""

    source: str
    to: str
    rate: float
    """Units a second: the mean over the run."""
    unit: str
    bytes: float | None
    """A second; None where nothing that counts is sent."""


def read_flow(run: RunDirectory) -> tuple[list[Stream], dict[str, float]]:
    """The streams of a fine-tuning run, and the share of time that each part of each process took, by tag of time/.

    Raises:
        InspectError: it was never logged, or is no fine-tuning run.
    """
    points = read_scalars(run.path)
    mean = {tag: mean_over_time(values) for tag, values in points.items() if values}
    if "charts/steps_per_second" not in mean:
        raise InspectError(
            f"{run.path} has measured no flow yet: only runs of `ocelot finetune` have one, from their second point "
            "in TensorBoard on"
        )
    window = mean.get("replay/window_bytes")

    def of_windows(rate: float) -> float | None:
        return None if window is None else rate * window

    streams = [
        Stream("environments", "actors", mean["charts/steps_per_second"], "environment steps", None),
        Stream("actors", "policy server", mean.get("policy/actions_per_second", 0.0), "observations", None),
    ]
    for lead, source, to in (
        ("replay/inserts_per_second/", "actors and demonstrations", "replay"),
        ("replay/samples_per_second/", "replay", "learner"),
    ):
        for tag, rate in sorted(mean.items()):
            if tag.startswith(lead) and rate > 0:
                table = tag.removeprefix(lead)
                streams.append(Stream(source, f"{to}, table {table}", rate, "windows", of_windows(rate)))
    updates = mean["charts/updates_per_second"]
    tokens = updates * mean.get("losses/tokens", 0.0)
    streams.append(Stream("windows", "learner", tokens, "tokens", None))
    streams.append(Stream("learner", "policy", updates, "updates", None))
    every = read_yaml(run.path / "config.yaml")["server"]["publish_every"]
    latest = run.latest_checkpoint()
    weights = None if latest is None else (latest / WEIGHTS).stat().st_size * updates / every
    streams.append(Stream("learner", "policy server", updates / every, "publications", weights))
    return streams, {tag: share for tag, share in mean.items() if tag.startswith("time/")}


def drawn(streams: list[Stream], shares: dict[str, float]) -> "RenderableType":
    """The same for a terminal."""
    from rich.console import Group
    from rich.table import Table

    table = Table("from", "to", box=None, pad_edge=False)
    for name in ("a second", "", "bytes a second"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for each in streams:
        size = "" if each.bytes is None else human(each.bytes)
        table.add_row(each.source, each.to, f"{each.rate:,.1f}", each.unit, size)
    return Group(
        "What flows a second (means over the run)",
        "",
        table,
        "",
        "Where the time goes (means over the run)",
        "",
        timing_tree(shares),
    )


def human(size: float) -> str:
    """ "1.2 MB"."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"
