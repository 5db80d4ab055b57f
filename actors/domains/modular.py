"""Gymnasium's MuJoCo bodies with limbs removed: `modular/half_cheetah-back2-front3`, `modular/walker2d-right3-left1`.

As in Huang et al., One policy to control them all (arXiv 2007.04976). A number is how many segments of a limb are left.
The shorter body starts as far above the ground as the whole one, and its healthy heights shrink with its own.
"""

import tempfile
import xml.etree.ElementTree as xml
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from actors.domains import naming

DISCOUNT = 0.99
PACKAGES = ("gymnasium", "mujoco")
STEPS = 1000

CLASSES = {
    "ant": "ant_v5:AntEnv",
    "half_cheetah": "half_cheetah_v5:HalfCheetahEnv",
    "hopper": "hopper_v5:HopperEnv",
    "humanoid": "humanoid_v5:HumanoidEnv",
    "walker2d": "walker2d_v5:Walker2dEnv",
}
ASSETS = {"walker2d": "walker2d_v5.xml"}  # BODY.xml elsewhere
HEALTHY = {
    "ant": (0.2, 1.0),
    "hopper": (0.7, np.inf),
    "humanoid": (1.0, 2.0),
    "walker2d": (0.8, 2.0),
}  # m, of the torso
LIMBS = {  # of each body: its limbs, from the torso outwards
    "half_cheetah": {"back": ("bthigh", "bshin", "bfoot"), "front": ("fthigh", "fshin", "ffoot")},
    "hopper": {"leg": ("thigh", "leg", "foot")},
    "walker2d": {"right": ("thigh", "leg", "foot"), "left": ("thigh_left", "leg_left", "foot_left")},
}
OTHERS = {  # variants that are no matter of counting: what is removed
    "ant-legs3": ("back_leg",),
    "ant-legs2_front": ("back_leg", "right_back_leg"),
    "ant-legs2_opposite": ("front_right_leg", "back_leg"),
    "ant-legs1": ("front_right_leg", "back_leg", "right_back_leg"),
    "humanoid-no_right_forearm": ("right_lower_arm",),
    "humanoid-no_forearms": ("right_lower_arm", "left_lower_arm"),
    "humanoid-no_right_arm": ("right_upper_arm",),
    "humanoid-no_arms": ("right_upper_arm", "left_upper_arm"),
    "humanoid-no_right_shin": ("right_shin",),
    "humanoid-no_shins": ("right_shin", "left_shin"),
    "humanoid-no_right_leg": ("right_thigh",),
    "humanoid-no_arms_no_shins": ("right_upper_arm", "left_upper_arm", "right_shin", "left_shin"),
}


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of a variant. Raises TaskError for an unknown name (names the nearest)."""
    naming.check("modular", name, names())
    body = name.partition("-")[0]
    root, ratio = _variant(name)
    module, _, kind = CLASSES[body].partition(":")
    build = partial(getattr(import_module(f"gymnasium.envs.mujoco.{module}"), kind))
    if body in HEALTHY:
        low, high = HEALTHY[body]
        build = partial(build, healthy_z_range=(low * ratio, high * ratio))
    if render:
        build = partial(build, render_mode="rgb_array")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.xml"
        path.write_text(root)
        return gymnasium.wrappers.TimeLimit(build(xml_file=str(path)), STEPS)


@cache
def names() -> list[str]:
    """Every variant. Mirror images are left out where a body's sides are alike."""
    counted = [
        f"half_cheetah-back{back}-front{front}" for back in range(4) for front in range(4) if 0 < back + front < 6
    ]
    counted += [f"hopper-leg{left}" for left in (1, 2)]
    counted += [f"walker2d-right{r}-left{left}" for r in range(1, 4) for left in range(r + 1) if r + left < 6]
    return sorted([*counted, *OTHERS])


def removed(name: str) -> tuple[str, ...]:
    """Bodies that a variant lacks, each with everything that hangs on it."""
    if name in OTHERS:
        return OTHERS[name]
    body, *counts = name.split("-")
    found = []
    for (limb, segments), count in zip(LIMBS[body].items(), counts, strict=True):
        found += list(segments[int(count.removeprefix(limb)) :][:1])
    return tuple(found)


@cache
def _variant(name: str) -> tuple[str, float]:
    """The variant's MJCF, and its height as a share of the whole body's."""
    body = name.partition("-")[0]
    import gymnasium.envs.mujoco

    path = Path(gymnasium.envs.mujoco.__file__).parent / "assets" / ASSETS.get(body, f"{body}.xml")
    whole, root = xml.parse(path).getroot(), xml.parse(path).getroot()
    _remove(root, removed(name))
    torso = root.find("./worldbody/body")
    assert torso is not None
    x, y, height = (float(number) for number in torso.attrib["pos"].split())
    drop = _lowest(root) - _lowest(whole)
    torso.set("pos", f"{x} {y} {height - drop}")
    for joint in torso.findall("./joint[@ref]"):  # a joint that counts height from the ground
        joint.set("ref", str(height - drop))
    return xml.tostring(root, encoding="unicode"), (height - drop) / height


def _remove(root: xml.Element, bodies: Sequence[str]) -> None:
    """Takes bodies out of an MJCF, and what else refers to their joints."""
    joints = set()
    for parent in list(root.iter("body")):
        for child in parent.findall("body"):
            if child.get("name") in bodies:
                joints |= {joint.get("name") for joint in child.iter("joint")}
                parent.remove(child)
    for section in root.findall("actuator"):
        for actuator in list(section):
            if actuator.get("joint") in joints:
                section.remove(actuator)
    for section in root.findall("tendon"):
        for tendon in list(section):
            if any(part.get("joint") in joints for part in tendon):
                section.remove(tendon)


def _lowest(root: xml.Element) -> float:
    """Height of the lowest point of the body's capsules and spheres before it moves, in metres."""
    import mujoco

    model: Any = mujoco.MjModel.from_xml_string(xml.tostring(root, encoding="unicode"))
    data: Any = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    own = model.geom_bodyid > 0
    upright = np.abs(data.geom_xmat.reshape(-1, 3, 3)[:, 2, 2])  # of each geometry's axis
    half = np.where(model.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE, model.geom_size[:, 1], 0.0)
    return float((data.geom_xpos[:, 2] - upright * half - model.geom_size[:, 0])[own].min())
