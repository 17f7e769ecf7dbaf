"""The certificate of a step: D(g) bounds the step's problem over all measures, and the best g attains it."""

import math

import numpy as np
import pytest
import torch

import jko
from jko import duality
from jko.duality.descent import descend
from jko.duality.enclosure import enclose
from jko.duality.envelope import Envelope
from jko.duality.master import best_plan
from jko.duality.minorant import Minorant

F64 = torch.float64
TANH = jko.Ridge(torch.tanh)
ACTIVATIONS = [(TANH, 3), (jko.Ridge(torch.sigmoid), 3), (jko.GaussianBump(0.5), 2)]


def curve(M: int = 40) -> jko.Data:
    """sin(2x) at M normal points."""
    x = torch.randn(M, 1, generator=torch.Generator().manual_seed(1), dtype=F64)
    return jko.Data(x, torch.sin(2 * x[:, 0]))


def net(lam: float = 1e-3) -> jko.Energy:
    return jko.Risk(curve(), activation=TANH) + lam * jko.SquaredNorm()


def problem(energy: jko.Energy, base: jko.Particles, tau: float) -> jko.steps.StepProblem:
    return jko.steps.StepProblem(energy, jko.Wasserstein(), base, tau)


def step_gap(
    problem: jko.steps.StepProblem, mu: jko.Particles, objective: float, **options
) -> duality.Gap:
    return duality.step_gap(problem.energy, problem.base, problem.tau, mu, objective, **options)


def solved(energy, base, tau) -> jko.StepResult:
    return jko.step(
        energy, base, tau=tau, solver=jko.LBFGS(tol=1e-12, max_iterations=3000), throw=False
    )


# --- exact gaps -------------------------------------------------------------------------------------------------


def splitting(weights) -> jko.Energy:
    """1/2 sum_j q_j (int Phi_j dmu - f_j)^2 with Phi = (xi^2, xi), f = (1, 0)."""
    data = jko.Data([[0.0], [1.0]], [1.0, 0.0], weights=weights)
    return jko.Risk(data, features=lambda xi, x: torch.cat([xi**2, xi], dim=1))


def test_the_saddle_at_zero_should_split_and_the_gap_is_nine_thirtyseconds():
    # full minimum 7/32 (second moment (1 - 1/2tau)_+ = 3/4, mean 0); the atom that stays at 0 has 1/2
    base = jko.Particles([[0.0]])
    gap = step_gap(problem(splitting([1.0, 1.0]), base, 2.0), base, 0.5)
    assert gap.value == pytest.approx(9 / 32, abs=1e-8)
    assert gap.lower_bound == pytest.approx(7 / 32, abs=1e-8)
    assert gap.reachable == pytest.approx(7 / 32, abs=1e-8)


def test_the_step_itself_has_the_gap_of_the_value_it_reached():
    result = jko.step(splitting([1.0, 1.0]), jko.Particles([[0.0]]), tau=2.0)
    assert result.certificate().value == pytest.approx(result.objective - 7 / 32, abs=1e-8)


def test_the_best_unsplit_atom_has_the_gap_one_quarter():
    base = jko.Particles([[0.0]])
    gap = step_gap(problem(splitting([1.0, 1.0]), base, 2.0), jko.Particles([[0.5]]), 15 / 32)
    assert gap.value == pytest.approx(0.25, abs=1e-8)


@pytest.mark.parametrize(("q1", "q2"), [(0.7, 3.0), (2.5, 0.1)])
def test_the_splitting_gap_is_exact_for_any_quadrature_weights(q1, q2):
    # the minimiser has mean 0 and second moment m2 = 1 - 1 / (2 tau q1)
    tau, base = 2.0, jko.Particles([[0.0]])
    m2 = 1 - 1 / (2 * tau * q1)
    full = 0.5 * q1 * (m2 - 1) ** 2 + m2 / (2 * tau)
    gap = step_gap(problem(splitting([q1, q2]), base, tau), base, 0.5 * q1)
    assert gap.value == pytest.approx(0.5 * q1 - full, abs=1e-8)


