"""Figures of parts equal those of the whole."""

import pytest
import torch

from learner.statistics import by_task, deviation, effective_sample_size, mean, sums, together

VALUES = torch.tensor([3.0, -1.0, 4.0, 1.0, 5.0, 9.0], dtype=torch.float64)


def figures(values: torch.Tensor) -> dict:
    return sums({"mean": mean(values), "deviation": deviation(values), "size": effective_sample_size(values)})


@pytest.mark.parametrize("cut", [0, 1, 4])
def test_parts_equal_the_whole(cut):
    found = together([figures(VALUES[:cut]), figures(VALUES[cut:])])
    assert found["mean"] == pytest.approx(3.5)
    assert found["deviation"] == pytest.approx(float(VALUES.std(unbiased=False)))
    assert found["size"] == pytest.approx(21.0**2 / (6 * 133.0))


@pytest.mark.parametrize("figure", [mean, deviation, effective_sample_size])
def test_each_task_has_the_figure_of_its_own_values(figure):
    found = by_task(figure, VALUES, torch.tensor([0, 0, 1, 3, 3, 3]), ["b", "a", "c", "b"])
    assert sorted(found) == ["a", "b"], "nothing of c has a loss"
    assert found["a"].value == figure(VALUES[2:3]).value
    assert found["b"].value == figure(VALUES[[0, 1, 3, 4, 5]]).value


def test_plain_figures_add_up_and_need_not_be_everywhere():
    parts = [sums({"loss": torch.tensor(2.0), "q": torch.tensor(1.0)}), sums({"loss": torch.tensor(0.5)})]
    assert together(parts) == {"loss": 2.5, "q": 1.0}


def test_effective_sample_size():
    assert together([sums({"size": effective_sample_size(torch.ones(9))})])["size"] == 1.0
    assert together([sums({"size": effective_sample_size(torch.eye(4)[0])})])["size"] == pytest.approx(0.25)
    assert together([sums({"size": effective_sample_size(torch.ones(0))})])["size"] == 1.0
