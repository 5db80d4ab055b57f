import os
import subprocess
import sys

import pytest

PIXELS = """
from actors.domains import control, control_pixels
control.make("cartpole-swingup").reset(seed=0)
env = control_pixels.make("cartpole-swingup")
print("drawn", env.reset(seed=0)[0].mean() > 0)
env.close()
"""


def run(code, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    return subprocess.run(
        [sys.executable, "-c", code], env={**environment, **variables}, capture_output=True, text=True, timeout=100
    )


def test_pixels_are_drawn_without_a_display_even_after_a_task_that_draws_nothing():
    done = run(PIXELS, DISPLAY="")
    assert "drawn True" in done.stdout, done.stderr


def test_tasks_that_draw_nothing_leave_no_choice_behind():
    done = run("import os; from actors.domains import control; control.names(); print(os.environ.get('MUJOCO_GL'))")
    assert done.stdout.strip() == "None"


@pytest.mark.parametrize("chosen", ["disabled", "glfw"])
def test_a_missing_gl_library_or_display_is_named_with_its_cure(chosen):
    done = run(PIXELS, MUJOCO_GL=chosen, DISPLAY="", WAYLAND_DISPLAY="")
    assert "TaskError: control-pixels/cartpole-swingup" in done.stderr
    assert "libegl1 libosmesa6, unset MUJOCO_GL" in done.stderr
    assert "drawn" not in done.stdout


def test_a_machine_without_gl_is_told_what_to_install():
    hide = """
import ctypes, ctypes.util
load = ctypes.CDLL.__init__
def missing(self, name, *rest, **more):
    if name and ("EGL" in name or "OSMesa" in name):
        raise OSError(f"{name}: cannot open shared object file")
    load(self, name, *rest, **more)
ctypes.CDLL.__init__ = missing
find = ctypes.util.find_library
ctypes.util.find_library = lambda name: None if name in ("EGL", "OSMesa") else find(name)
"""
    done = run(hide + PIXELS)
    assert "TaskError: control-pixels/cartpole-swingup draws images" in done.stderr
    assert "egl:" in done.stderr
    assert "osmesa:" in done.stderr
    assert "apt-get install libegl1 libosmesa6" in done.stderr
