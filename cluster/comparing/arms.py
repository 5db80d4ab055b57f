"""Runs into arms: runs whose settings agree are one arm, and what differs is said."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from typing import Any

from cluster.comparing.comparison import Row, Run
from cluster.config_files import flatten
from cluster.rundir import SIZES

ORDER = ("random", "demonstrations", "expert", "pretrained", "cloning", "filtered_cloning")
"""Arms that stand first, in this order; the others follow by name."""

PLAYERS = ("random", "demonstrations", "expert")
"""No policies of ours, but what they are held against."""

BASELINE = "cloning"
"""The arm that the others are held against, where it is there."""

NO_DIFFERENCE = re.compile(r"run\.(name|folder|arm|seed|checkpoint_every|keep_checkpoints|log_every)$|evaluation\.")
"""Settings that make no other arm, as those of `rundir.SIZES`: what runs are called, leave behind, are evaluated on."""

Settings = dict[str, Any]


def arms(rows: Sequence[Row]) -> list[str]:
    """Arms in the order in which they are shown."""
    found = {row.arm for row in rows}
    return [arm for arm in ORDER if arm in found] + sorted(found - set(ORDER))


def baseline(names: Sequence[str]) -> str | None:
    """Whom the others are held against: cloning, or the first that learned anything after pretraining."""
    if BASELINE in names:
        return BASELINE
    learned = [arm for arm in names if arm not in (*PLAYERS, "pretrained")]
    return learned[0] if learned else None


def group(runs: Sequence[Run]) -> list[Run]:
    """The runs with their arms.

    Runs are one arm when they were given the same name of one (`run.arm`) and their settings agree; where they begin is
    a setting only between runs of one seed.
    """
    groups: dict[tuple, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.config["run"]["arm"], run.online, _key(settings(run))].append(run)
    parts = [part for members in groups.values() for part in _by_start(members)]
    names = [_name(part) for part in parts]
    result: dict[str, Run] = {}
    for name, part in zip(names, parts, strict=True):
        alike = [other for other_name, other in zip(names, parts, strict=True) if other_name == name]
        arm = name if len(alike) == 1 else f"{name} ({_what(part[0], [other[0] for other in alike])})"
        result |= {run.folder: replace(run, arm=arm) for run in part}
    return [result[run.folder] for run in runs]


def differences(runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """What differs between arms of `ocelot finetune` (of `ocelot pretrain`, when there are no others): setting, arm,
    value."""
    chosen = [run for run in runs if run.online] or list(runs)
    by_arm = {run.arm: settings(run) for run in chosen}
    result = {}
    for key in _differing(by_arm.values()):
        result[key] = {arm: _shown(own.get(key, "not set")) for arm, own in by_arm.items()}
    starts = {arm: {str(run.config.get("checkpoint")) for run in chosen if run.arm == arm} for arm in by_arm}
    if len({tuple(sorted(found)) for found in starts.values()}) > 1:
        result["checkpoint"] = {arm: ", ".join(sorted(found)) for arm, found in starts.items()}
    return result


def settings(run: Run) -> Settings:
    """A run's settings, flat, without those that make no other arm; the schedule in words."""
    config = {key: value for key, value in run.config.items() if key not in ("schedule", "checkpoint")}
    flat = {key: value for key, value in flatten(config).items() if key not in SIZES and not NO_DIFFERENCE.match(key)}
    return {"schedule": schedule_in_words(run.config["schedule"]), **flat}


def schedule_in_words(schedule: Iterable[Mapping[str, Any]]) -> str:
    """For example "9 x awr (expert 0.1, online 0.9; temperature 0.3), 1 x bc (expert 1)"; only changed settings."""
    return ", ".join(_entry(entry) for entry in schedule)


def _entry(entry: Mapping[str, Any]) -> str:
    from learner.objectives import OBJECTIVES

    known = OBJECTIVES.get(entry["objective"])
    defaults = {part.name: part.default for part in fields(known.settings)} if known else {}
    data = ", ".join(f"{table} {share:g}" for table, share in entry["data"].items() if share)
    changed = [f"{key} {value}" for key, value in entry["settings"].items() if defaults.get(key, MISSING) != value]
    parts = [data, f"batch {entry['batch']}", *([", ".join(changed)] if changed else [])]
    return f"{entry['repeat']} x {entry['objective']} ({'; '.join(parts)})"


def _by_start(runs: list[Run]) -> list[list[Run]]:
    """Runs of one seed that begin elsewhere are different arms."""
    seeds = Counter(run.seed for run in runs)
    starts: dict[Any, list[Run]] = defaultdict(list)
    for run in runs:
        starts[run.config.get("checkpoint")].append(run)
    return list(starts.values()) if max(seeds.values()) > 1 and len(starts) > 1 else [runs]


def _name(runs: Sequence[Run]) -> str:
    """The arm's given name, or what the runs' names have in common."""
    given = runs[0].config["run"]["arm"]
    if given is not None:
        return given
    names = {run.config["run"]["name"] for run in runs}
    if len(names) == 1:
        return names.pop()
    common = re.sub(r"([-_. ]+(seed|s)?|seed)[-_. ]*\d*$", "", _common_beginning(sorted(names)))
    return common or " + ".join(sorted(names))


def _common_beginning(names: Sequence[str]) -> str:
    first, last = names[0], names[-1]  # in order, these two differ most
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:same]


def _what(run: Run, alike: Sequence[Run]) -> str:
    """How a run's arm differs from others of its name."""
    every = [settings(other) | {"checkpoint": other.config.get("checkpoint")} for other in alike]
    own = settings(run) | {"checkpoint": run.config.get("checkpoint")}
    keys = [key for key in _differing(every) if key != "checkpoint"] or ["checkpoint"]
    return ", ".join(f"{key} {_shown(own.get(key, 'not set'))}" for key in keys[:3])


def _differing(every: Iterable[Settings]) -> list[str]:
    every = list(every)
    keys = dict.fromkeys(key for own in every for key in own)
    return [key for key in keys if len({str(own.get(key, MISSING)) for own in every}) > 1]


def _key(own: Settings) -> tuple:
    return tuple(sorted((key, str(value)) for key, value in own.items()))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
