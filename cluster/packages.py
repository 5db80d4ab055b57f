"""Which package brings a module that is missing, and how to get it."""

EVERYTHING = "'pip install -e . -c constraints.txt' in a checkout installs all that Ocelot needs"

REVERB = (
    "dm-reverb exists for Linux x86-64 with Python up to 3.11 only: use those, or set replay.backend=memory "
    "(with `--set replay.backend=memory`)"
)

PACKAGES = {
    "PIL": "pillow",
    "ale_py": "ale-py",
    "dm_control": "dm-control",
    "gymnasium": "gymnasium",
    "imageio_ffmpeg": "imageio[ffmpeg]",
    "matplotlib": "matplotlib",
    "minari": "minari[hdf5]",
    "mujoco": "mujoco",
    "psutil": "psutil",
    "ray": "ray[rllib]",
    "reverb": "dm-reverb",
    "rliable": "rliable",
    "safetensors": "safetensors",
    "sentencepiece": "sentencepiece",
    "tensorboard": "tensorboard",
    "tensorboardX": "tensorboardX",
    "tensorflow": "tensorflow-cpu",
    "torch": "torch",
}


def how_to_install(module: str | None) -> str | None:
    """What to do about a module that is not installed; None when it is none of those that Ocelot needs."""
    package = PACKAGES.get((module or "").partition(".")[0])
    if package is None:
        return None
    cure = REVERB if package == "dm-reverb" else EVERYTHING
    return f"the package {package} is not installed (no module named '{module}'): {cure}"
