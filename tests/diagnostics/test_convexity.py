"""Convexity along geodesics and what follows: against closed forms, derivatives of polynomials, and exact flows."""

import numpy as np
import pytest
import torch
from numpy.polynomial import Chebyshev
from scipy.integrate import solve_ivp

import jko
from jko.diagnostics import contraction, convexity, error_bounds, evi, modulus
from jko.diagnostics.convexity import spectrum
from jko.diagnostics.convexity.approach import approach
from jko.diagnostics.convexity.paths import path


def generator(seed):
    return torch.Generator().manual_seed(seed)


def network(seed, d=1):
    x = torch.randn(12, d, generator=generator(seed), dtype=torch.float64)
    f = torch.randn(12, generator=generator(seed + 50), dtype=torch.float64)
    return jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh)) + 0.05 * jko.SquaredNorm()


def atoms(seed, N, dim):
    return jko.Particles.normal(N, dim, generator=generator(seed))


def pair(seed, N, d):
    charges = torch.randn(N, generator=generator(seed + 7), dtype=torch.float64)
    theta = torch.randn(N, d, generator=generator(seed), dtype=torch.float64)
    return jko.ChargedParticles(theta, charges)


def hump(mean, width, n=60):
    return jko.GridDensity.from_function(
        jko.Grid((-4.0, 4.0), n), lambda x: (-((x[:, 0] - mean) ** 2) / width).exp() + 0.02
    )


def mesh(seed, n):
    edges = torch.rand(n + 1, generator=generator(seed), dtype=torch.float64).add(0.2).cumsum(0)
    masses = torch.rand(n, generator=generator(seed + 1), dtype=torch.float64) + 0.2
    return jko.LineMesh(2 * edges / edges[-1] - 1, masses / masses.sum())


def charged(seed, scale, n=30):
    turn = 0.02 * torch.sin(torch.arange(n, dtype=torch.float64) + seed)
    theta = scale * torch.linspace(-2, 2, n, dtype=torch.float64) + turn
    return jko.ChargedMesh(theta, theta.sin(), [1 / (n - 1)] * (n - 1))


REPULSION = 0.3 * jko.Interaction(lambda z: (-(z * z).sum(-1)).exp())
WELLS = jko.Potential(lambda x: ((x**2 - 1) ** 2).sum(-1))
ALONG = {
    "atoms": (network(0) + REPULSION, atoms(0, 9, 3), atoms(1, 7, 3)),
    "many": (network(1, 3), atoms(2, 12, 5), atoms(3, 12, 5)),
    "pairs": (network(2) + REPULSION, pair(0, 8, 2), pair(1, 6, 2)),
    "grid": (WELLS + 0.3 * jko.Entropy() + REPULSION, hump(1.0, 1.0), hump(-0.5, 0.4)),
    "powers": (WELLS + jko.PorousMedium(3) + jko.PorousMedium(0.7), mesh(0, 8), mesh(3, 11)),
    "cells": (WELLS + REPULSION, hump(0.0, 2.0, 20), hump(1.0, 0.5, 20)),
    "nodes": (
        0.4 * jko.Entropy() + 2 * jko.SquaredNorm(),
        charged(0, 1.0),
        charged(0, 1.3),
    ),
}


@pytest.mark.parametrize("case", ALONG)
def test_the_formula_is_the_derivative(case):
    """Values at Chebyshev's points around a time, whose polynomial is differentiated twice."""
    energy, a, b = ALONG[case]
    way = path(energy, a, b)
    for t in (0.15, 0.5, 0.85):
        fit = Chebyshev.interpolate(
            np.vectorize(lambda s: way.value(float(s))), 18, [t - 0.12, t + 0.12]
        )
        assert way.second(t) == pytest.approx(fit.deriv(2)(t), rel=1e-8)
        assert way.first(t) == pytest.approx(fit.deriv()(t), rel=1e-8)
    assert way.squared == pytest.approx(
        jko.distance(a, b).squared, rel=0.03
    )  # of a grid at centres


