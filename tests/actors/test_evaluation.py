import numpy as np
import pytest

from actors.domains import task_layout
from actors.errors import EvaluationError
from actors.evaluation import evaluate, random_policy
from policy.types import NO_VERSION
from replay.prompts import Prompt
from tests.actors.toys import PREFIX


def ones(request):
    """Always the middle action, whatever is asked."""
    reply = random_policy(0)(request)
    reply.tokens[:] = request.legal[:, 0] + 1
    return reply


@pytest.mark.parametrize("environments", [1, 3, 7, 40])
def test_short_episodes_do_not_count_more(environments):
    layout = task_layout(PREFIX + "RandomLength-v0")
    done = []
    result = evaluate(
        ones, layout, 40, seed=5, environments=environments, progress=lambda count, of: done.append((count, of))
    )
    alone = evaluate(ones, layout, 40, seed=5, environments=1)
    assert result.lengths == alone.lengths
    assert result.returns == alone.returns == [float(length) for length in result.lengths]
    assert len(set(result.lengths)) > 10
    assert done == [(count, 40) for count in range(1, 41)]


def test_other_seeds_are_other_starts():
    layout = task_layout(PREFIX + "RandomLength-v0")
    assert evaluate(ones, layout, 20, seed=5).lengths != evaluate(ones, layout, 20, seed=6).lengths


def test_slots_reset_where_episodes_begin():
    layout = task_layout(PREFIX + "Toy-v0")
    requests = []

    def act(request):
        requests.append(request)
        return ones(request)

    evaluate(act, layout, 6, temperature=0.5, environments=4, with_return=True, return_kappa=3.0)
    assert len({request.run_id for request in requests}) == 1
    for turn, request in enumerate(requests):
        assert request.reset.tolist() == [turn % 10 == 0] * len(request.slots)
        assert request.slots.tolist() == ([0, 1, 2, 3] if turn < 10 else [0, 1])
        assert (request.temperature, request.with_return, request.return_kappa) == (0.5, True, 3.0)


def test_weights_that_change_meanwhile_are_an_error():
    turn = iter(range(100))

    def act(request):
        reply = ones(request)
        reply.versions[:] = (0, next(turn) // 5)
        return reply

    with pytest.raises(EvaluationError, match="pin a version"):
        evaluate(act, task_layout(PREFIX + "Toy-v0"), 4)


def test_failing_environments_play_their_episodes_anew():
    result = evaluate(ones, task_layout(PREFIX + "FaultyStep-v0"), 20, environments=6)
    assert result.faults > 0
    assert result.lengths == [10] * 20


def test_the_random_policy_plays_as_badly_as_it_should():
    result = evaluate(random_policy(0), task_layout("gym/CartPole-v1"), 200)
    assert 18 < np.mean(result.returns) < 27
    assert result.version == NO_VERSION
    reply_tokens = evaluate(random_policy(0), task_layout("gym/Pendulum-v1"), 10)
    assert -1500 < np.mean(reply_tokens.returns) < -900


def test_every_episode_begins_behind_the_prompt():
    layout = task_layout(PREFIX + "RandomLength-v0")
    prompt = Prompt(
        np.arange(2 * layout.step_tokens, dtype=np.int32).reshape(2, -1), np.zeros((2, 0, 16, 16, 3), np.uint8)
    )
    play, begun = random_policy(0), []

    def act(request):
        assert (request.prompt is not None) == request.reset.any()
        if request.prompt is not None:
            assert request.prompt.shape == (request.reset.sum(), 2, layout.step_tokens)
            assert (request.prompt == prompt.tokens).all()
            assert request.prompt_patches is None
            begun.append(request.reset.sum())
        return play(request)

    evaluate(act, layout, 7, seed=1, environments=3, prompt=prompt)
    assert sum(begun) >= 7
