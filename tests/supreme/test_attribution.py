"""Integrated gradients: exact for a linear model, complete for any, silent about what is not there."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from ecgray.supreme.attribution import integrated_gradients
from ecgray.supreme.config import SIZES
from ecgray.supreme.model import Supreme


class Polynomial(Supreme):
    """A logit that is a weighted sum of the samples to a power, and a constant."""

    def __init__(self, power: int) -> None:
        super().__init__(SIZES["debug"])
        self.weight = nn.Parameter(torch.randn(12, 5000, generator=torch.Generator().manual_seed(1)))
        self.power = power

    def forward(self, ecg, queries, *, query_self_attention=None):
        return 0.5 + (self.weight * ecg**self.power).sum(dim=(1, 2)).unsqueeze(-1).expand(-1, len(queries))


@pytest.fixture
def ecg() -> torch.Tensor:
    return 0.1 * torch.randn(12, 5000, generator=torch.Generator().manual_seed(2))


QUERY = torch.randn(1, 768, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("points", [2, 32])
def test_a_linear_models_parts_are_its_terms(ecg: torch.Tensor, points: int):
    model = Polynomial(1)
    logit, base, parts = integrated_gradients(model, ecg, QUERY, points=points)
    terms = (model.weight * ecg).detach()
    torch.testing.assert_close(parts, terms, rtol=1e-5, atol=1e-6)
    assert base == pytest.approx(0.5)
    assert logit == pytest.approx(0.5 + float(terms.sum()), abs=1e-3)


@pytest.mark.parametrize(("power", "points"), [(2, 3), (3, 5), (4, 6), (3, 32)])
def test_powers_are_exact_from_so_many_points_on(ecg: torch.Tensor, power: int, points: int):
    """Along x = u^3 the slope of x^p is of degree 3p - 1 in u, which n points of Gauss take up to 2n - 1."""
    model = Polynomial(power)
    _, _, parts = integrated_gradients(model, ecg, QUERY, points=points)
    torch.testing.assert_close(parts, (model.weight * ecg**power).detach(), rtol=1e-4, atol=1e-7)
    _, _, fewer = integrated_gradients(model, ecg, QUERY, points=power)
    assert not torch.allclose(fewer, parts, rtol=1e-3, atol=0)


def test_a_networks_parts_add_up_to_the_difference_of_its_logits(ecg: torch.Tensor):
    torch.manual_seed(0)
    model = Supreme(dataclasses.replace(SIZES["debug"])).eval()
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.1)
    wrong = []
    for points in (8, 128):
        logit, base, parts = integrated_gradients(model, ecg, QUERY, points=points)
        wrong.append(abs(float(parts.sum()) - (logit - base)))
    with torch.no_grad():
        own = model(torch.stack([ecg, ecg * 0]), QUERY, query_self_attention="diagonal").flatten().tolist()
    assert [logit, base] == pytest.approx(own, abs=1e-5)
    assert abs(logit - base) > 1e-3
    assert wrong[1] < 0.02 * abs(logit - base)
    assert wrong[1] <= wrong[0] + 1e-5


def test_a_sample_that_is_zero_adds_nothing(ecg: torch.Tensor):
    ecg[4] = 0
    ecg[:, 100:200] = 0
    model = Supreme(SIZES["debug"]).eval()
    _, _, parts = integrated_gradients(model, ecg, QUERY)
    assert not parts[4].any()
    assert not parts[:, 100:200].any()
    assert parts.any()


def test_the_models_weights_are_left_alone(ecg: torch.Tensor):
    model = Supreme(SIZES["debug"]).eval()
    integrated_gradients(model, ecg, QUERY, points=2)
    assert all(weight.grad is None for weight in model.parameters())
    assert not ecg.requires_grad
