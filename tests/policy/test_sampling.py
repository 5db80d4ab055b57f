import pytest
import torch

from policy.sampling import draw

PROBABILITIES = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03], dtype=torch.float64)
DRAWS = 20_000
LIMIT = 18.47  # of chi-square with 4 degrees of freedom, exceeded in 1 of 1,000 trials


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_draws_follow_the_tempered_distribution(temperature):
    logits = PROBABILITIES.log().expand(DRAWS, 5) + 3.0
    at = torch.full((DRAWS,), temperature, dtype=torch.float64)
    tokens, log_probs = draw(logits, at, torch.Generator().manual_seed(0))
    expected = torch.softmax(PROBABILITIES.log() / temperature, 0)
    counts = torch.bincount(tokens, minlength=5)
    assert ((counts - DRAWS * expected) ** 2 / (DRAWS * expected)).sum() < LIMIT
    assert torch.allclose(log_probs, expected.log()[tokens])


def test_greedy_takes_the_most_likely_with_its_log_probability_at_temperature_one():
    logits = PROBABILITIES.log().repeat(3, 1)
    tokens, log_probs = draw(logits, torch.tensor([0.0, 1.0, 0.0]), torch.Generator().manual_seed(1))
    assert tokens[[0, 2]].tolist() == [0, 0]
    assert torch.allclose(log_probs[[0, 2]], PROBABILITIES.log()[[0, 0]])


def test_a_seed_repeats_the_draws():
    logits, ones = torch.randn(50, 7), torch.ones(50)
    first, second = (draw(logits, ones, torch.Generator().manual_seed(3))[0] for _ in range(2))
    assert torch.equal(first, second)
