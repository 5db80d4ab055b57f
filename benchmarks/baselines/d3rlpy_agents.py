"""d3rlpy on Ocelot's demonstrations: cloning, or its IQL (continuous) and DiscreteCQL (discrete), then online.

Run it with d3rlpy's own environment; README.md says how.
"""

import json
import time

import d3rlpy
import gymnasium
import minari
import numpy as np
import torch
from episodes import Clock, arguments, dataset_id, evaluate, flat, make, write

CHUNK = 200  # updates between looks at the clock


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--algorithm", choices=["bc", "rl"], default="bc")
    parser.add_argument("--online-steps", type=int, default=0, help="environment steps after the offline training")
    parser.add_argument("--update-interval", type=int, default=1, help="environment steps between updates online")
    parser.add_argument("--discount", type=float, default=0.99)
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="of the algorithm's configuration")
    options = parser.parse_args()
    fields = {name: json.loads(value) for name, _, value in (each.partition("=") for each in options.set)}
    torch.set_num_threads(1)
    d3rlpy.seed(options.seed)
    env = make(options.task)
    discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    data = dataset(options.task, options.quality, discrete)
    agent = algorithm(options.algorithm, discrete, options.discount, fields)
    for scaler in (agent.config.observation_scaler, agent.config.action_scaler, agent.config.reward_scaler):
        if scaler is not None:
            scaler.fit_with_transition_picker(data.episodes, data.transition_picker)
    agent.build_with_dataset(data)
    clock, updates = Clock(options.seconds), 0
    batch = agent.config.batch_size
    while not clock.over():
        for _ in range(CHUNK):
            agent.update(data.sample_transition_batch(batch))
        updates += CHUNK
    if options.online_steps:
        buffer = d3rlpy.dataset.create_fifo_replay_buffer(
            limit=data.transition_count + options.online_steps, episodes=data.episodes, env=env
        )
        explorer = d3rlpy.algos.ConstantEpsilonGreedy(0.1) if discrete else None
        agent.fit_online(
            env,
            buffer,
            explorer=explorer,
            n_steps=options.online_steps,
            n_steps_per_epoch=options.online_steps,
            update_interval=options.update_interval,
            logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
            show_progress=False,
        )

    spent = time.process_time()

    def act(observation: np.ndarray) -> object:
        action = agent.predict(observation[None])[0]
        return int(action) if discrete else action

    returns = evaluate(options.task, act, options.episodes)
    write(
        options.json,
        task=options.task,
        algorithm=type(agent).__name__,
        library=f"d3rlpy {d3rlpy.__version__}",
        seed=options.seed,
        cpu_seconds=options.seconds,
        cpu_seconds_with_online=round(spent),
        updates=updates,
        online_steps=options.online_steps,
        update_interval=options.update_interval,
        settings=fields,
        returns=returns,
    )


def dataset(task: str, quality: str, discrete: bool) -> "d3rlpy.dataset.ReplayBuffer":
    """The demonstrations as d3rlpy keeps them."""
    episodes = []
    for episode in minari.load_dataset(dataset_id(task, quality)).iterate_episodes():
        actions = np.asarray(episode.actions).reshape(len(episode.rewards), -1)
        episodes.append(
            d3rlpy.dataset.Episode(
                flat(episode.observations)[:-1],
                actions.astype(np.int32 if discrete else np.float32),
                np.asarray(episode.rewards, dtype=np.float32).reshape(-1, 1),
                terminated=bool(episode.terminations[-1]),
            )
        )
    return d3rlpy.dataset.create_infinite_replay_buffer(episodes)


def algorithm(kind: str, discrete: bool, discount: float, fields: dict) -> "d3rlpy.algos.QLearningAlgoBase":
    """With d3rlpy's own settings but for those given; actions and observations are scaled."""
    seen = d3rlpy.preprocessing.StandardObservationScaler()
    if discrete:
        if kind == "bc":
            return d3rlpy.algos.DiscreteBCConfig(observation_scaler=seen, **fields).create()
        return d3rlpy.algos.DiscreteCQLConfig(gamma=discount, observation_scaler=seen, **fields).create()
    acted = d3rlpy.preprocessing.MinMaxActionScaler()
    if kind == "bc":
        return d3rlpy.algos.BCConfig(observation_scaler=seen, action_scaler=acted, **fields).create()
    return d3rlpy.algos.IQLConfig(
        gamma=discount,
        observation_scaler=seen,
        action_scaler=acted,
        reward_scaler=d3rlpy.preprocessing.StandardRewardScaler(),
        **fields,
    ).create()


if __name__ == "__main__":
    main()
