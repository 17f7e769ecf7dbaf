"""limits.wasserstein on grids: order two, positive, conservative, and at rest where the minimiser is."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

import jko
from jko import exact

F64 = torch.float64


def means(grid, cdf):
    """The density with the exact masses of the cells, d = 1."""
    (lower, upper), n = grid.bounds[0], grid.shape[0]
    masses = np.diff(cdf(np.linspace(lower, upper, n + 1)))
    return jko.GridDensity(grid, masses / masses.sum() / grid.cell)


def product(grid, *cdfs):
    """The same for a product law in d = 2, 3."""
    values = np.ones(())
    for (lower, upper), n, cdf in zip(grid.bounds, grid.shape, cdfs, strict=True):
        masses = np.diff(cdf(np.linspace(lower, upper, n + 1)))
        values = np.multiply.outer(values, masses / masses.sum())
    return jko.GridDensity(grid, values / grid.cell)


def difference(a, b):
    return float((a.values - b.values).abs().sum()) * a.grid.cell


def orders(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


@pytest.mark.parametrize("a", [0.0, 1.0], ids=["heat", "Fokker-Planck"])
def test_heat_and_fokker_planck_are_of_order_two_on_the_line(a):
    F = a * jko.SquaredNorm() + 0.3 * jko.Entropy()
    errors = []
    for n in (50, 100, 200):
        grid = jko.Grid((-5.0, 5.0), n)
        start = means(grid, norm(0.4, 0.6).cdf)
        final = jko.limits.wasserstein(F, start, t1=0.5, times=[0.5]).final
        law = exact.gaussian_flow([0.4], [[0.36]], A=a, beta=0.3, t=0.5)
        end = means(grid, norm(law.mean[0], law.covariance[0, 0] ** 0.5).cdf)
        errors.append(difference(final, end))
    assert np.abs(orders(errors) - 2).max() < 0.15
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("d", [2, 3])
def test_fokker_planck_is_of_order_two_in_the_plane_and_in_space(d):
    F, errors = jko.SquaredNorm() + 0.3 * jko.Entropy(), []
    for n in (20, 40) if d == 2 else (16, 32):
        grid = jko.Grid((-4.0, 4.0), (n,) * d)
        start = product(grid, *[norm(0.3 * k, 0.7).cdf for k in range(d)])
        final = jko.limits.wasserstein(F, start, t1=0.4, times=[0.4]).final
        s = exact.gaussian_flow([0.0], [[0.49]], A=1.0, beta=0.3, t=0.4).covariance[0, 0] ** 0.5
        end = product(grid, *[norm(0.3 * k * np.exp(-0.4), s).cdf for k in range(d)])
        errors.append(difference(final, end))
    assert abs(orders(errors)[-1] - 2) < 0.15


@pytest.mark.parametrize(
    ("m", "d"),
    [(2, 1), (3, 1), (2, 2), pytest.param(3, 2, marks=pytest.mark.slow)],
)
def test_porous_media_are_of_order_two_where_the_density_is_positive(m, d):
    # no closed form between walls: against the same on a finer grid, by pairwise differences
    F = 5.0 * jko.PorousMedium(m) + 0.1 * jko.Potential(lambda x: torch.cos(3 * x).sum(-1))
    finals = []
    for n in (48, 96, 192) if d == 1 else (24, 48, 96):
        grid = jko.Grid((-1.0, 1.0), (n,) * d)
        start = product(grid, *[lambda x: x / 2 + np.sin(np.pi * x) / (4 * np.pi)] * d)
        finals.append(
            jko.limits.wasserstein(F, start, t1=0.03, times=[0.03], rtol=1e-5).final.values
        )
    coarse = [_halved(finals[k + 1]) - finals[k] for k in range(2)]
    found = np.log2(float(coarse[0].abs().mean()) / float(coarse[1].abs().mean()))
    assert abs(found - 2) < 0.15


def _halved(values):
    for axis in range(values.ndim):
        even, odd = (
            values.narrow(axis, 0, values.shape[axis]).index_select(
                axis, torch.arange(s, values.shape[axis], 2)
            )
            for s in (0, 1)
        )
        values = 0.5 * (even + odd)
    return values


def test_barenblatt_at_256_cells_and_the_order_at_its_front():
    errors = []
    for n in (64, 128, 256):
        grid = jko.Grid((-2.0, 2.0), n)
        start = means(grid, lambda x: exact.barenblatt_mass(x, R=1.0))
        final = jko.limits.wasserstein(
            jko.PorousMedium(2), start, t1=0.2, times=[0.2], rtol=1e-4
        ).final
        R = float(exact.barenblatt_flow(1.0, m=2, d=1, c=1.0, t=0.2))
        errors.append(difference(final, means(grid, lambda x, R=R: exact.barenblatt_mass(x, R=R))))
    assert errors[-1] < 1e-3
    assert orders(errors).min() > 1.2, "at a front the order is between one and two"


def net():
    x = torch.linspace(-1, 1, 9, dtype=F64)[:, None]
    data = jko.Data(x, torch.sin(2 * x[:, 0]))
    return jko.Risk(data, features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] * x.T))


@pytest.mark.parametrize(
    "internal",
    [
        pytest.param(0.3 * jko.Entropy(), id="heat"),
        pytest.param(0.3 * jko.PorousMedium(2), id="porous medium", marks=pytest.mark.slow),
    ],
)
def test_it_rests_where_the_minimiser_is(internal):
    F, grid = net() + jko.SquaredNorm() + internal, jko.Grid((-2.0, 2.0), (16, 16))
    start = jko.GridDensity.from_function(grid, lambda x: 1 + 0.3 * torch.sin(x).sum(-1))
    run = jko.limits.wasserstein(F, start, t1=50.0, times=np.linspace(0, 50, 26))
    rest = jko.minimiser(F, grid)
    assert difference(run.final, rest.state) < 1e-8
    assert (np.diff(run.energies) <= 1e-14).all()
    assert min(float(s.values.min()) for s in run.states) >= 0
    assert max(abs(float(s.mass) - 1) for s in run.states) < 1e-12


def test_a_network_with_a_risk_is_of_order_two():
    F, energies = net() + 0.2 * jko.SquaredNorm() + 0.1 * jko.Entropy(), []
    for n in (16, 32, 64):
        start = product(jko.Grid((-3.0, 3.0), (n, n)), norm(0.5, 0.7).cdf, norm(-0.2, 0.8).cdf)
        energies.append(jko.limits.wasserstein(F, start, t1=0.5, times=[0.5]).energies[-1])
    assert abs(orders(np.abs(np.diff(energies)))[0] - 2) < 0.3


def test_the_gaussian_network_follows_its_equations():
    # linear h: a risk whose flow stays Gaussian, (w, theta) coupled by it
    kind = {"s2": 0.8, "target": 1.5, "lam": 1.0, "beta": 0.3}
    data = jko.Data([[1.0]], [1.5], [0.8])
    F = jko.Risk(data, features=lambda xi, x: (xi[:, :1] * xi[:, 1:]) @ x.T)
    F = F + jko.SquaredNorm() + 0.3 * jko.Entropy()
    grid = jko.Grid((-5.5, 5.5), (88, 88))
    start = product(grid, norm(0, 1).cdf, norm(0, 0.8).cdf)
    final = jko.limits.wasserstein(F, start, t1=0.5, times=[0.5]).final
    law = exact.network_flow([0.0, 0.0], [[1.0, 0.0], [0.0, 0.64]], t=0.5, **kind)
    found = final.covariance().numpy() - np.eye(2) * grid.spacing[0] ** 2 / 12
    assert np.abs(found - law.covariance).max() < 0.02


def test_obstacles_and_walls_let_nothing_through():
    grid = jko.Grid((0.0, 1.0), 40)
    wall = jko.Potential(lambda x: torch.where((x[:, 0] - 0.5).abs() < 0.05, torch.inf, -x[:, 0]))
    values = torch.ones(40, dtype=F64)
    values[18:22] = 0
    start = jko.GridDensity(grid, values / (values.sum() * grid.cell))
    for internal in (0.2 * jko.Entropy(), 0.2 * jko.PorousMedium(2)):
        final = jko.limits.wasserstein(wall + internal, start, t1=0.5, times=[0.5]).final
        assert float(final.weights[:18].sum()) == pytest.approx(0.5, abs=1e-12)
        assert float(final.weights[18:22].sum()) == 0
    plain = jko.Potential(lambda x: -x[:, 0]) + 0.2 * jko.Entropy()
    even = jko.GridDensity(grid, torch.ones(40, dtype=F64))
    rest = jko.limits.wasserstein(plain, even, t1=4.0, times=[4.0]).final
    masses = np.diff(exact.wall_rest_mass(np.linspace(0, 1, 41), beta=0.2))
    assert np.abs(rest.weights.numpy() - masses).sum() < 2e-4


@pytest.mark.parametrize("name", ["heat", "porous medium"])
def test_jko_steps_on_the_same_grid_converge_at_order_one(name):
    grid = jko.Grid((-2.0, 2.0), 192)
    F = jko.SquaredNorm() + (0.3 * jko.Entropy() if name == "heat" else jko.PorousMedium(2))
    start = means(grid, norm(0.2, 0.5).cdf)
    fine = jko.limits.wasserstein(F, start, t1=0.4, times=[0.4], rtol=1e-5).energies[-1]
    errors = []
    for K in (4, 8, 16):
        run = jko.flow(F, start, tau=0.4 / K, t1=0.4, solver=jko.Dynamic(tol=1e-7, eps=1e-5))
        errors.append(abs(run.energies[-1] - fine))
    assert np.abs(orders(errors) - 1).max() < 0.1


def test_where_the_drift_rules_there_are_no_wiggles():
    grid = jko.Grid((-2.0, 2.0), 200)
    F = jko.Potential(lambda x: torch.cos(4 * x[:, 0])) + 1e-3 * jko.PorousMedium(2)
    final = jko.limits.wasserstein(F, means(grid, norm(0.2, 0.5).cdf), t1=0.2, times=[0.2]).final
    turns = np.diff(np.sign(np.diff(final.values.numpy())))
    assert float(final.values.min()) >= 0
    assert np.count_nonzero(turns) == 5, "three heaps and two valleys"


def test_bad_input_is_said():
    grid = jko.Grid((0.0, 1.0), 8)
    flat = jko.GridDensity(grid, torch.ones(8, dtype=F64))
    with pytest.raises(ValueError, match=r"diffusion backwards in time"):
        jko.limits.wasserstein((-1.0) * jko.Entropy(), flat, t1=1.0)
    with pytest.raises(ValueError, match=r"must increase and lie in \[0, t1\]"):
        jko.limits.wasserstein(jko.Entropy(), flat, t1=1.0, times=[2.0])
    with pytest.raises(ValueError, match=r"the potential is NaN"):
        jko.limits.wasserstein(
            jko.Potential(lambda x: x[:, 0] * torch.nan) + jko.Entropy(), flat, t1=1.0
        )


def steep():
    F, grid = 8 * jko.Potential(lambda x: torch.sin(3 * x[:, 0])), jko.Grid((-1.0, 1.0), 64)
    return F, jko.GridDensity.from_function(grid, lambda x: 1 + 0.5 * torch.cos(x[:, 0]))


def test_the_error_of_time_stays_below_rtol_and_falls_with_it():
    # no diffusion: the speed of the drift alone would allow steps that err by 7e-5
    F, start = steep()
    finals = [
        jko.limits.wasserstein(F, start, t1=0.02, times=[0.02], rtol=rtol).final
        for rtol in (1e-6, 1e-5, 1e-4, 1e-3, 1e3)
    ]
    errors = [difference(final, finals[0]) for final in finals[1:]]
    assert (np.array(errors[:3]) < [1e-8, 1e-6, 1e-5]).all()
    assert errors[0] < 0.1 * errors[1]
    assert errors[1] < 0.1 * errors[3]


def test_steps_that_the_estimate_cannot_allow_are_named():
    F, start = steep()
    with pytest.raises(RuntimeError, match=r"the error of time .* Raise rtol"):
        jko.limits.wasserstein(F, start, t1=0.05, rtol=1e-9)


def test_an_rtol_below_what_rounding_allows_is_named():
    grid = jko.Grid((-1.0, 1.0), 16)
    start = jko.GridDensity.from_function(grid, lambda x: 1 + 0.5 * torch.cos(x[:, 0]))
    with pytest.raises(ValueError, match="rtol"):
        jko.limits.wasserstein(jko.SquaredNorm(), start, t1=1.0, rtol=1e-20)