def test_the_ends_of_a_path_are_the_states():
    for case in ("atoms", "pairs", "nodes"):
        energy, a, b = ALONG[case]
        way = path(energy, a, b)
        assert (way.value(0.0), way.value(1.0)) == pytest.approx(
            (float(energy(a)), float(energy(b)))
        )


def test_two_minima_of_one_neuron_have_a_barrier_between():
    R = jko.Risk(jko.Data([[1.0]], [1.0]), activation=lambda theta, x: theta @ x.T)
    ends = jko.Particles([[1.0, 1.0]]), jko.Particles([[-1.0, -1.0]])
    found = convexity(R, *ends)
    s = 1 - 2 * found.times
    assert found.values == pytest.approx((s**2 - 1) ** 2 / 2)
    assert found.seconds == pytest.approx(8 * (3 * s**2 - 1))
    assert (found.least, found.mean) == pytest.approx((-1.0, 0.0))


@pytest.mark.parametrize("seed", range(3))
def test_quadratic_energies_have_their_moduli(seed):
    a, k = 0.5 + seed, 0.7
    ends = atoms(seed, 6, 2), atoms(seed + 9, 6, 2)
    found = convexity(a * jko.SquaredNorm(), *ends)
    assert (found.least, found.mean, found.chord) == pytest.approx((a, a, a))
    spring = k * jko.Interaction(lambda z: 0.5 * (z * z).sum(-1))  # k/2 Var
    way = path(spring, *ends)
    moves = way.v - (way.masses[:, None] * way.v).sum(0)
    variance = float((way.masses * (moves**2).sum(1)).sum())
    assert convexity(spring, *ends).seconds == pytest.approx(k * variance)
    assert modulus(spring, ends[0]).least == pytest.approx(0.0, abs=1e-9)  # translations
    assert modulus(spring + a * jko.SquaredNorm(), ends[0]).least == pytest.approx(a)


def test_the_entropy_between_gaussians():
    """On sigma_t = (1 - t) s0 + t s1 it is -log sigma_t, whatever the cells."""
    z = torch.linspace(-4, 4, 41, dtype=torch.float64)
    masses = torch.special.ndtr(z).diff()
    a, b = (jko.LineMesh(m + s * z, masses / masses.sum()) for m, s in ((0.0, 1.0), (2.0, 3.0)))
    found = convexity(jko.Entropy(), a, b)
    assert found.seconds == pytest.approx((2 / (1 + 2 * found.times)) ** 2)


def test_the_least_eigenvalue_of_a_confined_gas_is_that_of_its_translations():
    F = 1.3 * jko.SquaredNorm() + 0.5 * jko.Entropy()
    assert modulus(F, mesh(0, 40)).least == pytest.approx(1.3, abs=1e-9)
    run = jko.flow(F, hump(1.0, 0.5, 30), tau=0.1, steps=2, solver=jko.Dynamic(tol=1e-6))
    assert modulus(F, run).values == pytest.approx(1.3, abs=1e-9)


@pytest.mark.parametrize("case", ["atoms", "products", "mesh", "pairs"])
def test_lanczos_finds_what_the_matrix_says(case, monkeypatch):
    energy, state = {
        "atoms": (network(0), atoms(0, 40, 3)),
        "products": (network(0) + REPULSION, atoms(0, 20, 3)),
        "mesh": (WELLS + 0.1 * jko.Entropy(), mesh(2, 70)),
        "pairs": (network(1) + 0.02 * jko.Entropy(), charged(0, 1.0)),
    }[case]
    if case == "pairs":
        h = jko.Risk(
            jko.Data([[0.5], [1.0]], [1.0, -1.0]), activation=lambda t, x: torch.tanh(t @ x.T)
        )
        energy = h + 0.02 * jko.Entropy()
    dense = modulus(energy, state)
    monkeypatch.setattr(spectrum, "DENSE", 10)
    sparse = modulus(energy, state)
    assert sparse.least == pytest.approx(dense.least, abs=1e-7)
    assert dense.errors == 0
    assert 0 < sparse.errors < 1e-4


