"""Clones of reacher-easy's demonstrations: how wrong are their actions where data is, beside it, and where do they end?

Runs of Ocelot's are held against the demonstrator without its noise, and against plain perceptrons that this script
trains on the same episodes: one of squared errors on the numbers as they are, and one of cross-entropy over the runs'
bins on the features that the token policy sees.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import minari
import numpy as np
import torch
from episodes import SEED, dataset_id, flat, hardware, versions
from torch import nn
from torch.nn import functional

from actors import domains
from actors.experts.files import SHIPPED, network_path
from actors.experts.network import Network
from policy import checkpoint
from policy.continuous import mu_law, to_bins, to_values
from policy.embedding import SLOW, value_features
from policy.engine import Engine
from policy.types import ActRequest

TASK = "control/reacher-easy"
KEYS = ("position", "to_target", "velocity")  # two numbers each
STATES = 2000
AWAY = 0.06  # metres of the finger from the target: not in it
EPISODES, STEPS, LAST = 120, 300, 50  # of an episode the last steps tell where it ended
STILL, LIMIT = 0.02, 2.7  # rad/s; rad of the wrist, which is stopped at 2.79
UPDATES, BATCH = 10_600, 100

Act = Callable[[np.ndarray, bool], np.ndarray]  # float32 [n, 6], whether episodes begin, to actions [n, 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="run directories; their last checkpoints act")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    episodes = list(minari.load_dataset(dataset_id(TASK, "medium")).iterate_episodes())
    seen = np.concatenate([flat(episode.observations)[:-1] for episode in episodes])  # [steps, 6]
    done = np.concatenate([np.asarray(episode.actions, np.float32) for episode in episodes])  # [steps, 2]
    network = Network.load(network_path(SHIPPED, TASK, "medium"))

    def player(states: np.ndarray, first: bool) -> np.ndarray:
        return np.clip(network.forward(states), -1.0, 1.0)

    noise = np.random.default_rng(0)
    acts: dict[str, Act] = {
        "demonstrator without noise": player,
        "demonstrator": lambda states, first: network.choose(states, noise),
    }
    for run in options.runs:
        policy = checkpoint.load(run / "checkpoints" / "latest")
        acts[f"{run.name}, greedy"] = token_policy(policy, 0.0)
        acts[f"{run.name}, t=1"] = token_policy(policy, 1.0)
    for seed in (0, 1):
        acts[f"perceptron, squared errors, seed {seed}"] = squared_errors(seen, done, seed)
        acts[f"perceptron, bins and features, seed {seed}"] = of_bins(seen, done, policy.model.config.action_bins, seed)
    beside = np.random.default_rng(0).permutation(np.flatnonzero(np.linalg.norm(seen[:, 2:4], axis=1) > AWAY))[:STATES]
    resting = seen[beside].copy()
    resting[:, 4:] = 0.0
    found = {}
    for name, act in acts.items():
        found[name] = {
            "error_away_from_target": error(act, player, seen[beside]),
            "error_there_at_rest": error(act, player, resting),
            **ends(act),
        }
        print(name, found[name], flush=True)
    command = " ".join(["reacher_clones.py", *map(str, options.runs), "--json", str(options.json)])
    result = {"task": TASK, "clones": found, "command": command, "versions": versions(), "hardware": hardware()}
    options.json.write_text(json.dumps(result, indent=1) + "\n")


def token_policy(loaded: checkpoint.Checkpoint, temperature: float) -> Act:
    """Ocelot's, as the policy server would answer."""
    layout, engine = loaded.layouts[TASK], Engine(loaded.model.eval(), max(STATES, EPISODES))

    def act(states: np.ndarray, first: bool) -> np.ndarray:
        slots = np.arange(len(states), dtype=np.int32)
        observation = {key: states[:, 2 * place : 2 * place + 2] for place, key in enumerate(KEYS)}
        tokens = layout.encode_observation(observation)
        begins = np.full(len(states), first)
        asked = ActRequest("clones", 1, slots, begins, tokens, layout.legal, temperature)
        return layout.decode_action(engine.act([asked])[0].tokens)

    return act


