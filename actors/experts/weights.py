"""Weights out of RLlib's modules."""

from collections.abc import Sequence

import numpy as np
from ray.rllib.algorithms import Algorithm
from ray.rllib.core.rl_module.torch import TorchRLModule

from actors.experts.network import Weights


def weights_of(algorithm: Algorithm) -> dict[str, np.ndarray]:
    """The policy's tensors by name, copied."""
    module = algorithm.get_module()
    assert isinstance(module, TorchRLModule)
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def layers(weights: dict[str, np.ndarray], stems: Sequence[str]) -> Weights:
    """Weight and bias of each layer."""
    return tuple((weights[f"{stem}.weight"], weights[f"{stem}.bias"]) for stem in stems)
