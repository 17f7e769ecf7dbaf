"""Squared distances as tensors: values of ``jko.distance``, slopes of its differences."""

import pytest
import torch
from registry import charged_mesh, span

import jko
from jko.metrics import SinkhornDivergence, squared_distance

F64 = torch.float64
GRID = jko.Grid((-2.0, 2.0), 6)


def numbers(count: int, turn: int) -> torch.Tensor:
    return torch.randn(count, dtype=F64, generator=torch.Generator().manual_seed(turn))


def points(s: torch.Tensor) -> jko.Particles:
    return jko.Particles(s[:10].reshape(5, 2), (0.2 * s[10:15]).softmax(0))


def pair(s: torch.Tensor) -> jko.ChargedParticles:
    return jko.ChargedParticles(s[:10].reshape(5, 2), s[5:10], (0.2 * s[10:15]).softmax(0))


def density(s: torch.Tensor) -> jko.GridDensity:
    return jko.GridDensity(GRID, (0.5 * s[:6]).softmax(0) / GRID.cell)


def charged(s: torch.Tensor) -> jko.ChargedDensity:
    return jko.ChargedDensity(GRID, (0.5 * s[:6]).softmax(0) / GRID.cell, s[6:12])


def mesh(s: torch.Tensor) -> jko.LineMesh:
    return jko.LineMesh(s[:7].exp().cumsum(0), s[7:13].softmax(0))


def charged_nodes(s: torch.Tensor) -> jko.ChargedMesh:
    return jko.ChargedMesh(s[:5].exp().cumsum(0), s[5:10], s[10:14].softmax(0))


KINDS = [points, pair, density, charged, mesh, charged_nodes]


@pytest.mark.parametrize("make", KINDS)
def test_it_is_the_square_of_the_distance_and_its_slope_that_of_differences(make):
    for turn in range(3):
        s, t = numbers(15, 2 * turn), numbers(15, 2 * turn + 1)
        exact = jko.distance(make(s), make(t)).squared
        value = squared_distance(make(s), make(t))
        assert value.item() == pytest.approx(exact, rel=1e-12)
        assert not value.requires_grad
        both = s.requires_grad_(), t.requires_grad_()
        assert torch.autograd.gradcheck(lambda s, t: squared_distance(make(s), make(t)), both)


@pytest.mark.parametrize("make", [points, pair, density, charged, charged_nodes])
def test_the_entropic_divergence_is_differentiable_in_all_kinds(make):
    metric = SinkhornDivergence(0.5, tol=1e-11)
    both = [numbers(15, turn).requires_grad_() for turn in (0, 1)]
    assert torch.autograd.gradcheck(lambda s, t: metric.cost(make(s), make(t)), both, rtol=1e-3)


def test_equal_weights_that_require_gradients_count_one_by_one():
    x, y = numbers(4, 0)[:, None], numbers(3, 1)[:, None]
    w = torch.full((4,), 0.25, dtype=F64, requires_grad=True)
    squared_distance(jko.Particles(x, w), jko.Particles(y)).backward()
    slope = jko.metrics.squared_gradient(jko.Particles(x), jko.Particles(y))
    assert torch.allclose(w.grad, slope.weights)


def test_a_span_is_told_what_to_do_and_float32_stays_float32():
    with pytest.raises(TypeError, match=r"ChargedSpan; .*to_particles\(\)"):
        squared_distance(span(), span(1))
    a, b = charged_mesh().float(), charged_mesh(1).float()
    assert squared_distance(a, b).dtype == torch.float32