def squared_errors(seen: np.ndarray, done: np.ndarray, seed: int) -> Act:
    """tanh of two hidden layers of 256, as d3rlpy's BC."""
    wanted = torch.from_numpy(done)
    net = trained(seen, 2, lambda out, chosen: functional.mse_loss(out.tanh(), wanted[chosen]), seed)
    return lambda states, first: net(torch.from_numpy(states)).tanh().numpy()


def of_bins(seen: np.ndarray, done: np.ndarray, bins: int, seed: int) -> Act:
    """The median bin of each action, from the features of the token policy's vectors."""
    wanted = torch.from_numpy(to_bins(done, bins).astype(np.int64))

    def loss(out: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(out.view(-1, bins), wanted[chosen].view(-1))

    net = trained(features(seen), 2 * bins, loss, seed)

    def act(states: np.ndarray, first: bool) -> np.ndarray:
        summed = net(torch.from_numpy(features(states))).view(-1, 2, bins).softmax(-1).cumsum(-1)  # [n, 2, bins]
        return to_values((summed > 0.5).int().argmax(-1).numpy(), bins)

    return act


def features(states: np.ndarray) -> np.ndarray:
    """float32 [n, 6] to what the token policy is told of each number, float32 [n, 6 * features]."""
    return value_features(frequencies=SLOW)[torch.from_numpy(to_bins(mu_law(states)))].flatten(1).numpy()


def trained(
    inputs: np.ndarray, outputs: int, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], seed: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Two hidden layers of 256 after `UPDATES` batches; `loss` is of outputs and the steps that they are for."""
    torch.manual_seed(seed)
    first, second, last = nn.Linear(inputs.shape[1], 256), nn.Linear(256, 256), nn.Linear(256, outputs)
    net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
    optimiser, drawn = torch.optim.Adam(net.parameters(), 1e-3), np.random.default_rng(seed)
    told = torch.from_numpy(inputs)
    for _ in range(UPDATES):
        chosen = torch.from_numpy(drawn.integers(0, len(inputs), BATCH))
        value = loss(net(told[chosen]), chosen)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    return net.requires_grad_(False)


def error(act: Act, player: Act, states: np.ndarray) -> list[float]:
    """Root mean square of the distance from the demonstrator's mean, of each action."""
    away = act(states, True) - player(states, True)  # [n, 2]
    return [round(float(value), 3) for value in np.sqrt((away**2).mean(axis=0))]


def ends(act: Act) -> dict[str, float]:
    """Where episodes are after `STEPS`: the mean reward of the last, and the share that rests outside the target."""
    envs = [domains.make(TASK) for _ in range(EPISODES)]
    last = [env.reset(seed=SEED + number)[0] for number, env in enumerate(envs)]
    reward = np.zeros(EPISODES)
    for step in range(STEPS):
        actions = act(states_of(last), step == 0).clip(-1.0, 1.0).astype(np.float32)
        done = [env.step(action) for env, action in zip(envs, actions, strict=True)]
        last = [each[0] for each in done]
        if step >= STEPS - LAST:
            reward += [float(each[1]) for each in done]
    states = states_of(last)
    rests = (np.abs(states[:, 4:]).max(axis=1) < STILL) & (reward < 1.0)
    stopped = rests & (np.abs(states[:, 1]) > LIMIT)
    return {
        "in_target": round(float(reward.mean() / LAST), 3),
        "standard_error": round(float(reward.std() / LAST / np.sqrt(EPISODES)), 3),
        "rests_elsewhere": round(float(rests.mean()), 3),
        "rests_with_the_wrist_at_its_stop": round(float(stopped.mean()), 3),
    }


def states_of(observations: list[dict[str, np.ndarray]]) -> np.ndarray:
    """float32 [n, 6]."""
    return np.stack([np.concatenate([each[key] for key in KEYS]) for each in observations]).astype(np.float32)


if __name__ == "__main__":
    main()
