"""Disintegrations of densities and atoms, and what keeps a measure from graphs."""

import math

import numpy as np
import pytest
import torch

import jko
from jko import exact
from jko.diagnostics import disintegration, graph_distance
from jko.measures import YoungMeasure


def density(shape=(6, 5), seed=0, hole=True):
    bounds = ((-1.0, 2.0), (0.0, 1.0), (-2.0, 0.0))[: len(shape)]
    values = np.random.default_rng(seed).uniform(size=shape)
    if hole:
        values[(slice(None), *[1] * (len(shape) - 1))] = 0
        values[0] = 0
    grid = jko.Grid(bounds, shape)
    return jko.GridDensity(grid, values / (values.sum() * grid.cell))


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 2), (1, 4)])
@pytest.mark.parametrize("hole", [False, True])
def test_of_a_density_it_is_that_of_each_column(shape, hole):
    hole = hole and shape[0] > 1
    mu = density(shape, hole=hole)
    found = disintegration(mu)
    grid, values = mu.grid, mu.values.numpy()
    w = grid.axes[0].numpy().reshape(-1, *[1] * (len(shape) - 1))
    rho = values.sum(0) * grid.spacing[0]
    assert np.allclose(found.rho.values, rho, rtol=1e-13)
    full = rho > 0
    with np.errstate(invalid="ignore"):
        moments = [(values * w**i).sum(0) / values.sum(0) for i in range(5)]
    assert np.allclose(found.moments(4), [m[full] for m in moments[1:]], rtol=1e-11)
    assert np.allclose(found.variance, (moments[2] - moments[1] ** 2)[full], atol=1e-13)
    spread = (rho * np.nan_to_num(moments[2] - moments[1] ** 2)).sum() * found.rho.grid.cell
    assert found.expected_variance == pytest.approx(spread, abs=1e-13)
    assert np.array_equal(torch.isnan(found.pair.H).numpy(), ~full)
    assert np.allclose(found.pair.H.numpy()[full], moments[1][full], rtol=1e-12)
    assert np.allclose(found.theta, found.rho.grid.centres[full.reshape(-1)], atol=1e-14)
    law, masses = found.nu(0)
    column = values.reshape(shape[0], -1)[:, full.reshape(-1)][:, 0]
    assert np.allclose(masses, (column / column.sum())[column > 0])
    assert np.allclose(law, w.reshape(-1)[column > 0])


def test_a_risk_sees_of_a_density_its_pair_alone():
    """f_mu is the integral of H h drho, and F - G is lam/2 E Var(w | theta)."""
    mu = density((12, 9))
    data = jko.Data([[-1.0], [0.0], [2.0]], [1.0, 0.0, -1.0])
    risk = jko.Risk(data, activation=lambda theta, x: torch.tanh(theta @ x.T))
    F, found = risk + 0.3 * jko.SquaredNorm(), disintegration(mu)
    gap = float(F(mu)) - float(F(found.pair))
    assert gap == pytest.approx(0.15 * found.expected_variance, abs=1e-13)


def clouds():
    g = torch.Generator().manual_seed(4)
    theta = torch.rand(3, 2, generator=g, dtype=torch.float64)
    points = torch.cat(
        [torch.randn(12, 1, generator=g, dtype=torch.float64), theta.repeat(4, 1)], 1
    )
    m = torch.rand(12, generator=g, dtype=torch.float64)
    return jko.Particles(points, m / m.sum())


def test_of_atoms_it_is_by_equal_theta_and_that_of_the_projection():
    mu = clouds()
    found = disintegration(mu)
    pair = mu.project()
    assert torch.equal(found.pair.theta, pair.theta)
    assert torch.allclose(found.pair.H, pair.H)
    assert np.allclose(found.masses, pair.weights)
    assert found.expected_variance == pytest.approx(jko.metrics.projection_loss(mu), abs=1e-14)
    assert "3 fibres" in str(found)
    assert disintegration(pair).expected_variance == 0


def test_cells_gather_atoms_and_keep_all_mass():
    mu = clouds()
    grid = jko.Grid(((0.0, 1.0), (0.0, 1.0)), (2, 3))
    found = disintegration(mu, grid)
    theta, m = mu.points[:, 1:].numpy(), mu.weights.numpy()
    masses = np.histogram2d(*theta.T, bins=(2, 3), range=((0, 1), (0, 1)), weights=m)[0]
    assert np.allclose(found.rho.weights.reshape(2, 3), masses)
    charge = np.histogram2d(
        *theta.T, bins=(2, 3), range=((0, 1), (0, 1)), weights=m * mu.points[:, 0].numpy()
    )[0]
    with np.errstate(invalid="ignore"):
        assert np.allclose(found.pair.H, charge / masses, equal_nan=True)
    wide = disintegration(mu, 10.0)
    assert wide.fibres.fibres == 1
    assert wide.expected_variance == pytest.approx(float(mu.covariance()[0, 0]))
    total = float(mu.covariance()[0, 0])
    explained = float(found.masses @ (found.H - found.masses @ found.H) ** 2)
    assert found.expected_variance + explained == pytest.approx(total)  # the law of total variance


