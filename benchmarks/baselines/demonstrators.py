"""What the medium demonstrators' own networks score, greedily and as they were recorded: what a perfect clone would."""

from collections.abc import Callable

import gymnasium
import numpy as np
from episodes import arguments, evaluate, make, write

from actors.experts.files import SHIPPED, network_path
from actors.experts.network import CATEGORICAL, GAUSSIAN, Network


def main() -> None:
    options = arguments(__doc__).parse_args()
    network = Network.load(network_path(SHIPPED, options.task, options.quality))
    if network.head not in (CATEGORICAL, GAUSSIAN):
        raise SystemExit(f"{options.task}: its demonstrator has a {network.head} head")
    with make(options.task) as env:
        space = env.action_space
    generator = np.random.default_rng(options.seed)
    write(
        options.json,
        task=options.task,
        algorithm="demonstrator",
        library="ocelot",
        seed=options.seed,
        returns=evaluate(options.task, player(network, space, None), options.episodes),
        drawn_returns=evaluate(options.task, player(network, space, generator), options.episodes),
    )


def player(
    network: Network, space: gymnasium.Space, generator: np.random.Generator | None
) -> Callable[[np.ndarray], object]:
    """Acts on one flat observation; without a generator by what the network prefers, a choice or a Gaussian's mean."""

    def act(observation: np.ndarray) -> object:
        seen = observation[None]
        if generator is not None:
            chosen = network.choose(seen, generator)[0]
        elif network.discrete:
            chosen = network.forward(seen)[0].argmax()
        else:
            chosen = network.forward(seen)[0]
        if isinstance(space, gymnasium.spaces.Discrete):
            return int(chosen)
        assert isinstance(space, gymnasium.spaces.Box)
        unit = (np.clip(chosen, -1.0, 1.0) + 1.0) / 2.0
        return (space.low + unit * (space.high - space.low)).astype(np.float32)

    return act


if __name__ == "__main__":
    main()