@pytest.mark.parametrize("weights", [None, [0.1, 0.15, 0.4]])
def test_the_linear_network_should_leave_the_saddle_at_zero(weights):
    # h = theta x: with s2 = int x^2 and f = a x, the minimum is s2 (A - a)^2 / 2 + A / tau at A = a - 1/(s2 tau)
    x, a, tau = np.array([1.0, 2.0, -0.5]), 1.5, 2.0
    q = np.full(3, 1 / 3) if weights is None else np.array(weights)
    x = x * math.sqrt(0.8 / (q @ x**2))
    risk = jko.Risk(
        jko.Data(x[:, None], a * x, weights=weights), activation=lambda theta, x: theta @ x.T
    )
    result = jko.step(risk, jko.Particles([[0.0, 0.0]]), tau=tau)
    assert result.objective == pytest.approx(0.9, abs=1e-12)
    gap = result.certificate()
    assert gap.value == pytest.approx(0.30625, abs=1e-8)
    assert gap.reachable == pytest.approx(0.59375, abs=1e-8)


def test_a_tanh_network_is_globally_solved_at_a_small_step_and_not_at_a_large_one(generator):
    base = jko.Particles.normal(20, 3, generator=generator)
    small, large = (solved(net(), base, tau).certificate() for tau in (0.1, 10.0))
    assert abs(small.value) < 1e-12
    assert small.rigorous
    assert large.value > 1e-5
    assert large.rigorous
    assert (
        large.reachable - large.lower_bound < 1e-11
    )  # the bound is attained by a measure: the gap is the true one


def test_both_minimisers_get_the_same_certificate(generator):
    base = jko.Particles.normal(20, 3, generator=generator)
    result = jko.step(net(), base, tau=0.1, solver=jko.BlockNewton(tol=1e-12))
    assert abs(result.certificate().value) < 1e-12


@pytest.mark.parametrize(("activation", "dim"), ACTIVATIONS)
def test_the_improved_gap_closes_with_the_plan_that_it_found(activation, dim, generator):
    energy = jko.Risk(curve(), activation=activation) + 0.01 * jko.SquaredNorm()
    base = jko.Particles.normal(15, dim, generator=generator)
    result = solved(energy, base, 300.0)
    first, best = result.certificate(improve=False), result.certificate()
    assert best.value <= first.value + 1e-14
    assert best.value > 1e-5
    assert best.reachable - best.lower_bound < 1e-11
    assert best.rigorous


def test_the_certificate_of_a_pair_is_that_of_its_lift(generator):
    lift = jko.Particles.normal(10, 3, generator=generator)
    pair = jko.ChargedParticles(lift.points[:, 1:], lift.points[:, 0])
    gaps = [solved(net(), state, 10.0).certificate() for state in (lift, pair)]
    assert gaps[0].value == pytest.approx(gaps[1].value, abs=1e-10)


def test_the_certificate_is_the_same_every_time_and_touches_no_global_random_numbers(generator):
    result = solved(net(), jko.Particles.normal(10, 3, generator=generator), 30.0)
    before = torch.get_rng_state()
    first, second = result.certificate(), result.certificate()
    assert first.value == second.value
    assert torch.equal(before, torch.get_rng_state())


def test_unequal_weights_and_boxes_are_certified(generator):
    box = jko.Box([-1.0, -2.0], [1.0, 2.0])
    points = jko.Particles.uniform(12, box, generator=generator).points
    base = jko.Particles(points, torch.arange(1.0, 13, dtype=F64) / 78, domain=box)
    energy = jko.Risk(curve(), activation=jko.GaussianBump(0.5))
    small = solved(energy, base, 0.3)
    assert small.certificate().value == pytest.approx(0, abs=1e-12)
    large = solved(energy, base, 100.0).certificate()
    assert large.rigorous
    assert large.value > 1e-4
    assert large.reachable - large.lower_bound < 1e-9


