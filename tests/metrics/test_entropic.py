"""Claim: the kernels of entropic transport sum, average and price like the full matrix, however deep the sums are."""

import math

import pytest
import torch

from jko import Grid
from jko.metrics.entropic.clouds import CloudCosts
from jko.metrics.entropic.dual import EntropicDual
from jko.metrics.entropic.grid import GridCosts
from jko.metrics.entropic.kernel import deep_sums
from jko.metrics.entropic.marginal import Given


def brute(x, u, epsilon, y=None):
    cost = (x[:, None] - (x if y is None else y)[None]).square().sum(-1)
    terms = u - cost / epsilon
    return terms.logsumexp(-1), terms.softmax(-1), cost


@pytest.mark.parametrize("depth", [0.0, 3000.0])
@pytest.mark.parametrize("shape", [(40,), (9, 7), (5, 4, 6)])
def test_sums_averages_and_costs_of_the_kernel_are_those_of_the_full_matrix(
    shape, depth, generator
):
    grid = Grid((0.0, 1.0), shape)
    u = 5 * torch.randn(grid.N, generator=generator, dtype=torch.float64)
    v = torch.randn(grid.N, generator=generator, dtype=torch.float64)
    u[3] = -math.inf
    log, weights, cost = brute(grid.centres, u, 0.05)
    for costs in (GridCosts(grid.axes, grid.axes), CloudCosts(grid.centres, grid.centres, 10**6)):
        sums = costs.kernel(0.05).sums(u, depth)
        assert torch.allclose(sums.log, log, rtol=1e-12, atol=1e-12)
        assert torch.allclose(sums.average(v), weights @ v, rtol=0, atol=1e-12)
        assert torch.allclose(sums.cost(), (weights * cost).sum(-1), rtol=1e-11, atol=0)


def test_sums_that_underflow_are_right_where_they_are_deep_enough_and_say_so_elsewhere():
    grid, epsilon = Grid((0.0, 1.0), 80), 1e-5
    u = -2000 * torch.rand(80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    log, _, _ = brute(grid.centres, u, epsilon)
    kernel = GridCosts(grid.axes, grid.axes).kernel(epsilon)
    for depth in (0.0, 1000.0, 4000.0):
        sums = kernel.sums(u, depth)
        seen = sums.log > -math.inf
        assert torch.allclose(sums.log[seen], log[seen], rtol=1e-13, atol=0)
        assert (log[~seen] <= sums.floor + 1e-9).all()
    assert seen.all()


@pytest.mark.parametrize("epsilon", [0.05, 1e-3, 1e-5])
@pytest.mark.parametrize("other", [(8, 5), (21, 11)])
def test_between_two_grids_windows_see_what_the_full_matrix_sees(epsilon, other, generator):
    one, two = Grid(((0.0, 1.0), (0.0, 1.0)), (9, 7)), Grid(((0.2, 1.6), (-1.0, 0.3)), other)
    u = 5 * torch.randn(two.N, generator=generator, dtype=torch.float64)
    v = torch.randn(two.N, generator=generator, dtype=torch.float64)
    log, weights, cost = brute(one.centres, u, epsilon, two.centres)
    grids, clouds = GridCosts(one.axes, two.axes), CloudCosts(one.centres, two.centres, 10**6)
    for costs in (grids, clouds, grids.transposed.transposed, clouds.transposed.transposed):
        sums, _ = deep_sums(costs.kernel(epsilon), u)
        assert torch.allclose(sums.log, log, rtol=1e-12, atol=1e-12)
        assert torch.allclose(sums.average(v), weights @ v, rtol=0, atol=1e-9)
        assert torch.allclose(sums.cost(), (weights * cost).sum(-1), rtol=1e-9, atol=1e-12)
        assert costs.square == pytest.approx(clouds.square, rel=1e-14)


@pytest.mark.parametrize("dense", [True, False])
def test_the_gradient_of_the_dual_is_n_less_m_and_its_curvature_that_of_the_gradient(
    dense, generator
):
    x, y = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (7, 9))
    a, b = (torch.rand(n, generator=generator, dtype=torch.float64) for n in (7, 9))
    costs = CloudCosts(x, y, 10**6 if dense else 0)
    dual = EntropicDual(costs.kernel(0.5), Given(a / a.sum()), b / b.sum())
    beta, v = (torch.randn(9, generator=generator, dtype=torch.float64) for _ in range(2))
    here, h = dual.at(beta), 1e-5
    up, down = dual.at(beta + h * v), dual.at(beta - h * v)
    slope = float((dual.columns(here) - dual.masses) @ v)
    assert (up.value - down.value) / (2 * h) == pytest.approx(slope, rel=1e-7)
    change = (dual.columns(up) - dual.columns(down)) / (2 * h)
    assert torch.allclose(dual.curvature(here)(v), change, rtol=0, atol=1e-8)
    there, _ = dual.minimise(here, 1e-12, 50)
    assert there.residual <= 1e-12
