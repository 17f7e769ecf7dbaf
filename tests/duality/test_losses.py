"""Lower bounds where the loss is not squared, or the outputs are several: against cvxpy, and against measures."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jko
from jko.duality.bundle import Columns
from jko.duality.enclosure import enclose
from jko.duality.envelope import Envelope
from jko.duality.fit import Fit
from jko.duality.minorant import Minorant
from jko.duality.reduced import ReducedEnvelope
from jko.duality.slopes import Slopes
from jko.energies import SquaredLoss, sorted_terms
from jko.networks import drawn

TANH, LAM = jko.Ridge(torch.tanh), 0.05


def table(k, M, seed, loss=None):
    """A risk of k outputs in one variable; k = 0 for targets (M,)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((M, 1))
    c = np.sin(2 * x[:, 0]) + 0.3 * rng.standard_normal(M)
    f = np.sign(c) if k == 0 else np.eye(k)[np.digitize(c, np.linspace(-0.5, 0.5, k - 1))]
    return jko.Risk(jko.Data(x, f, rng.uniform(0.5, 1.5, M) / M), TANH, loss=loss)


def measure(R, N=8, seed=0):
    return drawn(N, R.data, torch.Generator().manual_seed(seed))


def risks(k, M, seed):
    """An energy of one risk, or of two with losses of two kinds."""
    first, second = table(k, M, seed, jko.Logistic()), table(k, M, seed + 1, SquaredLoss())
    return (first, 0.7 * second + 0.3 * first, second)[seed % 3]


def best_value(R, phi, cost, masses, block):
    """The least risk and cost of plans over the columns phi (C, M k), by cvxpy."""
    p, q, f = cp.Variable(len(cost), nonneg=True), R.data.weights.numpy(), R.data.f.numpy()
    y = phi.numpy().T @ p
    if f.ndim == 1:
        total = q @ cp.logistic(cp.multiply(-f, y))
    else:
        y = cp.reshape(y, f.shape, order="C")
        total = q @ (cp.log_sum_exp(y, axis=1) - cp.sum(cp.multiply(f, y), axis=1))
    sums = np.equal.outer(np.arange(len(masses)), block.numpy()).astype(float)
    problem = cp.Problem(cp.Minimize(total + cost.numpy() @ p), [sums @ p == masses.numpy()])
    return problem.solve(solver=cp.CLARABEL)