def test_relu_at_large_tau_is_minus_infinite_at_the_residual_and_finite_after_improving():
    # h = relu(theta . (x, 1)): one datum, so <g, Phi> = g w relu(theta . (x, 1)) beats |z|^2 / (2 tau) for large tau
    risk = jko.Risk(jko.Data([[1.0]], [1.0]), activation=jko.Ridge(torch.relu))
    result = jko.step(risk, jko.Particles([[0.1, 0.1, 0.1]]), tau=0.5, throw=False)
    base = problem(risk, jko.Particles([[0.0, 0.0, 0.0]]), 10.0)
    at_residual = step_gap(base, jko.Particles([[0.0, 0.0, 0.0]]), 0.5, improve=False)
    assert at_residual.value == math.inf
    assert "unbounded" in at_residual.reason
    # F of one neuron: A = int w relu; cost of A from 0: min w^2 + |theta|^2 = 2 A / sqrt(2) = sqrt(2) A
    best = min(0.5 * (A - 1) ** 2 + math.sqrt(2) * A / 20 for A in np.linspace(0, 1, 100001))
    improved = step_gap(base, jko.Particles([[0.0, 0.0, 0.0]]), 0.5)
    assert improved.value == pytest.approx(0.5 - best, abs=1e-6)
    assert math.isfinite(result.certificate().value)


def test_too_large_a_problem_is_scaled_only_and_still_finite(monkeypatch):
    monkeypatch.setattr("jko.duality.dual.AFFORDABLE", 0)
    base = jko.Particles([[0.0]])
    gap = step_gap(problem(splitting([1.0, 1.0]), base, 2.0), base, 0.5)
    assert 9 / 32 - 1e-9 <= gap.value < 0.5
    assert "multiple" in gap.reason


# --- what has no bound says why ---------------------------------------------------------------------------------


def test_an_energy_that_is_not_convex_has_an_infinite_gap_with_the_reason(generator):
    base = jko.Particles.normal(3, 2, generator=generator)
    kernel = jko.Interaction(lambda z: z.square().sum(-1))
    gap = jko.step(jko.SquaredNorm() + kernel, base, tau=0.1).certificate()
    assert gap.value == math.inf
    assert "not declared convex" in gap.reason
    data = curve(5)
    minus = jko.SquaredNorm() + -0.01 * jko.Risk(data, activation=jko.GaussianBump(1.0))
    gap = jko.step(minus, base, tau=0.1).certificate()
    assert gap.value == math.inf
    assert "-0.01" in gap.reason


def test_a_negative_multiple_of_a_linear_term_is_no_obstacle():
    energy = jko.SquaredNorm() + -0.5 * jko.SquaredNorm()
    gap = solved(energy, jko.Particles([[1.0, 2.0]]), 1.0).certificate()
    assert gap.value == pytest.approx(0, abs=1e-14)
    assert gap.rigorous


def test_a_convex_interaction_is_bounded_by_its_linearisation(generator):
    base = jko.Particles.normal(12, 2, generator=generator)
    energy = (
        jko.Interaction(lambda z: torch.exp(-z.square().sum(-1)), convex=True)
        + 0.1 * jko.SquaredNorm()
    )
    gap = solved(energy, base, 0.2).certificate()
    assert abs(gap.value) < 1e-10
    assert not gap.rigorous
    assert "multistart" in gap.reason


def test_the_string_of_a_gap_says_value_and_standing():
    gap = solved(jko.SquaredNorm(), jko.Particles([[1.0]]), 1.0).certificate()
    assert str(gap).startswith("gap ")
    assert "proved" in str(gap)


