"""The estimates of a step's error against the error, for every scheme and kind of state that has one."""

import math

import numpy as np
import pytest
import torch

import jko
from jko.steps.affine import difference, square

SECOND = [jko.BDF2(), jko.SDIRK2(), jko.ZEG(), jko.Midpoint()]
SCHEMES = [jko.Implicit(), *SECOND]


def named(scheme):
    return type(scheme).__name__


def landscape(seed):
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(4, 2, generator=g, dtype=torch.float64)
    hills = jko.Potential(lambda x: torch.sin(2 * x @ A.T).sum(-1))
    mu = jko.Particles(torch.randn(10, 2, generator=g, dtype=torch.float64))
    return 0.5 * hills + jko.SquaredNorm(), mu


def missed(energy, old, new, tau):
    """By how much a step missed the flow: of atoms by an integrator, of cells by eight small steps of order two."""
    if isinstance(old, jko.Particles):
        end = jko.limits.wasserstein(energy, old, t1=tau, times=[tau]).final
    else:
        end = jko.flow(energy, old, tau=tau / 8, steps=8, scheme=jko.ZEG()).final
    return math.sqrt(square(old, difference(new, end)))


def ratios(energy, run, every):
    lengths, estimates = np.diff(run.times), run.columns["estimates"]
    found = [
        estimates[j] / missed(energy, run.states[j], run.states[j + 1], float(lengths[j]))
        for j in range(0, len(lengths), every)
    ]
    return np.array(found)


@pytest.mark.parametrize("scheme", SECOND, ids=named)
def test_on_atoms(scheme):
    energy, mu = landscape(3)
    run = jko.flow(energy, mu, tau=jko.Adaptive(1e-4), t1=1.0, scheme=scheme)
    assert ratios(energy, run, 4).min() > 0.1
    assert run.columns["estimates"].max() <= 1.2e-4
    assert (np.diff(run.times)[1:] <= scheme.growth * np.diff(run.times)[:-1] * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    "scheme", [pytest.param(jko.BDF2(), marks=pytest.mark.slow), jko.SDIRK2()], ids=named
)
def test_the_error_falls_by_two_thirds_of_an_order(scheme):
    energy, mu = landscape(5)
    exact = jko.limits.wasserstein(energy, mu, t1=2.0, rtol=1e-10).final.points
    tols = (1e-3, 1e-5)
    runs = [jko.flow(energy, mu, tau=jko.Adaptive(t), t1=2.0, scheme=scheme) for t in tols]
    errors = [float((run.final.points - exact).norm()) for run in runs]
    assert 0.45 < math.log(errors[0] / errors[1]) / math.log(100) < 1.0
    assert 2.5 < len(runs[1].times) / len(runs[0].times) < 5.5  # 100^(1/3) = 4.6


@pytest.mark.parametrize("scheme", SCHEMES[:-1], ids=named)
def test_on_a_mesh(scheme):
    edges = torch.linspace(-2, 2, 31, dtype=torch.float64)
    mesh = jko.LineMesh(edges, torch.full((30,), 1 / 30, dtype=torch.float64))
    energy = 0.3 * jko.Entropy() + jko.Potential(lambda x: torch.sin(2 * x[:, 0]) + x[:, 0] ** 2)
    run = jko.flow(energy, mesh, tau=jko.Adaptive(2e-3), t1=0.3, scheme=scheme)
    assert ratios(energy, run, 9).min() > 0.5
    assert (run.columns.get("fallback", np.zeros(1)) == 0).all()


@pytest.mark.parametrize("scheme", SCHEMES[:2], ids=named)
def test_on_a_mesh_of_pairs(scheme):
    mesh = jko.ChargedMesh.from_function(
        lambda x: (-((x[:, 0] - 0.3) ** 2)).exp(), lambda x: x[:, 0], (-3.0, 3.0), 30
    )
    wave = jko.Potential(lambda z: torch.sin(z[:, 0] + 2 * z[:, 1]))
    energy = 0.1 * jko.Entropy() + jko.SquaredNorm() + wave
    run = jko.flow(energy, mesh, tau=jko.Adaptive(1e-3), t1=0.3, scheme=scheme)
    assert ratios(energy, run, 6).min() > 0.5


