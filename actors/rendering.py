"""Drawing with MuJoCo where there is no display: the GL back end that dm_control loads, and what to install."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actors.errors import TaskError

VARIABLE = "MUJOCO_GL"
BACK_ENDS = ("egl", "osmesa")  # neither needs a display; both draw in software where there is no GPU
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
BROKEN = (AttributeError, ImportError, OSError, RuntimeError)  # what the back ends raise on a broken GL set-up


@contextmanager
def unneeded() -> Iterator[None]:
    """While dm_control is imported for tasks that draw nothing: it looks for no display and no GL library.

    A back end that the person chose stays. The variable is taken back, so that processes started later do not inherit
    a choice that nobody made.
    """
    if VARIABLE in os.environ:
        yield
        return
    os.environ[VARIABLE] = "disabled"
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)


def require(task: str) -> None:
    """Makes dm_control able to draw in this process, with EGL or OSMesa unless the person chose a back end.

    Raises:
        TaskError: when no back end works here: names those that were tried, and what to install.
    """
    if sys.platform != "linux":
        return  # the system's own GL needs no choice
    chosen = os.environ.get(VARIABLE)
    failures = []
    for back_end in (chosen,) if chosen else BACK_ENDS:
        os.environ[VARIABLE] = back_end
        try:
            if _load():
                return
            failures.append(f"{back_end}: draws nothing")
        except BROKEN as error:
            failures.append(f"{back_end}: {error}")
            os.environ.pop("PYOPENGL_PLATFORM", None)  # set by the back end that failed, and in the way of the next
    if chosen is None:
        del os.environ[VARIABLE]
    unset = f", unset {VARIABLE}" if chosen else ""
    raise TaskError(
        f"{task} draws images, and no GL back end works here ({'; '.join(failures)}); on Debian: apt-get install "
        f"libegl1 libosmesa6{unset}"
    )


def _load() -> bool:
    """Whether dm_control draws with the back end that the variable names, after loading it if need be."""
    name = "dm_control._render"
    loaded: Any = sys.modules.get(name)
    if loaded is None:
        loaded = importlib.import_module(name)
    elif os.environ[VARIABLE] != loaded.BACKEND:  # it was imported for tasks that draw nothing
        try:
            loaded = importlib.reload(loaded)
        except BROKEN:
            loaded.BACKEND = None
            raise
    if loaded.BACKEND == "glfw" and not any(os.environ.get(name) for name in DISPLAYS):
        raise OSError("there is no display")
    return loaded.BACKEND in (*BACK_ENDS, "glfw")