# --- the parts, against independent programs --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_restricted_problem_agrees_with_cvxpy(seed):
    cp = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(seed)
    N, M, K = [(5, 3, 6), (20, 10, 5), (1, 20, 60), (3, 2, 40)][seed]
    block, masses = np.repeat(np.arange(N), K), rng.dirichlet(np.ones(N))
    A, b, cost = rng.normal(size=(M, N * K)), 3 * rng.normal(size=M), 0.1 * rng.random(N * K)
    A[:, 1], A[:, 3] = A[:, 0], A[:, 2] + 1e-9  # doubles
    start = np.zeros(N * K)
    start[::K] = masses
    p = best_plan(A, b, cost, block, masses, start)
    x = cp.Variable(N * K, nonneg=True)
    sums = np.equal.outer(np.arange(N), block).astype(float)
    reference = cp.Problem(
        cp.Minimize(0.5 * cp.sum_squares(A @ x - b) + cost @ x), [sums @ x == masses]
    )
    reference.solve(cp.CLARABEL)
    assert p.min() >= 0
    np.testing.assert_allclose(sums @ p, masses, atol=1e-15)
    assert 0.5 * ((A @ p - b) ** 2).sum() + cost @ p == pytest.approx(reference.value, abs=1e-6)
    r = A @ p - b
    lowest = [
        (A.T @ r + cost)[block == i].min() for i in range(N)
    ]  # its own dual value closes the gap
    assert -0.5 * r @ r - r @ b + masses @ lowest == pytest.approx(
        0.5 * r @ r + cost @ p, abs=1e-12
    )


def test_the_dual_value_agrees_with_cvxpy_on_a_grid_of_candidates(generator):
    cp = pytest.importorskip("cvxpy")
    tau, lam = 20.0, 0.05
    energy = jko.Risk(curve(12), activation=jko.GaussianBump(0.7)) + lam * jko.SquaredNorm()
    base = jko.Particles.normal(3, 2, generator=generator)
    gap = solved(energy, base, tau).certificate()
    axis = torch.linspace(-4, 4, 161, dtype=F64)
    z = torch.cartesian_prod(axis, axis)
    risk = energy.terms[0][1]
    phi, potential = risk.features(z, risk.data.x).numpy(), lam * 0.5 * z.square().sum(1).numpy()
    cost = [potential + ((z - y) ** 2).sum(1).numpy() / (2 * tau) for y in base.points]
    q, f = risk.data.weights.numpy(), risk.data.f.numpy()
    g, t = cp.Variable(len(q)), cp.Variable(3)
    below = [t[i] <= c + phi @ cp.multiply(q, g) for i, c in enumerate(cost)]
    value = (
        -0.5 * cp.sum_squares(cp.multiply(np.sqrt(q), g)) - (q * f) @ g + base.weights.numpy() @ t
    )
    reference = cp.Problem(cp.Maximize(value), below)
    reference.solve(cp.CLARABEL)
    assert (
        gap.lower_bound <= reference.value + 1e-7
    )  # the grid has fewer candidates, so its minimum is higher
    assert gap.lower_bound == pytest.approx(reference.value, abs=3e-4)  # by its spacing squared


@pytest.mark.parametrize(("activation", "dim"), ACTIVATIONS)
def test_proved_bounds_are_below_every_value_on_a_fine_grid(activation, dim, generator):
    data = curve(15)
    energy = jko.Risk(data, activation=activation) + 0.02 * jko.SquaredNorm()
    base = jko.Particles(2 * torch.randn(4, dim, generator=generator, dtype=F64))
    minorant = Minorant.of(energy, base)
    for tau in (0.5, 5.0, 50.0):
        envelope = Envelope(minorant, base.points, 1 / tau, None, base.points)
        g = 2 * minorant.residual
        minima = envelope.search(g)
        found = enclose(envelope, g, minima)
        assert found.proved
        axes = [torch.linspace(-9, 9, 3000 if dim == 2 else 140, dtype=F64)] * (dim - 1)
        theta = torch.cartesian_prod(*axes).reshape(-1, dim - 1)
        pool = torch.cat([torch.zeros(len(theta), 1, dtype=F64), theta], dim=1)
        grid = envelope.table(g, pool).amin(1)  # w is chosen best for every theta
        assert bool((found.lowest <= grid + 1e-12).all())
        assert bool((grid - found.lowest < (0.02 if dim == 3 else 1e-4)).all())
        assert bool((minima.lowest - found.lowest).abs().max() < 1e-10)


