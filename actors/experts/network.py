"""A small multilayer perceptron in NumPy, and its file.

The file is safetensors: `layers.0.weight` [hidden, inputs] and `layers.0.bias` [hidden], and so on. The last layer
gives the logits of a categorical distribution, or, where `log_std` [outputs] is present, the mean of a Gaussian over
actions normalised to [-1, 1]. Hidden layers are followed by tanh.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from actors.experts.types import ExpertError


@dataclass(frozen=True)
class Network:
    """Weights of the perceptron, float32."""

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    """(weight [outputs, inputs], bias [outputs]) of each layer."""
    log_std: np.ndarray | None = None
    """[outputs]: logarithm of the Gaussian's standard deviation; None for a categorical distribution."""

    @property
    def inputs(self) -> int:
        return self.layers[0][0].shape[1]

    @property
    def outputs(self) -> int:
        return len(self.layers[-1][1])

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Flat observations [n, inputs] to logits or means [n, outputs]. float32."""
        x = np.asarray(x, dtype=np.float32)
        for weight, bias in self.layers[:-1]:
            x = np.tanh(x @ weight.T + bias)
        weight, bias = self.layers[-1]
        return x @ weight.T + bias

    def save(self, path: Path) -> None:
        """Writes the file."""
        tensors = {}
        for index, (weight, bias) in enumerate(self.layers):
            tensors[f"layers.{index}.weight"] = np.ascontiguousarray(weight, dtype=np.float32)
            tensors[f"layers.{index}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
        if self.log_std is not None:
            tensors["log_std"] = np.ascontiguousarray(self.log_std, dtype=np.float32)
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> "Network":
        """Reads the file.

        Raises:
            ExpertError: when it is missing, is not safetensors, or its tensors do not make a network.
        """
        try:
            tensors = load_file(path)
        except FileNotFoundError:
            raise ExpertError(f"{path}: no such file; make it with 'ocelot experts train'") from None
        except (SafetensorError, OSError) as error:
            raise ExpertError(f"{path}: not a readable safetensors file ({error}); train the expert again") from None
        log_std = tensors.pop("log_std", None)
        layers: list[tuple[np.ndarray, np.ndarray]] = []
        while f"layers.{len(layers)}.weight" in tensors and f"layers.{len(layers)}.bias" in tensors:
            index = len(layers)
            layers.append((tensors.pop(f"layers.{index}.weight"), tensors.pop(f"layers.{index}.bias")))
        network = cls(tuple(layers), log_std)
        problem = f"unexpected tensors {sorted(tensors)}" if tensors else network._problem()
        if problem:
            raise ExpertError(f"{path}: not an expert's network: {problem}; train the expert again")
        return network

    def _problem(self) -> str | None:
        """What keeps these tensors from being a network; None when nothing does."""
        if not self.layers:
            return "it holds no layers"
        units = None
        for index, (weight, bias) in enumerate(self.layers):
            if weight.ndim != 2 or bias.shape != weight.shape[:1] or units not in (None, weight.shape[1]):
                return f"layer {index} has weight {list(weight.shape)} and bias {list(bias.shape)} after {units} units"
            units = len(bias)
        arrays = [array for layer in self.layers for array in layer]
        if self.log_std is not None:
            arrays.append(self.log_std)
            if self.log_std.shape != (self.outputs,):
                return f"log_std has shape {list(self.log_std.shape)} for {self.outputs} outputs"
        if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays):
            return "its tensors are not all finite float32"
        return None