def test_the_eigenvalue_of_atoms_is_the_least_of_many_directions():
    energy, mu = network(4), atoms(5, 10, 3)
    found = modulus(energy, mu).least
    for seed in range(5):
        v = torch.randn(10, 3, generator=generator(seed), dtype=torch.float64)
        way = path(energy, mu, jko.Particles(mu.points + 1e-6 * v))
        assert way.second(0.0) >= found * way.squared


def test_in_the_plane_internal_energies_are_a_lower_bound():
    rho = jko.GridDensity.from_function(jko.Grid((-2, 2), (6, 6)), lambda x: (-(x**2).sum(1)).exp())
    bound = modulus(2 * jko.SquaredNorm() + jko.Entropy(), rho).least
    assert bound == pytest.approx(2.0)
    with pytest.raises(ValueError, match="Jacobian"):
        convexity(jko.Entropy(), rho, rho)


def nudge(state, v, h):
    return jko.LineMesh(state.edges + h * v, state.masses)


def test_how_fast_the_distance_changes():
    """Against differences along the flow."""
    energy, mu, nu = network(0), atoms(0, 9, 3), atoms(4, 7, 3)
    h = 1e-4
    ends = [mu.moved(mu.points - s * energy.gradient(mu)) for s in (-h, h)]
    found = [0.5 * jko.distance(end, nu).squared for end in ends]
    assert approach(mu, nu, energy)[0] == pytest.approx((found[1] - found[0]) / (2 * h), rel=1e-6)
    F, a, b = WELLS + 0.3 * jko.Entropy(), mesh(0, 9), mesh(5, 14)
    from jko.diagnostics.slope import meshes

    v = torch.from_numpy(meshes.velocity(F, a))
    found = [0.5 * jko.distance(nudge(a, v, s), b).squared for s in (-1e-5, 1e-5)]
    assert approach(a, b, F)[0] == pytest.approx((found[1] - found[0]) / 2e-5, rel=1e-6)
    rho, sigma = hump(1.0, 0.5, 40), hump(-1.0, 1.0, 40)
    run = jko.limits.wasserstein(F, rho, t1=2e-5, times=[0.0, 1e-5, 2e-5])
    found = [0.5 * jko.distance(state, sigma).squared for state in run.states]
    slope = (-3 * found[0] + 4 * found[1] - found[2]) / 2e-5
    assert approach(rho, sigma, F)[0] == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("case", ["atoms", "pairs"])
def test_the_constant_is_a_mean_of_second_derivatives(case):
    energy, start = (network(1), atoms(1, 8, 3)) if case == "atoms" else (network(2), pair(3, 8, 2))
    run = jko.flow(energy, start, tau=0.3, steps=2)
    others = [atoms(20 + k, 8, 3) if case == "atoms" else pair(20 + k, 8, 2) for k in range(3)]
    found = evi(energy, run, others)
    for t, state in enumerate(run.states):
        for k, nu in enumerate(others):
            there = convexity(energy, state, nu)
            assert found.constants[t, k] == pytest.approx(there.mean, abs=1e-9)
            assert found.constants[t, k] >= there.least
    t, k = found.worst
    assert found.constant == found.constants[t, k]
    assert found.residual(found.constant) == pytest.approx(0.0, abs=1e-9)
    assert found.residual(found.constant - 1) < 0


def test_wells_and_meshes_obey_their_inequality():
    F = 0.8 * jko.SquaredNorm() + 0.4 * jko.Entropy()
    run = jko.flow(F, mesh(0, 20), tau=0.05, steps=2)
    edges = [0.3 + 1.5 * mesh(0, 20).edges, mesh(8, 20).edges]
    others = [jko.LineMesh(e, run.states[0].masses) for e in edges]
    assert evi(F, run, others).constant >= 0.8
    pairs = jko.flow(F, charged(0, 1.0), tau=0.05, steps=1)
    assert evi(F, pairs, [charged(0, 1.4)]).constant >= 0.8 - 1e-9


