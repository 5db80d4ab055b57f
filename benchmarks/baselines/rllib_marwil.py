"""RLlib's MARWIL on Ocelot's demonstrations."""

import contextlib
import tempfile
import threading
import time
from pathlib import Path

import gymnasium
import minari
import numpy as np
import psutil
import torch
from episodes import arguments, dataset_id, evaluate, flat, make, write

UPDATES = 500  # of a round: the library starts its data pipeline anew in each, which takes seconds


def main() -> None:
    import ray
    from ray.rllib.algorithms.marwil import MARWILConfig

    parser = arguments(__doc__)
    parser.add_argument("--discount", type=float, default=0.99)
    options = parser.parse_args()
    env = make(options.task)
    discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        convert(options.task, options.quality, discrete, Path(folder))
        config = (
            MARWILConfig()
            .environment(observation_space=env.observation_space, action_space=env.action_space)
            .offline_data(input_=[folder], input_read_episodes=True, dataset_num_iters_per_learner=UPDATES)
            .training(beta=1.0, lr=1e-3, gamma=options.discount, train_batch_size_per_learner=1024)
            .debugging(seed=options.seed)
        )
        algorithm = config.build_algo()
        clock, rounds = FamilyClock(), 0
        while clock.seconds() < options.seconds:
            algorithm.train()
            rounds += 1
        spent = clock.seconds()
        module = algorithm.get_module()
        low, high = (None, None) if discrete else (env.action_space.low, env.action_space.high)

        def act(observation: np.ndarray) -> object:
            with torch.no_grad():
                out = module.forward_inference({"obs": torch.as_tensor(observation[None])})["action_dist_inputs"][0]
            if discrete:
                return int(out.argmax())
            return np.clip(out[: len(low)].numpy(), low, high)

        returns = evaluate(options.task, act, options.episodes)
        algorithm.stop()
        ray.shutdown()
    write(
        options.json,
        task=options.task,
        algorithm="MARWIL",
        library=f"rllib {ray.__version__}",
        seed=options.seed,
        cpu_seconds=round(spent),
        updates=rounds * UPDATES,
        returns=returns,
    )


class FamilyClock:
    """CPU seconds of this process and those that it started, from now on.

    The library reads and batches in processes of Ray that end with each round, and whose time then counts nowhere: so
    all are looked at twice a second, and what each had used last is kept.
    """

    def __init__(self) -> None:
        self._used: dict[tuple[int, float], float] = {}
        self._look()
        self._before = sum(self._used.values())
        threading.Thread(target=self._watch, daemon=True).start()

    def seconds(self) -> float:
        self._look()
        return sum(list(self._used.values())) - self._before

    def _watch(self) -> None:
        while True:
            time.sleep(0.5)
            self._look()

    def _look(self) -> None:
        own = psutil.Process()
        for process in (own, *own.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._used[process.pid, process.create_time()] = times.user + times.system


def convert(task: str, quality: str, discrete: bool, folder: Path) -> None:
    """The demonstrations as the episodes in Parquet that RLlib reads."""
    import msgpack
    import msgpack_numpy
    import ray
    from ray.rllib.env.single_agent_episode import SingleAgentEpisode

    rows = []
    for episode in minari.load_dataset(dataset_id(task, quality)).iterate_episodes():
        actions = np.asarray(episode.actions)
        record = SingleAgentEpisode(
            observations=list(flat(episode.observations)),
            actions=[int(action) for action in actions.reshape(-1)] if discrete else list(actions.astype(np.float32)),
            rewards=[float(reward) for reward in episode.rewards],
            terminated=bool(episode.terminations[-1]),
            truncated=bool(episode.truncations[-1]),
            len_lookback_buffer=0,
        )
        rows.append({"item": msgpack.packb(record.get_state(), default=msgpack_numpy.encode)})
    ray.data.from_items(rows).write_parquet(str(folder))


if __name__ == "__main__":
    main()
