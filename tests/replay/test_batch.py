import numpy as np
import torch

from policy.returns import ReturnScale
from policy.vocabulary import DEFAULT
from replay.batch import collate
from tests.replay.samples import episode, online

SEP, PAD = DEFAULT.separator, DEFAULT.pad


def small():
    """Two steps of two observation tokens and one action token; its tail follows."""
    whole = episode(2, 2, 1, task="gym/Small-v0", context=64)
    whole.tokens[:] = [[32001, 32002, SEP, 33024], [32003, 32004, SEP, 33025]]
    whole.tail[:] = [32005, 32006, SEP]
    whole.rewards[:] = [1.0, 2.0]
    whole.returns_to_go[:] = [3.0, 2.0]
    return whole


def large():
    """Three steps of one observation token and two action tokens; the first is burn-in."""
    whole = episode(3, 1, 2, task="gym/Large-v0", finished=False)
    whole.tokens[:] = [[32011, SEP, 33024, 33026], [32012, SEP, 33025, 33025], [32013, SEP, 33024, 33024]]
    whole.tail[:] = [32014, SEP]
    whole.returns_to_go[:] = [5.0, 4.0, 3.0]
    whole.burn_in = 1
    return whole


def test_mixed_layouts_by_hand():
    batch = collate([small(), large()])
    assert batch.tokens.tolist() == [
        [32001, 32002, SEP, 33024, 32003, 32004, SEP, 33025, 32005, 32006, SEP, PAD, PAD, PAD],
        [32011, SEP, 33024, 33026, 32012, SEP, 33025, 33025, 32013, SEP, 33024, 33024, 32014, SEP],
    ]
    assert batch.position.tolist() == [
        [0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2, 0, 0, 0],
        [0, 1, -1, -1, 0, 1, -1, -1, 0, 1, -1, -1, 0, 1],
    ]
    assert batch.timestep.tolist() == [
        [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, -1, -1, -1],
        [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3],
    ]
    assert batch.separator.tolist() == [[2, 6, 10, 0], [1, 5, 9, 13]]
    assert batch.last_action.tolist() == [[3, 7, 0], [3, 7, 11]]
    assert batch.length.tolist() == [2, 3]
    assert batch.loss.tolist() == [[True, True, False], [False, True, True]]
    assert batch.rewards[0].tolist() == [1.0, 2.0, 0.0]
    assert batch.terminated.tolist() == [[False, True, False], [False, False, False]]
    # One token before each action token that has a loss; the second row begins at 14.
    assert batch.action_at.tolist() == [2, 6, 14 + 5, 14 + 6, 14 + 9, 14 + 10]
    assert batch.action_token.tolist() == [33024, 33025, 33025, 33025, 33024, 33024]
    assert batch.action_step.tolist() == [0, 1, 3 + 1, 3 + 1, 3 + 2, 3 + 2]
    assert batch.action_range.tolist()[:3] == [[33024, 33026], [33024, 33026], [33024, 33026]]
    assert batch.action_range.tolist()[3] == [33024, 33027]
    assert len(batch.return_at) == 0
    assert batch.online.tolist() == [True, False]
    assert batch.tasks == ["gym/Small-v0", "gym/Large-v0"]
    assert batch.origin[1] == "gym/Large-v0 episode 0 of actor -1, steps 0..2"


def test_return_tokens_follow_the_observation():
    scales = {"gym/Small-v0": ReturnScale(0.0, 4.0), "gym/Large-v0": ReturnScale(0.0, 8.0)}
    batch = collate([small(), large()], scales)
    g = DEFAULT.returns.start
    assert batch.tokens[0].tolist()[:10] == [32001, 32002, g + 192, SEP, 33024, 32003, 32004, g + 128, SEP, 33025]
    assert batch.tokens[1].tolist()[:5] == [32011, g + 160, SEP, 33024, 33026]
    assert batch.position[0].tolist()[:10] == [0, 1, 2, 3, -1, 0, 1, 2, 3, -1]
    width = batch.tokens.shape[1]
    assert batch.return_at.tolist() == [1, 6, width + 5, width + 10]  # the last observation token predicts it
    assert batch.return_token.tolist() == [g + 192, g + 128, g + 128, g + 96]
    assert batch.return_step.tolist() == [0, 1, 4, 5]
    assert batch.separator.tolist()[0][:3] == [3, 8, 13]


def test_predictions_point_one_token_before_their_target():
    windows = [online(1), small(), large(), episode(9, 4, 3, task="gym/Wide-v0", context=128)]
    scales = {window.task: ReturnScale(-20.0, 20.0) for window in windows}
    for batch in (collate(windows), collate(windows, scales)):
        flat = batch.tokens.reshape(-1)
        torch.testing.assert_close(flat[batch.action_at + 1], batch.action_token)
        torch.testing.assert_close(flat[batch.return_at + 1], batch.return_token)
        assert (
            (batch.action_token >= batch.action_range[:, 0]) & (batch.action_token < batch.action_range[:, 1])
        ).all()
        assert batch.loss.reshape(-1)[batch.action_step].all()


def test_batches_for_values_hold_no_return_token():
    acted = small()
    acted.return_tokens[:] = DEFAULT.returns.start + 7
    batch = collate([acted, large()])
    assert not ((batch.tokens >= DEFAULT.returns.start) & (batch.tokens < DEFAULT.returns.stop)).any()
    assert (batch.tokens.gather(1, batch.separator[:, :3]) == SEP).all()


def test_acted_returns_are_the_tokens_that_were_acted_on():
    acted = small()
    acted.return_tokens[:] = [DEFAULT.returns.start + 7, DEFAULT.returns.start + 9]
    batch = collate([acted], acted_returns=True)
    assert batch.return_token.tolist() == acted.return_tokens.tolist()


def test_moving_a_batch_keeps_everything():
    batch = collate([small()])
    moved = batch.to("cpu")
    assert moved.tasks == batch.tasks
    np.testing.assert_array_equal(moved.tokens.numpy(), batch.tokens.numpy())