@pytest.mark.parametrize("k", [0, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_plan_over_columns_is_that_of_cvxpy(k, seed):
    R = table(k, 7, seed, jko.Logistic())
    mu, F = measure(R, 4, seed), R + LAM * jko.SquaredNorm()
    envelope = Envelope(Minorant.of(F, mu), mu.points, 1 / 0.7, None, mu.points)
    columns = Columns(envelope, mu.weights)
    columns.add(envelope.search(envelope.minorant.residual))
    value, g = columns.solve()
    expected = best_value(R, columns.features, columns.cost, mu.weights, columns.block)
    assert value == pytest.approx(expected, abs=1e-7)
    assert value <= expected + 1e-9  # Newton ends where interior points stop
    y = columns.plan @ columns.features
    assert torch.allclose(g, R.loss.slope(y.view(R.data.f.shape), R.data.f).reshape(-1))


def test_a_bound_is_below_every_measure_and_nearly_one_of_a_dictionary():
    # the minimum over a grid of atoms, by cvxpy, is above the bound over all atoms, and near
    R = table(0, 9, 1, jko.Logistic())
    F = R + LAM * jko.SquaredNorm()
    found = jko.optimality(F, measure(R))
    assert found.rigorous
    steps = [np.linspace(-6, 6, 25), np.linspace(-3, 3, 17), np.linspace(-3, 3, 17)]
    atoms = torch.from_numpy(np.stack(np.meshgrid(*steps), -1).reshape(-1, 3))
    cost, one = LAM / 2 * atoms.square().sum(1), torch.ones(1).double()
    block = torch.zeros(len(atoms), dtype=torch.long)
    least = best_value(R, R.features(atoms, R.data.x), cost, one, block)
    assert found.lower_bound <= least + 1e-9
    assert found.lower_bound == pytest.approx(least, rel=0.01)
    assert found.reachable == pytest.approx(found.lower_bound, abs=1e-9)


@pytest.mark.parametrize("k", [0, 2, 3])
def test_a_long_flow_ends_at_the_bound(k):
    R = table(k, 5, 4, jko.Logistic())
    F = R + LAM * jko.SquaredNorm()
    far = jko.flow(F, measure(R, 10), tau=200.0, steps=8).final
    found = jko.optimality(F, far)
    assert found.lower_bound <= float(F(far)) + 1e-12
    assert found.value < 0.06
    assert found.value >= 0


@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("loss", [SquaredLoss(), jko.Logistic()])
def test_the_gap_of_a_step_bounds_what_other_solvers_reach(k, loss):
    R = table(k, 6, 2, loss)
    F, mu = R + LAM * jko.SquaredNorm(), measure(R, 5)
    result = jko.step(F, mu, tau=2.0)
    gap = result.certificate()
    assert 0 <= gap.value < 0.1
    tight = jko.step(F, mu, tau=2.0, solver=jko.BlockNewton(tol=1e-10))
    assert gap.lower_bound <= tight.objective + 1e-12
    assert tight.objective == pytest.approx(result.objective, abs=1e-3)
    assert gap.rigorous


def problem(k, seed, activation, d, tau=0.7, domain=None):
    """An envelope of k outputs, prices, and random points."""
    rng = np.random.default_rng(seed)
    data = jko.Data(rng.standard_normal((5, 1)), np.eye(k)[rng.integers(0, k, 5)])
    F = jko.Risk(data, activation, loss=jko.Logistic()) + LAM * jko.SquaredNorm()
    mu = jko.Particles(rng.uniform(-1, 1, (3, k + d)), domain=domain)
    envelope = Envelope(Minorant.of(F, mu), mu.points, 1 / tau, domain, mu.points)
    return (
        envelope,
        3 * envelope.minorant.residual,
        torch.from_numpy(rng.uniform(-2, 2, (4000, k + d))),
    )


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("activation", "d"), [(TANH, 2), (jko.GaussianBump(0.5), 1)])
@pytest.mark.parametrize("walls", [False, True])
def test_the_inner_minima_of_several_outputs_are_enclosed(k, seed, activation, d, walls):
    domain = jko.Box([-1.5] * (k + d), [1.5] * (k + d)) if walls else None
    envelope, g, z = problem(k, seed, activation, d, domain=domain)
    minima = envelope.search(g)
    found = enclose(envelope, g, minima)
    assert found.proved
    assert found.missed is None
    assert torch.allclose(found.lowest, minima.lowest, atol=1e-9)
    assert bool((found.lowest <= minima.lowest + 1e-12).all())
    z = z if domain is None else domain.project(z)
    for i in range(envelope.N):
        block = torch.full((len(z),), i)
        assert float(envelope.value(g, z, block).min()) >= float(found.lowest[i])


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize(("activation", "d"), [(TANH, 2), (jko.GaussianBump(0.5), 1)])
def test_the_reduced_problem_has_the_best_charges_and_its_slopes(k, activation, d):
    envelope, g, z = problem(k, 0, activation, d)
    reduced = ReducedEnvelope.of(envelope, Slopes.of(envelope.minorant, g))
    i, theta, e = torch.arange(3), z[:3, k:], 1e-5
    psi, slope, least, w, _, c_slope = reduced.psi(theta, i)
    best = torch.cat([w, theta], 1)
    assert torch.allclose(envelope.value(g, best, i), psi, atol=1e-12)
    for other in (best + 0.1 * z[3:6], best - 0.2 * z[3:6]):
        moved = torch.cat([other[:, :k], theta], 1)
        assert bool((envelope.value(g, moved, i) >= psi).all())
    table = envelope.table(g, best)
    assert torch.allclose(table.diagonal(), psi, atol=1e-12)
    for j in range(d):
        step = e * torch.eye(d, dtype=theta.dtype)[j]
        up, down = reduced.psi(theta + step, i), reduced.psi(theta - step, i)
        assert torch.allclose((up[0] - down[0]) / (2 * e), slope[:, j], atol=1e-8)
        assert torch.allclose((up[1] - down[1]) / (2 * e), least[:, :, j], atol=1e-7)
        assert torch.allclose((up[4] - down[4]) / (2 * e), c_slope[:, :, j], atol=1e-8)


@settings(max_examples=15)
@given(st.sampled_from([0, 2, 3]), st.integers(1, 5), st.integers(0, 50))
def test_the_fit_of_all_risks_is_their_sum_and_fenchels(k, M, seed):
    energy, rng = risks(k, M, seed), np.random.default_rng(seed)
    terms = sorted_terms(energy).risks
    mu = measure(terms[0][1])
    fit = Fit(terms, mu.points.new_zeros(0))
    y = fit.outputs(mu)
    assert fit.value(y) == pytest.approx(float(energy(mu)), rel=1e-12)
    g, other = fit.slope(y), torch.from_numpy(rng.standard_normal(len(y)))
    assert fit.value(y) + fit.conjugate(g) == pytest.approx(float(fit.q * g @ y), abs=1e-12)
    assert fit.value(other) + fit.conjugate(g) >= float(fit.q * g @ other) - 1e-12
    assert torch.allclose(fit.slope(fit.answer(g)), g, atol=1e-9)
    ahead = fit.stepped(g, torch.from_numpy(3 * rng.standard_normal(len(y))))
    if k == 0:  # of classes the sum of a step is zero
        assert np.isfinite(fit.conjugate(ahead))
    top = fit.reach(g)
    assert np.isfinite(fit.conjugate(min(top, 5.0) * (1 - 1e-9) * g))
    assert fit.quadratic or fit.conjugate(1.001 * top * g) == np.inf
    root, e = fit.root(y), 1e-6
    change = (fit.slope(y + e * other) - fit.slope(y - e * other)) / (2 * e)
    assert float(root(other).square().sum()) == pytest.approx(
        float(fit.q * change @ other), abs=1e-7
    )
    assert torch.allclose(root.back(root(other)), change, atol=1e-7)
