import numpy as np
import pytest
import torch

from policy.sampling import draw

PROBABILITIES = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03], dtype=torch.float64)
DRAWS = 20_000
LIMIT = 18.47  # of chi-square with 4 degrees of freedom, exceeded in 1 of 1,000 trials


def uniform(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_draws_follow_the_tempered_distribution(temperature):
    logits = PROBABILITIES.log().expand(DRAWS, 5) + 3.0
    at = torch.full((DRAWS,), temperature, dtype=torch.float64)
    tokens, log_probs = draw(logits, at, uniform(DRAWS, 0))
    expected = torch.softmax(PROBABILITIES.log() / temperature, 0)
    counts = torch.bincount(tokens, minlength=5)
    assert ((counts - DRAWS * expected) ** 2 / (DRAWS * expected)).sum() < LIMIT
    assert torch.allclose(log_probs, expected.log()[tokens])


def test_greedy_takes_the_most_likely_with_its_log_probability_at_temperature_one():
    logits = PROBABILITIES.log().repeat(3, 1)
    tokens, log_probs = draw(logits, torch.tensor([0.0, 1.0, 0.0]), uniform(3, 1))
    assert tokens[[0, 2]].tolist() == [0, 0]
    assert torch.allclose(log_probs[[0, 2]], PROBABILITIES.log()[[0, 0]])


def test_levels_repeat_the_draws_whatever_rows_stand_beside():
    logits, ones, level = torch.randn(50, 7), torch.ones(50), uniform(50, 3)
    every = draw(logits, ones, level)[0]
    assert torch.equal(every[20:30], draw(logits[20:30], ones[20:30], level[20:30])[0])
    assert not torch.equal(every, draw(logits, ones, uniform(50, 4))[0])


@pytest.mark.parametrize("shift", [-1.4, -0.3, 0.0, 0.8, 1.7])
def test_the_median_finds_what_a_demonstrator_varies_around_where_the_bounds_cut_its_noise(shift):
    """A clipped Gaussian's median is its clipped mean; its most likely bin is nearly always one of the outermost."""
    bins = 21
    edges = torch.linspace(-1.0, 1.0, bins + 1, dtype=torch.float64)
    below = torch.special.ndtr((edges - shift) / 0.7)
    below[0], below[-1] = 0.0, 1.0
    logits = (below[1:] - below[:-1]).log().unsqueeze(0)
    zero, level = torch.zeros(1, dtype=torch.float64), uniform(1, 0)
    expected = min(bins - 1, max(0, int((shift + 1.0) / 2.0 * bins)))
    token, log_prob = draw(logits, zero, level, median=True)
    assert token.tolist() == [expected]
    assert torch.allclose(log_prob, logits[0, token])
    assert draw(logits, zero, level)[0].item() in (0, bins - 1)


def test_the_median_is_the_draw_at_one_half_and_leaves_drawn_rows_alone():
    logits, level = torch.randn(50, 7, dtype=torch.float64), uniform(50, 3)
    temperature = torch.tensor([0.0, 0.5], dtype=torch.float64).repeat(25)
    tokens, log_probs = draw(logits, temperature, level, median=True)
    drawn, drawn_log_probs = draw(logits, temperature, level)
    assert torch.equal(tokens[1::2], drawn[1::2])
    assert torch.equal(log_probs[1::2], drawn_log_probs[1::2])
    summed = torch.softmax(logits, 1).cumsum(1).numpy()
    assert tokens[::2].tolist() == [int(np.argmax(row > 0.5)) for row in summed[::2]]
    assert torch.allclose(
        log_probs,
        torch.log_softmax(logits / temperature.where(temperature > 0, 1.0)[:, None], 1).gather(1, tokens[:, None])[
            :, 0
        ],
    )
