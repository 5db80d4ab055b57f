"""A small network that plays, and its file: a perceptron, behind convolutions where it sees images.

The file is safetensors: `convolutions.0.weight` [channels, inputs, side, side] and `convolutions.0.bias`, and so on,
then `layers.0.weight` [hidden, inputs] and `layers.0.bias` [hidden]. Its metadata names what `Network` has beside
weights. Nothing in it is unpickled.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from actors.experts.types import ExpertError

CATEGORICAL, GAUSSIAN, SQUASHED, GREEDY = "categorical", "gaussian", "squashed", "greedy"
LOG_STD = -1.0
"""Of the actions of players whose training does not learn it."""

Weights = tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class Network:
    """Weights, float32, and how they are used."""

    layers: Weights
    """(weight [outputs, inputs], bias [outputs]) of each fully connected layer."""
    log_std: np.ndarray | None = None
    """[outputs]: logarithm of a Gaussian's standard deviation; only with `gaussian`."""
    head: str = CATEGORICAL
    """What the outputs are: logits (`categorical`), the mean of a Gaussian over actions normalised to [-1, 1]
    (`gaussian`), mean and logarithm of the deviation of one whose draws tanh brings to [-1, 1] (`squashed`), or values
    of which the greatest is chosen (`greedy`)."""
    activation: str = "tanh"
    """After every layer but the last: tanh or relu."""
    convolutions: Weights = ()
    """(weight [channels, inputs, side, side], bias [channels]) of each convolution, without padding."""
    strides: tuple[int, ...] = ()
    """Of the convolutions."""
    image: tuple[int, int, int] | None = None
    """Height, width and channels of what the convolutions see; None without convolutions."""
    exploration: float = 0.0
    """Share of choices that are drawn uniformly instead. Without it a greedy player of Atari can wait forever."""

    @property
    def inputs(self) -> int:
        return self.layers[0][0].shape[1] if self.image is None else int(np.prod(self.image))

    @property
    def outputs(self) -> int:
        return len(self.layers[-1][1])

    @property
    def discrete(self) -> bool:
        """It chooses one of its outputs."""
        return self.head in (CATEGORICAL, GREEDY)

    @property
    def actions(self) -> int:
        """Choices, or numbers of an action."""
        return self.outputs // 2 if self.head == SQUASHED else self.outputs

    def forward(self, x: np.ndarray) -> np.ndarray:
        """float32 [n, outputs] of flat observations [n, inputs], or of images uint8 [n, height, width, channels]."""
        x = self._convolved(x) if self.convolutions else np.asarray(x, dtype=np.float32)
        for weight, bias in self.layers[:-1]:
            x = x @ weight.T + bias
            x = np.tanh(x) if self.activation == "tanh" else np.maximum(x, 0.0)
        weight, bias = self.layers[-1]
        return x @ weight.T + bias

    def choose(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Choices int [n], or numbers [n, actions] of which [-1, 1] are the action's bounds. Arguments as `forward`."""
        outputs = self.forward(x)
        if self.head == GREEDY:
            chosen = np.argmax(outputs, axis=1)
            explores = generator.random(len(chosen)) < self.exploration
            return np.where(explores, generator.integers(self.actions, size=len(chosen)), chosen)
        if self.head == CATEGORICAL:
            # The largest of logits plus Gumbel noise is a draw from the categorical distribution.
            return np.argmax(outputs + generator.gumbel(size=outputs.shape), axis=1)
        if self.head == SQUASHED:
            mean, log_std = np.split(outputs, 2, axis=1)
            return np.tanh(mean + np.exp(np.clip(log_std, -20.0, 2.0)) * generator.standard_normal(mean.shape))
        assert self.log_std is not None
        return outputs + np.exp(self.log_std) * generator.standard_normal(outputs.shape)

    def save(self, path: Path) -> None:
        """Writes the file."""
        tensors = {} if self.log_std is None else {"log_std": np.ascontiguousarray(self.log_std, dtype=np.float32)}
        for group in ("convolutions", "layers"):
            for index, (weight, bias) in enumerate(getattr(self, group)):
                tensors[f"{group}.{index}.weight"] = np.ascontiguousarray(weight, dtype=np.float32)
                tensors[f"{group}.{index}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
        about = {"head": self.head, "activation": self.activation}
        if self.image is not None:
            about |= {"strides": json.dumps(self.strides), "image": json.dumps(self.image)}
        if self.exploration:
            about["exploration"] = str(self.exploration)
        save_file(tensors, path, about)

    @classmethod
    def load(cls, path: Path) -> "Network":
        """Reads the file.

        Raises:
            ExpertError: when it is missing, is not safetensors, or its tensors do not make a network.
        """
        try:
            with safe_open(path, "np") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
        except FileNotFoundError:
            raise ExpertError(f"{path}: no such file; make it with 'ocelot experts train'") from None
        except (SafetensorError, OSError) as error:
            raise ExpertError(f"{path}: not a readable safetensors file ({error}); train the expert again") from None
        log_std = tensors.pop("log_std", None)
        network = cls(
            layers=_numbered(tensors, "layers"),
            log_std=log_std,
            head=about.get("head", CATEGORICAL if log_std is None else GAUSSIAN),
            activation=about.get("activation", "tanh"),
            convolutions=_numbered(tensors, "convolutions"),
            strides=tuple(json.loads(about.get("strides", "[]"))),
            image=tuple(json.loads(about["image"])) if "image" in about else None,
            exploration=float(about.get("exploration", "0")),
        )
        problem = f"unexpected tensors {sorted(tensors)}" if tensors else network._problem()
        if problem:
            raise ExpertError(f"{path}: not an expert's network: {problem}; train the expert again")
        return network

    def _convolved(self, images: np.ndarray) -> np.ndarray:
        """[n, height, width, channels] to features [n, height * width * channels] of the last convolution."""
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(images)).float().permute(0, 3, 1, 2) / 255.0
            for (weight, bias), stride in zip(self.convolutions, self.strides, strict=True):
                x = torch.relu(torch.conv2d(x, torch.from_numpy(weight), torch.from_numpy(bias), stride))
            return x.permute(0, 2, 3, 1).flatten(1).numpy()

    def _problem(self) -> str | None:
        """What keeps these tensors from being a network; None when nothing does."""
        if not self.layers:
            return "it holds no layers"
        units = None
        for index, (weight, bias) in enumerate(self.layers):
            if weight.ndim != 2 or bias.shape != weight.shape[:1] or units not in (None, weight.shape[1]):
                return f"layer {index} has weight {list(weight.shape)} and bias {list(bias.shape)} after {units} units"
            units = len(bias)
        if self.head not in (CATEGORICAL, GAUSSIAN, SQUASHED, GREEDY) or self.activation not in ("tanh", "relu"):
            return f"its head is '{self.head}' and its activation '{self.activation}'"
        if len(self.strides) != len(self.convolutions) or (self.image is None) != (not self.convolutions):
            return f"it has {len(self.convolutions)} convolutions, strides {self.strides} and images {self.image}"
        arrays = [array for layer in (*self.convolutions, *self.layers) for array in layer]
        if self.log_std is not None:
            arrays.append(self.log_std)
        if (self.log_std is not None) != (self.head == GAUSSIAN) or (
            self.log_std is not None and self.log_std.shape != (self.outputs,)
        ):
            shape = None if self.log_std is None else self.log_std.shape
            return f"log_std has shape {shape} for {self.outputs} outputs of kind {self.head}"
        if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays):
            return "its tensors are not all finite float32"
        return None


def _numbered(tensors: dict[str, np.ndarray], group: str) -> Weights:
    """Takes weights and biases of one group out of the tensors, in order."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    while f"{group}.{len(found)}.weight" in tensors and f"{group}.{len(found)}.bias" in tensors:
        stem = f"{group}.{len(found)}"
        found.append((tensors.pop(f"{stem}.weight"), tensors.pop(f"{stem}.bias")))
    return tuple(found)
