"""Kernels of our own for CPUs (`policy/native.c`, `policy/native_attention.c`), where the machine has a C compiler.

They are compiled for the processor at hand when they are first wanted, which takes some seconds, and kept in the
user's cache directory. Without a compiler, PyTorch's own kernels do the same work (`policy.decoder_blocks`).
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

from policy.config import PolicyConfig

FOLDER = Path(__file__).parent
SOURCES = [FOLDER / name for name in ("native.c", "native_attention.c", "native_patches.c")]
HEADER = FOLDER / "native.h"
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi", "-shared", "-fPIC")
LANES = 16  # sizes of heads are multiples of this
DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
TIMEOUT = 120.0  # seconds of the compiler

log = logging.getLogger(__name__)


class Kernels:
    """Functions of `policy/native.c` for decoding. Python's lock is free while they run.

    Args:
        library: the compiled file.
        dtype: float32 or bfloat16, of all tensors but those named otherwise.
    """

    def __init__(self, library: ctypes.CDLL, dtype: torch.dtype):
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self._attend = getattr(library, f"attend_{DTYPES[dtype]}")
        self._attend.argtypes = [pointer] * 7 + [number] * 6
        self._attend.restype = ctypes.c_int
        self._add_norm = getattr(library, f"add_norm_{DTYPES[dtype]}")
        self._add_norm.argtypes = [pointer] * 5 + [number, number, ctypes.c_float]
        self._add_norm.restype = None

    def attend(
        self,
        joint: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor],
        keys: torch.Tensor,
        values: torch.Tensor,
        rows: torch.Tensor,
        back: int | None,
        last: bool,
        count: int,
    ) -> torch.Tensor:
        """Writes new tokens' keys and values into one layer of the cache, and attends to it. All tensors contiguous.

        Args:
            joint: [N, 3 width]: queries, keys and values of the new tokens, row after row.
            turn: cosines and sines of rotary positions, float32 [places, key / 2].
            keys: [slots, heads, columns / 16, key, 16]. values: [slots, heads, columns, key].
            rows: int64 [6, B], all of whose tokens lie in joint: slot, index of the first new token, new tokens,
                the first one's column, tokens of a timestep, timesteps of the prompt.
            back: timesteps that a token sees behind its own; None: all.
            last: of each row's last token alone.
            count: so many results; what no row gives is zero.

        Returns:
            [count, width]: of each of the N tokens; with `last` of each row.
        """
        heads, columns, key = values.shape[1:]
        out = joint.new_zeros(count, heads * key)
        failed = self._attend(
            joint.data_ptr(),
            out.data_ptr(),
            turn[0].data_ptr(),
            turn[1].data_ptr(),
            keys.data_ptr(),
            values.data_ptr(),
            rows.data_ptr(),
            rows.shape[1],
            heads,
            key,
            columns,
            -1 if back is None else back,
            last,
        )
        if failed:
            raise MemoryError("decoding: no memory for the scores of attention")
        return out

    def add_norm(
        self, x: torch.Tensor, added: torch.Tensor | None, weight: torch.Tensor, bias: torch.Tensor, epsilon: float
    ) -> torch.Tensor:
        """Adds to the residual stream x in place, unless there is nothing to add; the layer norm of the sum.

        Args:
            x, added: [N, width], contiguous.
            weight, bias: float32 [width].
            epsilon: of the norm.
        """
        out = torch.empty_like(x)
        self._add_norm(
            x.data_ptr(),
            None if added is None else added.data_ptr(),
            out.data_ptr(),
            weight.data_ptr(),
            bias.data_ptr(),
            *x.shape,
            epsilon,
        )
        return out


class Draw:
    """As `policy.sampling.draw`, of float32 logits on the CPU; log-probabilities are float64."""

    def __init__(self, library: ctypes.CDLL):
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self._draw = library.draw
        self._draw.argtypes = [pointer, number, number, pointer, pointer, number, pointer, pointer, pointer]
        self._draw.restype = None

    def __call__(
        self, logits: torch.Tensor, temperature: torch.Tensor, level: torch.Tensor, median: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens int64 [M] of logits [M, K], and their log-probabilities."""
        given = logits.contiguous(), temperature.double().contiguous(), level.double().contiguous()
        picked = torch.empty(len(logits), dtype=torch.int64)
        scores = torch.empty(len(logits), dtype=torch.float64)
        work = torch.empty(logits.shape[1])
        self._draw(
            given[0].data_ptr(),
            *logits.shape,
            given[1].data_ptr(),
            given[2].data_ptr(),
            median,
            work.data_ptr(),
            picked.data_ptr(),
            scores.data_ptr(),
        )
        return picked, scores


def kernels(config: PolicyConfig, dtype: torch.dtype, device: torch.device) -> Kernels | None:
    """What decodes such a policy; None: nothing here does."""
    if device.type != "cpu" or dtype not in DTYPES or (config.width // config.heads) % LANES:
        return None
    library = load()
    return None if library is None else Kernels(library, dtype)


def draw() -> Draw | None:
    """What draws tokens; None: nothing here does."""
    library = load()
    return None if library is None else _draw(library)


@functools.cache
def _draw(library: ctypes.CDLL) -> Draw:
    return Draw(library)


def by_format(name: str, arguments: tuple[Any, ...], result: Any = None) -> dict[torch.dtype, Any] | None:
    """The function of that name for each number format, with ctypes' types; None where there are none."""
    library = load()
    return None if library is None else _by_format(library, name, arguments, result)


@functools.cache
def _by_format(library: ctypes.CDLL, name: str, arguments: tuple[Any, ...], result: Any) -> dict[torch.dtype, Any]:
    found = {dtype: getattr(library, f"{name}_{text}") for dtype, text in DTYPES.items()}
    for function in found.values():
        function.argtypes, function.restype = list(arguments), result
    return found


@functools.cache
def load() -> ctypes.CDLL | None:
    """The compiled kernels; None where they cannot be compiled."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        log.info("there is no C compiler, so PyTorch's kernels are used, which take longer; gcc is enough")
        return None
    try:
        folder = _folder()
        if folder is not None:
            return ctypes.CDLL(str(_compiled(compiler, folder)))
        with tempfile.TemporaryDirectory(prefix="ocelot-") as temporary:  # once loaded, the file is not needed
            return ctypes.CDLL(str(_compiled(compiler, Path(temporary))))
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        log.warning(
            "PyTorch's kernels are used, which take longer: %s failed on the sources in %s: %s",
            compiler,
            HEADER.parent,
            said,
        )
        return None


def _folder() -> Path | None:
    """Where compiled kernels are kept; None: nowhere."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocelot"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a home that cannot be written, or none
        return None
    return folder if os.access(folder, os.W_OK) else None


def _compiled(compiler: str, folder: Path) -> Path:
    """The file of the compiled kernels in this folder, made unless it is there already."""
    made = hashlib.sha256()
    for source in (HEADER, *SOURCES):
        made.update(source.read_bytes())
    made.update(repr((compiler, FLAGS, processor())).encode())
    library = folder / f"native-{made.hexdigest()[:16]}.so"
    if library.exists():
        return library
    with tempfile.TemporaryDirectory(dir=folder) as here:  # several processes may compile at the same time
        part = Path(here) / library.name
        command = [compiler, *FLAGS, "-o", str(part), *map(str, SOURCES), "-lm"]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT)
        os.replace(part, library)
    return library


def processor() -> str:
    """What the compiler makes code for: a folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
