"""The density along characteristics against closed forms, the label form, and differences."""

import math

import numpy as np
import pytest
import torch

import jko
from jko import exact, plots
from jko.diagnostics import fold_free, smooth_time, smoothness

x = torch.linspace(-2, 2, 12, dtype=torch.float64)[:, None]
RISK = jko.Risk(
    jko.Data(x, 1.5 * torch.sin(1.5 * x[:, 0])), activation=lambda theta, x: torch.tanh(x.T + theta)
)
F = RISK + 0.1 * jko.SquaredNorm()


def cloud(N=40, dim=2, seed=0):
    return jko.Particles.normal(N, dim, generator=torch.Generator().manual_seed(seed))


def normal(z):
    return -0.5 * (z**2).sum(-1)


@pytest.mark.parametrize("dim", [1, 3])
def test_a_normal_law_in_a_quadratic_well(dim):
    """x(t) = e^{-A t} x: the density grows by e^{t tr A}, and its slope by e^{A t}."""
    a = torch.tensor([0.5, -0.3, 1.2][:dim], dtype=torch.float64)
    V = jko.Potential(lambda z: 0.5 * (a * z**2).sum(-1))
    mu, t = cloud(30, dim), 1.5
    found = smoothness(V, mu, t1=t, log_density=normal, factor=1.5)
    grown = float(a.sum())
    assert found.heights == pytest.approx(np.exp(grown * found.times), rel=1e-6)
    assert found.bounds == pytest.approx(found.heights, rel=1e-6)
    assert found.guaranteed == pytest.approx(math.log(1.5) / grown, rel=1e-5)
    assert torch.allclose(found.score, -(a * t).exp() * mu.points, rtol=1e-5, atol=1e-6)
    assert torch.allclose(found.log_density, normal(mu.points) + grown * t, atol=1e-6)
    assert found.doubt < 1e-5
    flow = exact.gaussian_flow(np.zeros(dim), np.eye(dim), A=np.diag(a.numpy()), beta=0.0, t=t)
    assert float(found.J[0].det()) ** 2 == pytest.approx(np.linalg.det(flow.covariance), rel=1e-6)


def test_a_linear_network_is_a_linear_map():
    """``h = theta x``: atoms move by P, so J = P, det P = 1, and the slope is carried by the inverse."""
    mu = cloud(30)
    Z = mu.integrate(mu.points[:, :, None] * mu.points[:, None]).numpy()
    data = jko.Data([[1.0], [-1.0]], [0.7, -0.7], [0.4, 0.4])
    linear = jko.Risk(data, activation=lambda theta, x: theta @ x.T)
    P = torch.from_numpy(exact.linear_flow(Z, s2=0.8, target=0.7, t=2.0))
    found = smoothness(linear, mu, t1=2.0, log_density=normal)
    assert torch.allclose(found.J, P.expand(30, 2, 2), atol=1e-6)
    assert torch.allclose(found.final.points, mu.points @ P, atol=1e-6)
    assert torch.allclose(found.score, -mu.points @ torch.linalg.inv(P), atol=1e-5)
    assert found.heights == pytest.approx(1, abs=1e-6)