@pytest.mark.parametrize("seed", range(2))
def test_on_a_grid_by_moments(seed):
    """A normal law stays one in the flow of Entropy + |x|^2 / 2: m' = -m, (s^2)' = 2 - 2 s^2."""
    random = np.random.default_rng(seed)
    m, s = random.uniform(-1.5, 1.5), random.uniform(0.4, 1.5)
    rho = jko.GridDensity.from_function(
        jko.Grid((-6.0, 6.0), 240), lambda x: (-(((x - m) / s) ** 2).sum(-1) / 2).exp()
    )
    energy, tol = jko.Entropy() + jko.SquaredNorm(), 1e-2
    run = jko.flow(energy, rho, tau=jko.Adaptive(tol), t1=2.0, save=[1.0])
    m1, s1 = m * math.exp(-1), math.sqrt(1 + (s * s - 1) * math.exp(-2))
    state = run.at(1.0)
    error = math.hypot(float(state.mean()) - m1, math.sqrt(float(state.covariance())) - s1)
    assert error < 4 * tol
    full = jko.flow(energy, rho, tau=jko.Adaptive(tol), t1=2.0)
    for j, tau in enumerate(np.diff(full.times)):
        old, new = full.states[j], full.states[j + 1]
        m0, v0 = float(old.mean()), float(old.covariance())
        s1 = math.sqrt(1 + (v0 - 1) * math.exp(-2 * tau))
        there = float(new.mean()) - m0 * math.exp(-tau), math.sqrt(float(new.covariance())) - s1
        assert full.columns["estimates"][j] > 0.5 * math.hypot(*there)


def test_at_walls_velocities_jump_and_steps_are_short_there():
    mu = jko.Particles([[0.2], [0.5]], domain=jko.Box([0.0], [1.0]))
    drift = jko.Potential(lambda x: x[:, 0])  # both reach 0 at t = .2, .5 and stay
    run = jko.flow(drift, mu, tau=jko.Adaptive(1e-3), t1=1.0, save=[0.1, 0.4])
    assert np.allclose(run.at(0.1).points[:, 0], [0.1, 0.4], atol=1e-9)
    assert np.allclose(run.at(0.4).points[:, 0], [0.0, 0.1], atol=2e-3)
    assert np.allclose(run.final.points[:, 0], 0, atol=1e-9)


@pytest.mark.parametrize(
    ("state", "scheme", "estimator", "match"),
    [
        ("grid", jko.BDF2(), None, "ledger of a GridDensity gives the error of jko.Implicit"),
        ("grid", jko.Implicit(), "labels", "no atom of a GridDensity keeps its mass"),
        ("mesh", jko.Midpoint(), None, "does not know the error of Midpoint on a LineMesh"),
        ("mesh", jko.SDIRK2(), "ledger", "gives the error of jko.Implicit.. alone, not of SDIRK2"),
        ("mesh", jko.Strang(), None, "does not know the error of Strang"),
    ],
    ids=["BDF2", "labels", "Midpoint", "SDIRK2", "Strang"],
)
def test_what_has_no_estimate_is_refused(state, scheme, estimator, match):
    rho = jko.GridDensity.from_function(jko.Grid((0.0, 1.0), 8), lambda x: 1 + x[:, 0])
    rho = rho if state == "grid" else jko.LineMesh.from_density(rho)
    tau = jko.Adaptive(1e-3, estimator=estimator)
    with pytest.raises(TypeError, match=match):
        jko.flow(jko.Entropy(), rho, tau=tau, t1=1.0, scheme=scheme)


def test_an_error_that_no_step_makes_smaller_is_said():
    rho = jko.GridDensity.from_function(jko.Grid((0.0, 1.0), 16), lambda x: 1 + x[:, 0])
    blurs = jko.Sinkhorn(0.01)
    with pytest.raises(ValueError, match=r"was made 21 times.* it is not the length that makes it"):
        jko.flow(jko.SquaredNorm(), rho, tau=jko.Adaptive(1e-3), t1=1.0, solver=blurs)
