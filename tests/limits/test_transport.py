"""A drift that is no gradient and a diffusion that depends on the place, beside closed forms."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.stats import norm

import jko
from jko.limits import implicit

F64 = torch.float64
MODES = pytest.mark.parametrize("long", [0, 10**9], ids=["implicit", "explicit"])


def difference(a, b):
    return float((a.values - b.values).abs().sum()) * a.grid.cell


@MODES
def test_a_gaussian_turns_in_its_well(long, monkeypatch):
    """``dX = (S - a) X dt + sqrt(2 c) dW``: mean and covariance by matrix exponentials."""
    monkeypatch.setattr(implicit, "LONG", long)
    S, a, c, t = np.array([[0.0, -2.5], [1.5, 0.0]]), 1.0, 0.4, 0.6
    B = S - a * np.eye(2)
    mean, cov = np.array([0.8, -0.3]), np.array([[0.3, 0.1], [0.1, 0.2]])
    flow, rest = expm(B * t), solve_continuous_lyapunov(B, -2 * c * np.eye(2))
    after = rest + flow @ (cov - rest) @ flow.T
    precision = torch.from_numpy(np.linalg.inv(cov))
    errors = []
    for n in (20, 40):
        grid = jko.Grid((-4.5, 4.5), (n, n))
        z = grid.centres - torch.from_numpy(mean)
        values = (-0.5 * ((z @ precision) * z).sum(-1)).exp().reshape(grid.shape)
        rho = jko.GridDensity(grid, values / values.sum() / grid.cell)
        run = jko.limits.wasserstein(
            jko.Entropy() * c + a * jko.SquaredNorm(),
            rho,
            t1=t,
            times=[t],
            rtol=1e-4,
            drift=lambda x: x @ torch.from_numpy(S.T.copy()),
        )
        found = run.final.covariance().numpy()
        errors.append(
            max(np.abs(found - after).max(), np.abs(run.final.mean().numpy() - flow @ mean).max())
        )
        assert abs(float(run.final.mass) - 1) < 1e-12
        assert float(run.final.values.min()) >= 0
    assert errors[1] < 0.35 * errors[0]
    assert errors[1] < 0.03


@MODES
def test_a_drift_that_is_a_gradient_is_a_potential(long, monkeypatch):
    monkeypatch.setattr(implicit, "LONG", long)
    grid = jko.Grid((-1.0, 1.0), (14, 13))
    rho = jko.GridDensity.from_function(grid, lambda x: 1.2 + torch.sin(3 * x).sum(-1) / 2)
    for internal in (0.4 * jko.Entropy(), jko.PorousMedium(2), jko.PorousMedium(3)):
        E, V = (
            internal,
            1.5 * jko.SquaredNorm(),
        )  # linear across a cell, so that midpoints are exact
        one = jko.limits.wasserstein(E + V, rho, t1=0.1, times=[0.1], rtol=1e-4).final
        two = jko.limits.wasserstein(
            E, rho, t1=0.1, times=[0.1], rtol=1e-4, drift=lambda x: -1.5 * x
        ).final
        assert difference(one, two) < 1e-9


@MODES
def test_a_constant_diffusion_is_an_entropy(long, monkeypatch):
    monkeypatch.setattr(implicit, "LONG", long)
    grid = jko.Grid((-1.0, 1.0), (12, 9))
    rho = jko.GridDensity.from_function(grid, lambda x: 1.2 + torch.sin(3 * x).sum(-1) / 2)
    V = jko.SquaredNorm()
    one = jko.limits.wasserstein(V + 0.7 * jko.Entropy(), rho, t1=0.2, times=[0.2]).final
    for E, D in ((V, 0.7), (V + 0.5 * jko.Entropy(), 0.2), (V, lambda x: 0 * x + 0.7)):
        two = jko.limits.wasserstein(E, rho, t1=0.2, times=[0.2], diffusion=D).final
        assert difference(one, two) < 1e-9


@MODES
def test_a_diffusion_that_depends_on_the_place_has_its_own_modes(long, monkeypatch):
    """``d_t rho = (D rho')'`` with D = 1 - x^2 on [-1, 1]: Legendre's polynomials decay like e^{-l (l + 1) t}."""
    monkeypatch.setattr(implicit, "LONG", long)
    grid = jko.Grid((-1.0, 1.0), 40)
    s = grid.centres[:, 0]
    legendre = (3 * s**2 - 1) / 2
    legendre -= legendre.mean()
    rho = jko.GridDensity(grid, 0.5 + 0.2 * s + 0.2 * legendre)
    none, D = jko.Potential(lambda x: 0 * x[:, 0]), lambda x: 1 - x[:, 0] ** 2
    run = jko.limits.wasserstein(none, rho, t1=0.3, times=[0.3], rtol=1e-6, diffusion=D)
    end = 0.5 + 0.2 * np.exp(-0.6) * s + 0.2 * np.exp(-1.8) * legendre
    assert (
        float((run.final.values - end).abs().sum()) * grid.cell < 2e-6
    )  # cells are exact for these


def test_a_diagonal_diffuses_along_each_axis_by_its_own():
    grid, t = jko.Grid((-4.0, 4.0), (40, 36)), 0.3
    rho = jko.GridDensity.from_function(grid, lambda x: (-(x**2).sum(-1)).exp())
    D = torch.tensor([0.8, 0.1], dtype=F64)
    final = jko.limits.wasserstein(
        jko.Potential(lambda x: 0 * x[:, 0]), rho, t1=t, times=[t], diffusion=lambda x: 0 * x + D
    ).final
    assert np.abs(np.diag(final.covariance()) - 0.5 - 2 * t * D.numpy()).max() < 0.01


@MODES
def test_a_wind_leans_on_a_wall_and_goes_round_a_circle(long, monkeypatch):
    monkeypatch.setattr(implicit, "LONG", long)
    line = jko.Grid((0.0, 1.0), 16)
    flat = jko.GridDensity(line, torch.ones(16, dtype=F64))
    wind = {"drift": lambda x: 0 * x + 1.5}
    rest = jko.limits.wasserstein(0.3 * jko.Entropy(), flat, t1=3.0, times=[3.0], **wind).final
    gibbs = (5 * line.centres[:, 0]).exp()
    assert difference(rest, jko.GridDensity(line, gibbs / gibbs.sum() / line.cell)) < 1e-6
    circle, t = jko.Grid((0.0, 1.0), 100, periodic=True), 0.2
    bump = lambda c, s: sum(  # noqa: E731
        np.diff(norm(c + k, s).cdf(np.linspace(0, 1, 101))) for k in range(-4, 5)
    )
    start = jko.GridDensity(circle, bump(0.5, 0.1) * 100)
    end = jko.limits.wasserstein(0.02 * jko.Entropy(), start, t1=t, times=[t], rtol=1e-4, **wind)
    exact = jko.GridDensity(circle, bump(0.5 + 1.5 * t, (0.01 + 0.04 * t) ** 0.5) * 100)
    assert difference(end.final, exact) < 0.015


def test_obstacles_stop_the_wind_and_may_have_no_wind_inside():
    grid = jko.Grid((0.0, 1.0), (20, 10))
    inside = lambda x: (x[:, 0] - 0.5).abs() < 0.1  # noqa: E731
    wall = jko.Potential(lambda x: torch.where(inside(x), torch.inf, 0.0))
    values = (~inside(grid.centres)).to(F64).reshape(grid.shape)
    rho = jko.GridDensity(grid, values / values.sum() / grid.cell)
    closed = lambda x: (x[:, :1] - 0.5).abs() < 0.07  # noqa: E731
    for internal in (0.1 * jko.Entropy(), 0.1 * jko.PorousMedium(2)):
        final = jko.limits.wasserstein(
            wall + internal,
            rho,
            t1=1.0,
            times=[1.0],
            drift=lambda x: torch.where(closed(x), torch.nan, 1 + 0 * x),
            diffusion=lambda x: torch.where(closed(x)[:, 0], torch.nan, 0.1 + 0 * x[:, 0]),
        ).final
        assert float(final.values[:10].sum()) * grid.cell == pytest.approx(0.5, abs=1e-12)
        assert float(final.values[:8].argmax()) >= 70  # against the wall


def test_what_cannot_be_is_said():
    grid = jko.Grid((0.0, 1.0), (4, 4))
    flat = jko.GridDensity(grid, torch.ones(4, 4, dtype=F64))
    go = lambda **options: jko.limits.wasserstein(jko.Entropy(), flat, t1=1.0, **options)  # noqa: E731
    with pytest.raises(ValueError, match=r"drift of points .* must be \(n, d\)"):
        go(drift=lambda x: x[:, 0])
    with pytest.raises(ValueError, match=r"drift is not finite"):
        go(drift=lambda x: x / 0)
    with pytest.raises(ValueError, match=r"diffusion of points .* must be \(n,\) or \(n, d\)"):
        go(diffusion=lambda x: x.T)
    with pytest.raises(ValueError, match=r"diffusion is negative somewhere"):
        go(diffusion=lambda x: x[:, 0] - 0.5)
    with pytest.raises(ValueError, match=r"diffusion = -1"):
        go(diffusion=-1.0)
    with pytest.raises(TypeError, match=r"drift must be callable"):
        go(drift=3.0)
    with pytest.raises(ValueError, match=r"for densities"):
        jko.limits.wasserstein(jko.SquaredNorm(), jko.Particles([[1.0]]), t1=1.0, drift=lambda x: x)