def test_the_table_eliminates_w_exactly(generator):
    base = jko.Particles.normal(5, 3, generator=generator)
    minorant = Minorant.of(net(0.1), base)
    envelope = Envelope(minorant, base.points, 0.7, None, base.points)
    pool = torch.randn(6, 3, generator=generator, dtype=F64)
    table = envelope.table(minorant.residual, pool)
    w = torch.linspace(-5, 5, 20001, dtype=F64)
    for i in range(5):
        for j in range(6):
            z = torch.cat([w[:, None], pool[j, 1:].expand(len(w), 2)], dim=1)
            line = envelope.value(minorant.residual, z, torch.full((len(w),), i)).min()
            assert float(table[i, j]) <= float(line) + 1e-14
            assert float(line - table[i, j]) < 1e-7


def test_the_minorant_is_below_the_energy_and_touches_it(generator):
    kernel = jko.Interaction(lambda z: torch.exp(-z.square().sum(-1)), convex=True)
    energy = (
        2.0 * jko.Risk(curve(), activation=TANH)
        + 0.3 * kernel
        + jko.energies.PowerNorm(3)
        + 0.1 * jko.SquaredNorm()
    )
    mu = jko.Particles.normal(8, 3, generator=generator)
    minorant = Minorant.of(energy, mu)

    def below(g, nu):
        return minorant.concave_part(g) + float(nu.integrate(minorant.value(g, nu.points)))

    assert below(minorant.residual, mu) == pytest.approx(float(energy(mu)), rel=1e-13)
    for _ in range(10):
        nu = jko.Particles.normal(6, 3, generator=generator)
        g = torch.randn(len(minorant.q), generator=generator, dtype=F64)
        assert below(g, nu) <= float(energy(nu)) + 1e-12
    points = torch.randn(4, 3, generator=generator, dtype=F64)
    value, slope = minorant.slope(minorant.residual, points)
    torch.testing.assert_close(value, minorant.value(minorant.residual, points))
    torch.testing.assert_close(value, energy.variation(mu, points))
    torch.testing.assert_close(slope, energy.gradient(mu, points))
    eps, H = 1e-5, minorant.hessian(minorant.residual, points)
    for k in range(3):
        step = torch.zeros(3, dtype=F64)
        step[k] = eps
        ahead, behind = (minorant.slope(minorant.residual, points + s * step)[1] for s in (1, -1))
        torch.testing.assert_close(H[:, :, k], (ahead - behind) / (2 * eps), rtol=1e-6, atol=1e-8)


def test_descent_finds_the_constrained_minimum_of_each_row():
    class Quartic:
        """(z_1^2 - 1)^2 + (z_2 - row)^2."""

        def value(self, z, rows):
            return (z[:, 0] ** 2 - 1) ** 2 + (z[:, 1] - rows) ** 2

        def slope(self, z, rows):
            gradient = torch.stack([4 * z[:, 0] * (z[:, 0] ** 2 - 1), 2 * (z[:, 1] - rows)], dim=1)
            return gradient, torch.full((len(z),), 1e-14, dtype=F64)

        def hessian(self, z, rows):
            return torch.diag_embed(torch.stack([12 * z[:, 0] ** 2 - 4, 2 + 0 * z[:, 0]], dim=1))

    start = torch.tensor([[0.1, 0.0], [-0.1, 0.0], [3.0, 5.0]], dtype=F64)
    z, values = descend(Quartic(), start, None, 0.1, 1e3)
    torch.testing.assert_close(z, torch.tensor([[1.0, 0.0], [-1.0, 1.0], [1.0, 2.0]], dtype=F64))
    torch.testing.assert_close(values, torch.zeros(3, dtype=F64))
    z, _ = descend(Quartic(), start, jko.Box([-0.5, -1.0], [0.5, 1.5]), 0.1, 1e3)
    torch.testing.assert_close(z, torch.tensor([[0.5, 0.0], [-0.5, 1.0], [0.5, 1.5]], dtype=F64))
    z, _ = descend(Quartic(), start, jko.Ball([0.0, 0.0], 0.25), 0.05, 1e3)
    assert bool((z.norm(dim=1) <= 0.25 + 1e-12).all())