def test_flows_never_part_faster_than_they_may():
    energy, times = network(3), np.linspace(0, 1.5, 6)
    for seed in range(3):
        runs = [
            jko.limits.wasserstein(energy, pair(seed + k, 6, 2), t1=1.5, times=times)
            for k in (0, 30)
        ]
        found = contraction(energy, *runs)
        assert found.excess <= 1e-9
        assert found.lam == found.moduli.min()
        assert (found.rates >= found.lam - 1e-6).all()
    E = 2 * jko.SquaredNorm()
    runs = [jko.flow(E, atoms(k, 4, 2), tau=0.1, steps=3, solver=jko.BlockNewton()) for k in (0, 1)]
    found = contraction(E, *runs, lam=2.0)
    assert found.distances == pytest.approx(found.of_steps)
    assert found.excess > 0  # of steps, which are slower than the flow


def walk(c, x):
    """A random trigonometric potential, its slope and its least curvature."""
    k = np.arange(1, len(c) + 1)
    V = sum(float(c[i]) * torch.sin((i + 1) * x) for i in range(len(c))) + 0.25 * x**2
    return V, k


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_and_are_of_order_one(seed):
    random = np.random.default_rng(seed)
    c = random.normal(size=2) * (0.3 if seed < 3 else 0.05)
    k = np.array([1.0, 2.0])
    grid = np.linspace(-9, 9, 4001)[:, None]
    lam = float((0.5 - (c * k**2 * np.sin(k * grid)).sum(1)).min())
    E = jko.Potential(
        lambda x: (torch.tensor(c) * torch.sin(torch.tensor(k) * x)).sum(1) + 0.25 * x[:, 0] ** 2
    )
    start = jko.Particles(random.normal(size=(3, 1)) * 2)
    exact = solve_ivp(
        lambda t, x: -(c * k * np.cos(k * x[:, None])).sum(1) - 0.5 * x,
        (0, 1.2), start.points[:, 0].numpy(), rtol=1e-11, atol=1e-12, dense_output=True,
    ).sol  # fmt: skip
    last = []
    for tau in (0.1, 0.05):
        run = jko.flow(E, start, tau=tau, t1=1.2, solver=jko.BlockNewton())
        found = error_bounds(E, run, lam=lam)
        flow = exact(run.times)
        errors = [
            float(((s.points[:, 0].numpy() - flow[:, i]) ** 2).mean()) ** 0.5
            for i, s in enumerate(run.states)
        ]
        assert (np.array(errors) <= found.posterior + 1e-12).all()
        assert (found.posterior <= found.prior + 1e-12).all()
        last.append(found.prior[-1])
    assert last[0] / last[1] == pytest.approx(2, abs=0.7)


def test_what_is_refused_says_what_to_do():
    E, mu = jko.SquaredNorm(), jko.Particles([[1.0]])
    with pytest.raises(ValueError, match="one measure"):
        convexity(E, mu, mu)
    cells = jko.ChargedDensity(jko.Grid((0.0, 1.0), 4), torch.ones(4), torch.zeros(4))
    for ask in (lambda: convexity(E, cells, cells), lambda: modulus(E, cells)):
        with pytest.raises(TypeError, match="to_particles"):
            ask()
    with pytest.raises(ValueError, match="exchanges nodes"):
        convexity(E + jko.Entropy(), charged(0, 1.0), charged(0, 1.0, n=20))
    run = jko.flow(E, mu, tau=0.1, steps=2)
    with pytest.raises(ValueError, match="others is empty"):
        evi(E, run, [])
    with pytest.raises(ValueError, match="other times"):
        contraction(E, run, jko.flow(E, mu, tau=0.2, steps=2))
    with pytest.raises(ValueError, match="meet"):
        contraction(E, run, run)
    limit = jko.limits.wasserstein(E, mu, t1=1.0)
    with pytest.raises(ValueError, match="costs"):
        error_bounds(E, limit, lam=1.0)
