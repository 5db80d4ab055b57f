import numpy as np
import pytest
from scipy.linalg import expm

from actors import domains
from actors.experts import control, registry
from actors.experts.lqr import linearise
from actors.experts.per_episode import PerEpisode
from actors.experts.play import play
from actors.experts.scripted import scripted
from policy.text import TextTokenizer

# One cheap task of each kind: episodes, and by how much at least the mean return is above that of random actions.
SAMPLE = {
    "babyai/GoToObj": (10, 0.5),
    "control-random/cartpole-balance-large": (1, 400.0),
    "control/ball_in_cup-catch": (6, 500.0),
    "control/pendulum-swingup": (1, 400.0),
    "control/point_mass-hard": (1, 400.0),
    "control/reacher-hard": (1, 600.0),
    "gym/MountainCar-v0": (3, 60.0),
    "gym/MountainCarContinuous-v0": (3, 100.0),
    "manipulation/reach_site_features": (1, 150.0),
    "metaworld/drawer-close-v3": (1, 2000.0),
    "sokoban/8x8-2": (5, 15.0),
}


@pytest.mark.parametrize("task", SAMPLE)
def test_the_expert_beats_random_actions_by_far(task):
    episodes, margin = SAMPLE[task]
    layout = domains.task_layout(task, text=TextTokenizer.default())
    random, expert = (
        [episode.total for episode in play(registry.expert(layout, quality, 0), layout, episodes, 0)]
        for quality in ("random", "expert")
    )
    assert np.mean(expert) > np.mean(random) + margin


def test_every_meta_world_task_and_nearly_every_level_has_an_expert():
    names = domains.names()
    assert all(scripted(name) for name in names if name.startswith(("metaworld/", "sokoban/", "maze/")))
    unsolved = sorted(name for name in names if name.startswith("babyai/") and not scripted(name))
    assert [name for name in unsolved if not name.endswith("-rendered")] == [
        "babyai/KeyInBox",
        "babyai/PutNextS5N2Carrying",
        "babyai/PutNextS6N3Carrying",
        "babyai/PutNextS7N4Carrying",
    ]
    assert scripted("gym/Taxi-v3") is None
    assert scripted("nowhere/to-be-found") is None


def test_a_distracted_expert_is_between_random_actions_and_itself_and_follows_its_seed():
    task, episodes = "babyai/GoToLocal", 40
    layout = domains.task_layout(task, text=TextTokenizer.default())
    random, medium, again, other, expert = (
        [episode.total for episode in play(registry.expert(layout, quality, seed), layout, episodes, 0)]
        for quality, seed in (("random", 0), ("medium", 0), ("medium", 0), ("medium", 1), ("expert", 0))
    )
    margin = 0.2 * (np.mean(expert) - np.mean(random))
    assert np.mean(random) + margin < np.mean(medium) < np.mean(expert) - margin
    assert medium == again != other
    assert "medium" in registry.qualities(task)
    assert "medium" not in registry.qualities("babyai/KeyInBox")


def test_each_episode_has_a_player_of_its_own():
    made = []

    def begin(environment):
        made.append(environment)
        number = len(made)
        return lambda: np.int64(number)

    expert = PerEpisode("counting", begin)
    one, other = domains.make("gym/CartPole-v1"), domains.make("gym/CartPole-v1")
    assert expert.act(None, [one, other], np.array([True, True])).tolist() == [1, 2]
    assert expert.act(None, [other], np.array([False])).tolist() == [2]
    assert expert.act(None, [other, one], np.array([True, False])).tolist() == [3, 1]
    assert made == [one, other, other]


def test_linear_dynamics_are_those_of_the_equation_of_motion():
    environment = domains.make("control/pendulum-swingup")
    environment.reset(seed=0)
    player = control.Pendulum(environment)
    damping, seconds = player.physics.model.dof_damping[0], player.physics.timestep()
    a, b = linearise(player.physics, np.zeros(1), 1)
    # inertia * acceleration = lift * angle - damping * velocity + torque, upright
    continuous = np.array([[0.0, 1.0, 0.0], [player.lift, -damping, 1.0], [0.0, 0.0, 0.0]])
    continuous[1] /= player.inertia
    exact = expm(continuous * seconds)
    assert a == pytest.approx(exact[:2, :2], abs=0.02)  # the simulator's own integration is of first order
    assert b == pytest.approx(exact[:2, 2], abs=0.02 * exact[1, 2])


def test_scaled_bodies_have_regulators_of_their_own():
    environment = domains.make("control-random/cartpole-balance-large")
    gains = []
    for seed in (0, 1, 0):
        environment.reset(seed=seed)
        gains.append(control.CartPole(environment).gain)
    assert gains[0] == pytest.approx(gains[2])
    assert not np.allclose(gains[0], gains[1], rtol=1e-3)