def test_the_slope_is_that_of_the_density_by_differences():
    """Two labels that start close: their log-densities differ by the slope times the way between them."""
    h, mu = 1e-4, cloud(12)
    e = torch.zeros(12, 2, dtype=torch.float64)
    e[:, 0] = h  # every label twice, h apart: the force hardly notices
    twins = jko.Particles(torch.cat([mu.points - e, mu.points + e]))
    found = smoothness(F, twins, t1=2.0, log_density=normal, rtol=1e-11)
    low, high = (found.final.points[:12], found.final.points[12:])
    change = found.log_density[12:] - found.log_density[:12]
    middle = 0.5 * (found.score[:12] + found.score[12:])
    assert torch.allclose(change, (middle * (high - low)).sum(1), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("scale", [0.6, 3.0])
def test_the_stretch_of_a_pair_is_that_of_the_label_form(scale):
    labels = jko.limits.Labels.chebyshev(
        lambda t: torch.exp(-0.5 * (t[:, 0] / 0.6) ** 2),
        lambda t: 1 + scale * torch.sin(1.3 * t[:, 0]),
        (-1.5, 1.5),
        32,
    )
    run = jko.limits.chaos(F, labels, t1=0.25)
    slope = labels.D @ labels.H
    found = smoothness(F, labels.pair, t1=0.25, slope=slope)
    assert torch.allclose(found.J[:, 0, 0], labels.stretch(run.final), atol=1e-7)
    assert found.heights[-1] == pytest.approx(
        float((1 / labels.stretch(run.final)).max()), rel=1e-6
    )
    assert found.least[-1] == pytest.approx(float(labels.stretch(run.final).min()), rel=1e-6)
    assert found.doubt is None


def test_the_density_of_a_pair_is_infinite_where_its_graph_folds():
    theta = torch.linspace(-1.5, 2.0, 60, dtype=torch.float64)
    pair = jko.ChargedParticles(theta[:, None], 6 * torch.sin(2 * theta))
    slope = 12 * torch.cos(2 * theta)
    found = smoothness(F, pair, t1=4.0, slope=slope, factor=20.0)
    known = fold_free(F, pair, t1=4.0, slope=slope)
    assert found.fold == known.fold < 1
    assert found.guaranteed <= found.measured <= found.fold
    assert found.lifetime.guaranteed == known.guaranteed
    assert found.heights[-1] > 1e4
    assert "fold" in str(found)


def test_densities_on_grids_know_their_height():
    grid = jko.Grid(((-4.0, 4.0), (-4.0, 4.0)), (16, 16))
    rho = jko.GridDensity.from_function(grid, lambda z: normal(z).exp())
    found = smoothness(F, rho, t1=1.0)
    assert found.score is None
    assert (found.bounds >= found.heights * (1 - 1e-3)).all()
    pair = jko.ChargedDensity.from_function(
        jko.Grid((-3.0, 3.0), 60), lambda t: normal(t).exp(), lambda t: t[:, 0]
    )
    assert smoothness(F, pair, t1=0.5).log_density is not None


@pytest.mark.parametrize("seed", range(2))
def test_bounds_hold_and_come_in_order(seed):
    mu = cloud(30, seed=seed)
    found = smoothness(F, mu, t1=3.0, log_density=normal, factor=2.0)
    assert (found.bounds >= found.heights * (1 - 1e-3)).all()
    assert found.guaranteed <= found.measured
    h = torch.tanh(torch.linspace(-9, 9, 4001, dtype=torch.float64) + x)  # (M, theta)
    bend = -2 * h * (1 - h**2)
    D0, D2 = (float(v.square().mean(0).max().sqrt()) for v in (h, bend))
    charge = float(mu.points[:, 0].abs().max())
    a_priori = smooth_time(float(F(mu)), charge=charge, bounds=(D0, D2), lam=0.1, factor=2.0)
    assert 0 < a_priori <= found.guaranteed


def test_the_time_from_the_start_alone_is_the_root_of_its_bound():
    from scipy.integrate import quad

    for lam in (0.0, 1e-3, 0.7):
        t = smooth_time(0.5, charge=2.0, bounds=(1.0, 0.7), lam=lam, d=3, factor=5.0)

        def speed(r, lam=lam):
            faded = -math.expm1(-lam * r) / lam if lam else r
            return 4 * lam + 0.7 * (2 * math.exp(-lam * r) + faded)

        assert quad(speed, 0, t)[0] == pytest.approx(math.log(5.0), rel=1e-7)
    assert smooth_time(0.0, charge=2.0, bounds=(1.0, 0.7)) == math.inf


def test_a_wall_ends_it_and_is_said():
    box = jko.Box([-1.0], [1.0])
    mu = jko.Particles(torch.linspace(-0.9, 0.9, 7, dtype=torch.float64)[:, None], domain=box)
    found = smoothness(-1.0 * jko.SquaredNorm(), mu, t1=3.0)
    assert found.wall == pytest.approx(math.log(1 / 0.9), rel=1e-4)  # x = .9 e^t
    assert found.times[-1] == pytest.approx(found.wall)


def test_pictures_and_tables():
    found = smoothness(F, cloud(), t1=2.0, log_density=normal)
    ax = plots.smoothness(found, plots.canvas()[1][0])
    assert ax.get_yscale() == "log"
    assert repr(found).startswith("Smoothness(height=1 -> ")
    assert "<svg" in found._repr_html_()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: smoothness(F + jko.Entropy(), cloud(), t1=1.0), "diffusion smooths"),
        (lambda: smoothness(F, cloud(), t1=1.0, factor=1.0), "factor"),
        (
            lambda: smoothness(
                F, jko.ChargedParticles([[0.0]], [1.0]), t1=1.0, slope=[1.0], log_density=normal
            ),
            "log_density is of a measure",
        ),
        (lambda: smooth_time(-1.0, charge=1.0, bounds=(1.0, 1.0)), "value"),
    ],
)
def test_what_cannot_be_followed_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()
