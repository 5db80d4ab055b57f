"""A perceptron that learns from the task's scripted expert, stopped early: a medium player where RL takes hours.

It plays, the expert says in each state what it would have done, and all of these answers are cloned (DAgger, arXiv
1011.0686, algorithm 3.1).
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from actors.experts.judging import STOPPING_EPISODES, Progress, Stopped, not_reached, returns_of
from actors.experts.network import CATEGORICAL, GAUSSIAN, LOG_STD, Network
from actors.experts.play import play
from actors.experts.players import NetworkExpert, features, from_actions, network_sizes
from actors.experts.scripted import scripted
from actors.experts.types import Expert, ExpertError
from policy.layout import Layout

NAME = "dagger"
HIDDEN, LEARNING_RATE = 128, 1e-3
EPISODES, UPDATES, BATCH = 2, 1000, 256
"""Of a round."""
LEAST = 1e-3
"""Added to the deviation of each input, by which it is divided: some never change."""


class Student:
    """Acts as the network does, and keeps what the expert would have done."""

    name = NAME

    def __init__(self, network: NetworkExpert, expert: Expert):
        self.network = network
        self.expert = expert
        self.seen: list[np.ndarray] = []
        """By step, float32 [1, inputs]."""
        self.answers: list[np.ndarray] = []
        """By step: a choice, int64 [1], or numbers as the network has them, float32 [1, actions]."""

    def act(self, observations: Any, environments: Sequence[gymnasium.Env], first: np.ndarray) -> Any:
        self.seen.append(features(self.network.layout.observation, observations))
        answer = self.expert.act(observations, environments, first)
        self.answers.append(from_actions(self.network.layout.action, answer))
        return self.network.act(observations, environments, first)


def search(
    layout: Layout,
    until_return: float | None,
    max_env_steps: int,
    seed: int,
    state: Path,
    progress: Callable[[Progress], None],
    stop: Callable[[], object],
) -> tuple[Network, int]:
    """The network, and the environment steps that it learned from. Arguments as `train`.

    Args:
        state: a folder in which each round leaves what was learned and from what; the same call goes on from there,
            with the optimiser's moments begun anew.

    Raises:
        ExpertError: the task has no scripted expert, or `until_return` was not reached.
        Stopped: `stop` said so.
    """
    make = scripted(layout.task)
    if make is None:
        raise ExpertError(f"{layout.task}: it has no scripted expert to learn from; train with another algorithm")
    inputs, outputs, kind = network_sizes(layout)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(inputs, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, outputs)
        )
    loss_of = nn.CrossEntropyLoss() if kind == "discrete" else nn.MSELoss()
    x = torch.zeros(0, inputs)
    y = torch.zeros(0, dtype=torch.int64) if kind == "discrete" else torch.zeros(0, outputs)
    file = state / "search.safetensors"
    if file.exists():
        kept = load_file(file)
        x, y = kept.pop("seen"), kept.pop("answers")
        model.load_state_dict(kept)
    optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    network, mean = _network(model, kind, x), -math.inf
    while mean < (math.inf if until_return is None else until_return):
        if len(x) >= max_env_steps:
            if until_return is None:
                break
            raise not_reached(layout, mean, until_return, len(x))
        own = seed + len(x)  # of a round, also where it is the first after an interruption
        student = Student(NetworkExpert(NAME, network, layout, own), make())
        for _ in play(student, layout, EPISODES, own):
            pass
        x = torch.cat([x, torch.from_numpy(np.concatenate(student.seen))])
        y = torch.cat([y, torch.from_numpy(np.concatenate(student.answers))])
        shift, scale = _spread(x)
        generator = np.random.default_rng(own)
        for _ in range(UPDATES):
            batch = torch.from_numpy(generator.integers(len(x), size=BATCH))
            loss = loss_of(model((x[batch] - shift) / scale), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network = _network(model, kind, x)
        mean = float(np.mean(returns_of(network, layout, STOPPING_EPISODES, seed)))
        state.mkdir(parents=True, exist_ok=True)
        save_file({**model.state_dict(), "seen": x, "answers": y}, state / "search.partial")
        (state / "search.partial").replace(file)
        metrics = {f"eval/return/{layout.task}": mean, "losses/cloning": float(loss.detach())}
        progress(Progress(len(x), max_env_steps, mean, metrics))
        if stop():
            raise Stopped
    return network, len(x)


def _spread(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What is taken from inputs like x [n, inputs], and what they are divided by: [inputs] each."""
    if not len(x):
        return torch.zeros(x.shape[1]), torch.ones(x.shape[1])
    return x.mean(dim=0), x.std(dim=0) + LEAST


def _network(model: nn.Sequential, kind: str, x: torch.Tensor) -> Network:
    """The model, which learns from inputs brought to the spread of x, for inputs as they are."""
    shift, scale = _spread(x)
    with torch.no_grad():
        layers = [(each.weight.clone(), each.bias.clone()) for each in model if isinstance(each, nn.Linear)]
        weight, bias = layers[0]
        layers[0] = weight / scale, bias - weight @ (shift / scale)
    arrays = tuple((weight.numpy(), bias.numpy()) for weight, bias in layers)
    if kind == "discrete":
        return Network(arrays, head=CATEGORICAL)
    return Network(arrays, np.full(len(arrays[-1][1]), LOG_STD, np.float32), GAUSSIAN)