@pytest.mark.parametrize("t", [0.3, 2.0])
def test_cells_find_the_fibres_that_a_flow_has_torn_apart(t):
    """The limit of square waves, linear features: E Var = (1 - 2 |tanh s|) / cosh^2 s, and the mean on the overlap."""
    n, target = 4000, 0.4
    theta = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n
    mu = YoungMeasure.of_fibres(theta, [1.0, -1.0])
    P = exact.linear_flow(np.diag([1.0, 1 / 3]), s2=1.0, target=target, t=t)
    s = math.asinh(P[0, 1])
    end = mu.placed(mu.points @ torch.from_numpy(P))
    wanted = (1 - 2 * abs(math.tanh(s))) / math.cosh(s) ** 2
    errors = [abs(disintegration(end, h).expected_variance - wanted) for h in (0.1, 0.025)]
    assert errors[1] < 0.012
    assert errors[1] < 0.5 * errors[0]
    assert disintegration(end).expected_variance == 0  # of finitely many atoms it is a graph
    found = disintegration(end, 0.02)
    middle = (found.theta[:, 0] > abs(math.sinh(s)) + 0.02) & (
        found.theta[:, 0] < math.cosh(s) - abs(math.sinh(s)) - 0.02
    )
    # there w is tanh(s) theta, plus or minus 1 / cosh s
    assert np.allclose(found.H[middle], math.tanh(s) * found.theta[middle, 0], atol=0.02)
    assert np.allclose(found.variance[middle], 1 / math.cosh(s) ** 2, atol=0.02)


def test_distances_to_graphs_are_in_their_order():
    g = torch.Generator().manual_seed(1)
    for k in range(5):
        theta = torch.rand(6, 1, generator=g, dtype=torch.float64)
        w = 0.3 * k * torch.randn(6, 3, generator=g, dtype=torch.float64)
        mu = YoungMeasure.of_fibres(theta, w)
        found = graph_distance(mu)
        assert found.lower <= found.projection + 1e-12
        assert found.projection <= found.upper + 1e-12
        assert found.projection == pytest.approx(jko.distance(mu, mu.project()).value, abs=1e-12)
        for slope in (0.0, 1.0, 4.0):  # no graph of this slope is nearer
            line = jko.ChargedParticles(theta, slope * theta[:, 0].sin())
            assert found.of_slope(slope) <= jko.distance(mu, line).value + 1e-12


def test_near_graphs_are_steep():
    """Square waves, made Lipschitz: their slope is above what their distance demands."""
    n, N, periods = 200, 400, 5
    theta = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n
    mu = YoungMeasure.of_fibres(theta, [1.0, -1.0])
    found, t = graph_distance(mu), (torch.arange(N, dtype=torch.float64) + 0.5) / N
    for slope in (50.0, 200.0):
        triangle = 4 * ((t * periods) % 1 - 0.5).abs() - 1
        H = (triangle * slope / (4 * periods)).clamp(-1, 1)
        far = jko.distance(mu, jko.ChargedParticles(t[:, None], H)).value
        assert found.slope_within(far) <= slope
        assert found.of_slope(slope) <= far
    assert found.slope_within(2.0) == 0


@pytest.mark.parametrize(
    ("state", "cells", "sentence"),
    [
        (lambda: density((4, 4)), 0.1, "columns"),
        (lambda: density((4,), hole=False), None, "one axis"),
        (
            lambda: jko.GridDensity(
                jko.Grid(((0, 1), (0, 1)), (2, 2), (True, False)), np.ones((2, 2))
            ),
            None,
            "periodic",
        ),
        (clouds, jko.Grid((0.0, 1.0), 3), "d = 2"),
        (clouds, jko.Grid(((0.0, 0.1), (0.0, 1.0)), (2, 2)), "outside"),
        (clouds, -1.0, "cells"),
        (lambda: jko.Particles([[1.0]]), None, "at least two"),
        (lambda: jko.LineMesh([0.0, 1.0], [1.0]), None, "at least two"),
    ],
    ids=["density", "line", "periodic", "axes", "outside", "width", "points", "mesh"],
)
def test_what_has_no_fibres_is_refused(state, cells, sentence):
    with pytest.raises(ValueError, match=sentence):
        disintegration(state(), cells)
