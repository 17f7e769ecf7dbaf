"""Steps in the split metric dissipate at any tau and converge to (3.19), Alternating at order one, Strang at two."""

import itertools

import cvxpy as cp
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

import jko
from jko.networks import FeatureMap
from jko.steps.split.charge import charge_step
from jko.steps.split.held import Charge, HeldFeatures, HeldNorm
from jko.steps.split.terms import SplitTerms

NEWTON = jko.steps.Alternating(jko.BlockNewton(tol=1e-12))
X = np.linspace(-2, 2, 24)
F, Q, LAM, T = 1.5 * np.sin(1.5 * X), np.full(24, 1 / 24), 0.1, 1.5
DATA = jko.Data(X[:, None], F, Q)
PROBES = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]


def tanh_of_sum(theta, x):
    return torch.tanh(theta + x.T)


def charge(theta):
    return 1 + 0.6 * torch.sin(1.3 * theta[:, 0])


RISK = jko.Risk(DATA, activation=tanh_of_sum)
G = RISK + LAM * jko.SquaredNorm()
ENTROPIC = G + 0.05 * jko.Entropy()


def normal_masses(edges):
    masses = np.diff(ndtr((edges - 0.3) / 0.6))
    return masses / masses.sum()


def clenshaw_curtis(n, lower, upper):
    """Nodes and weights of the rule with n + 1 points, n even."""
    angle = np.pi * np.arange(n + 1) / n
    j = np.arange(n // 2 + 1)
    factor = np.where((j == 0) | (j == n // 2), 1.0, 2.0) / (1 - 4.0 * j**2)
    weights = 2 / n * np.cos(2 * np.outer(angle, j)) @ factor
    weights[[0, -1]] /= 2
    half = 0.5 * (upper - lower)
    return 0.5 * (upper + lower) - half * np.cos(angle), half * weights


def span_of(rho):
    return jko.ChargedSpan(rho, charge, tanh_of_sum, DATA.x)


def labelled(n=48):
    """rho_0 = N(.3, .6^2) cut to [-3, 3], as the atoms of a quadrature that is exact to rounding."""
    theta, weights = clenshaw_curtis(n, -3, 3)
    m = weights * np.exp(-0.5 * ((theta - 0.3) / 0.6) ** 2)
    return span_of(jko.Particles(theta[:, None], m / m.sum()))


def meshed(N):
    edges = np.linspace(-3, 3, N + 1)
    return span_of(jko.LineMesh(edges, normal_masses(edges), jko.Box(-3.0, 3.0)))


def gridded(N):
    grid = jko.Grid((-3.0, 3.0), N)
    masses = normal_masses(np.linspace(-3, 3, N + 1))
    return span_of(jko.GridDensity(grid, masses / grid.cell))


def quadratic_network(N=7, d=2, seed=0):
    """A span with a ridge activation in d dimensions and its energy: everything at random."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((5, d - 1))
    risk = jko.Risk(
        jko.Data(x, rng.standard_normal(5), rng.random(5) + 0.5), activation=jko.Ridge(torch.tanh)
    )
    weights = rng.random(N) + 0.2
    rho = jko.Particles(rng.standard_normal((N, d)), weights / weights.sum())
    b = 0.3 * rng.standard_normal(5)
    span = jko.ChargedSpan(
        rho, lambda t: 1 + t[:, 0] * t[:, -1], risk.activation, risk.data.x, 0.8, b
    )
    return risk + 0.3 * jko.SquaredNorm(), risk, span


# The limit, by hand


def separated(theta, m, t):
    """(3.19) in (theta_i, alpha, b): theta' = -grad (H N + Vbar), alpha' = -lam alpha, b' = -lam b + q r."""
    n = len(theta)

    def network(u):
        theta, alpha, b = u[:n], u[n], u[n + 1 :]
        h = np.tanh(theta[:, None] + X)
        H = alpha * (1 + 0.6 * np.sin(1.3 * theta)) - h @ b
        return theta, alpha, b, h, H, m @ (H[:, None] * h) - F

    def slope(_, u):
        theta, alpha, b, h, H, r = network(u)
        dH = 0.78 * alpha * np.cos(1.3 * theta) - (1 - h**2) @ b
        pull = dH * (h @ (Q * r)) + H * ((1 - h**2) @ (Q * r)) + LAM * (H * dH + theta)
        return np.concatenate([-pull, [-LAM * alpha], Q * r - LAM * b])

    start = np.concatenate([theta, [1.0], np.zeros(len(X))])
    u = solve_ivp(slope, (0, t), start, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    theta, alpha, b, _, H, r = network(u)
    return theta, alpha, b, 0.5 * Q @ r**2 + 0.5 * LAM * m @ (H**2 + theta**2)


@pytest.fixture(scope="module")
def limit():
    start = labelled()
    return start, separated(start.rho.points[:, 0].numpy(), start.weights.numpy(), T)


def errors_at_the_end(limit, scheme, counts):
    """W2(rho) and sup |H| on [-2, 2] at t = T."""
    start, (theta, alpha, b, _) = limit
    exact = start.with_H(alpha, torch.from_numpy(b)).H(PROBES)
    result = []
    for K in counts:
        end = jko.flow(G, start, tau=T / K, steps=K, scheme=scheme, solver=NEWTON).final
        moved = end.rho.points[:, 0].numpy() - theta
        result.append(
            (
                np.sqrt(start.weights.numpy() @ moved**2),
                float((end.H(PROBES) - exact).abs().max()),
            )
        )
    return np.array(result)


def test_the_limit_by_hand_is_the_known_one(limit):
    start, (*_, energy) = limit
    assert float(G(start)) == pytest.approx(0.297541, abs=5e-7)
    assert energy == pytest.approx(0.2153438469, abs=1e-10)


def test_alternating_is_of_order_one(limit):
    errors = errors_at_the_end(limit, None, (8, 16, 32, 64))
    assert np.abs(np.log2(errors[:-1] / errors[1:]) - 1).max() < 0.1, errors
    assert errors[-1].max() < 1.6e-3


def test_strang_is_of_order_two(limit):
    errors = errors_at_the_end(limit, jko.Strang(), (4, 8, 16, 32))
    assert np.abs(np.log2(errors[:-1] / errors[1:]) - 2).max() < 0.1, errors
    assert errors[-1].max() < 1.3e-5


def test_strang_is_of_order_two_by_default(limit):
    """The default solver of rho is tight enough."""
    start, (*_, energy) = limit
    gaps = [
        abs(jko.flow(G, start, tau=T / K, steps=K, scheme=jko.Strang()).energies[-1] - energy)
        for K in (8, 16, 32)
    ]
    assert np.abs(np.log2(np.divide(gaps[:-1], gaps[1:])) - 2).max() < 0.1, gaps


@pytest.mark.parametrize("tau", [0.01, 0.5])
def test_the_cost_of_strang_is_the_squared_length_of_its_whole_move(tau):
    """Atoms go twice as far as in the half step, so that they pay four times as much; that is the squared metric."""
    start = labelled()
    result = jko.Strang().advance(G, start, tau=tau)
    moved = (result.state.rho.points - start.rho.points).square().sum(1)
    assert result.figures["fallback"] == 0
    assert result.figures["moved"] == pytest.approx(float(start.rho.integrate(moved)), rel=1e-9)
    assert result.cost == pytest.approx(jko.distance(result.state, start).squared, rel=1e-6)


@pytest.mark.parametrize("kind", ["mesh", "grid"])
def test_strang_is_of_order_two_with_entropy(kind):
    """Against itself: differences of H(t = .5) between tau and tau / 2 fall by four."""
    start, solver = (
        (meshed(60), None)
        if kind == "mesh"
        else (gridded(60), jko.steps.Alternating(jko.Dynamic(tol=1e-8)))
    )
    ends = []
    for K in (2, 4, 8):
        run = jko.flow(ENTROPIC, start, tau=0.5 / K, steps=K, scheme=jko.Strang(), solver=solver)
        assert (run.columns["fallback"] == 0).all()
        ends.append(run.final.H(PROBES))
    first, second = ((a - b).abs().max() for a, b in itertools.pairwise(ends))
    assert np.log2(float(first / second)) == pytest.approx(2, abs=0.1)


# The ledger


@pytest.mark.parametrize("tau", [0.1, 5.0, 20.0])
def test_the_energy_falls_by_the_squared_metric_over_two_tau(tau):
    run = jko.flow(G, labelled(), tau=tau, steps=10)
    states = itertools.pairwise(run.states)
    distances = np.array([jko.distance(new, old).squared for old, new in states])
    energies = np.array([float(G(state)) for state in run.states])
    assert np.allclose(run.costs, distances, rtol=1e-8, atol=1e-18)
    assert np.allclose(run.energies, energies, rtol=1e-14)
    slacks = energies[:-1] - energies[1:] - distances / (2 * tau)
    assert (slacks > -1e-15).all()
    assert np.allclose(run.slacks, slacks, atol=1e-15)
    assert np.allclose(run.columns["moved"] + run.columns["charged"], run.costs, rtol=1e-14)
    if tau >= 5:
        assert run.energies[-1] == pytest.approx(0.18850, abs=5e-6)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("scheme", [jko.Implicit(), jko.Strang()])
def test_networks_in_more_dimensions_dissipate(d, scheme, generator):
    x = torch.randn(12, d - 1, generator=generator, dtype=torch.float64)
    risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    rho = jko.Particles.normal(40, d, generator=generator)
    start = jko.ChargedSpan(rho, lambda t: t[:, 0], risk.activation, x)
    run = jko.flow(risk + 0.01 * jko.SquaredNorm(), start, tau=0.5, steps=6, scheme=scheme)
    assert (run.slacks > 0).all()
    assert run.energies[-1] < 0.8 * run.energies[0]


def with_free_charge(theta, m):
    """min over H of G(rho, H): with H = -h q r / lam, a system for r."""
    h = np.tanh(theta[:, None] + X)
    r = -np.linalg.solve(np.eye(len(X)) + (h.T * m) @ h * Q / LAM, F)
    H = -h @ (Q * r) / LAM
    return 0.5 * Q @ r**2 + 0.5 * LAM * m @ (H**2 + theta**2)


def test_a_step_in_the_metric_of_the_old_measure_would_be_degenerate():
    """A rho of n atoms near rho_0 leaves H free if H is compared in L2(rho_0), where rho_0 has no atoms.

    So the infimum is that of a free H, whatever tau is.  In L2 of the new rho the same atoms bring nothing.
    """
    tau, start, fine = 0.01, labelled(), 100_000
    low, high = ndtr((-3 - 0.3) / 0.6), ndtr((3 - 0.3) / 0.6)
    points = 0.3 + 0.6 * ndtri(low + (high - low) * (np.arange(fine) + 0.5) / fine)
    free, ours = [], []
    for n in (10, 100, 1000):
        cells = points.reshape(n, -1)
        atoms = np.median(cells, axis=1)
        move = ((cells - atoms[:, None]) ** 2).mean()
        free.append(with_free_charge(atoms, np.full(n, 1 / n)) + move / (2 * tau))
        rho = jko.Particles(atoms[:, None])
        step = charge_step(rho, start, SplitTerms.of(G, start), tau)
        square = step.square(step.increment)
        ours.append(float(G(step.reach())) + (move + square) / (2 * tau))
    infimum = with_free_charge(start.support[:, 0].numpy(), start.weights.numpy())
    assert infimum == pytest.approx(0.2437, abs=5e-5)
    assert np.allclose(free, [1.022, 0.2872, 0.2466], rtol=1e-3)
    assert (np.diff([*free, infimum]) < 0).all()
    result = jko.step(G, start, tau=tau, solver=NEWTON)
    assert min(ours) > result.objective > 0.2975 - 0.14 * tau


# One step


def test_the_step_of_the_charge_is_the_minimiser_among_all_functions_on_the_atoms():
    energy, risk, span = quadratic_network()
    tau, m, f, q = 0.7, span.weights.numpy(), risk.data.f.numpy(), risk.data.weights.numpy()
    h, before = risk.activation(span.support, span.x).numpy(), span.H(span.support).numpy()
    H = cp.Variable(span.N)
    objective = (
        cp.sum_squares(cp.multiply(np.sqrt(q), h.T @ cp.multiply(m, H) - f)) / 2
        + 0.15 * cp.sum_squares(cp.multiply(np.sqrt(m), H))
        + cp.sum_squares(cp.multiply(np.sqrt(m), H - before)) / (2 * tau)
    )
    problem = cp.Problem(cp.Minimize(objective))
    problem.solve(solver=cp.CLARABEL)
    step = charge_step(span.rho, span, SplitTerms.of(energy, span), tau)
    new = step.reach()
    assert np.allclose(new.H(span.support).numpy(), H.value, atol=1e-6)
    square = float(span.rho.integrate((new.H(span.support) - span.H(span.support)) ** 2))
    assert step.square(step.increment) == pytest.approx(square, rel=1e-12)
    place = 0.15 * float(span.rho.integrate(span.support.square().sum(1)))
    assert float(energy(new)) + square / (2 * tau) - place == pytest.approx(problem.value, abs=1e-9)
    assert step.residual < 1e-15


def test_the_step_of_rho_is_the_minimiser_with_the_charge_held():
    energy, risk, span = quadratic_network()
    tau, m, q = 0.2, span.weights, risk.data.weights

    def functional(flat):
        theta = torch.from_numpy(flat).reshape(span.N, 2).requires_grad_()
        H = span.H(theta)
        f = (m * H) @ risk.activation(theta, span.x) - risk.data.f
        value = 0.5 * (q * f * f).sum() + 0.15 * (m * (H**2 + theta.square().sum(1))).sum()
        value = value + (m[:, None] * (theta - span.support) ** 2).sum() / (2 * tau)
        return value.item(), torch.autograd.grad(value, theta)[0].numpy().ravel()

    found = minimize(
        functional, span.support.numpy().ravel(), jac=True, method="BFGS", options={"gtol": 1e-12}
    )
    result = jko.step(energy, span, tau=tau, solver=NEWTON)
    assert np.allclose(result.state.support.numpy().ravel(), found.x, atol=1e-8)
    held = span.with_rho(result.state.rho)
    value = float(energy(held)) + result.figures["moved"] / (2 * tau)
    assert value == pytest.approx(found.fun, abs=1e-13)
    assert result.certificate().value < 1e-8


def test_alpha_decays_by_one_plus_tau_lam():
    run = jko.flow(0.5 * jko.SquaredNorm(), labelled(), tau=0.4, steps=5, solver=NEWTON)
    assert run.final.alpha == pytest.approx(1.2**-5, rel=1e-14)
    assert not run.final.b.any()


def test_derivatives_with_the_charge_held_are_those_of_autograd():
    energy, risk, span = quadratic_network(d=3)
    held = HeldFeatures(Charge.of(span))

    class Plain(FeatureMap):
        def __call__(self, z, x):
            return span.H(z)[:, None] * risk.activation(z, x)

    z, g = span.support, torch.linspace(-1, 2, 5, dtype=torch.float64)
    for x in (span.x, span.x + 0.0):
        for mine, theirs in zip(
            held.linearise(z, x)[1](g), Plain().linearise(z, x)[1](g), strict=True
        ):
            assert torch.allclose(mine, theirs, atol=1e-14)
        assert torch.allclose(held.jacobian(z, x), Plain().jacobian(z, x), atol=1e-14)
        assert torch.allclose(held.hessian(z, x, g), Plain().hessian(z, x, g), atol=1e-14)
    norm = HeldNorm(held.charge)
    plain = jko.Potential(lambda t: 0.5 * (span.H(t) ** 2 + t.square().sum(1)))
    assert torch.allclose(norm.evaluate(span.rho).gradient, plain.gradient(span.rho), atol=1e-14)
    assert torch.allclose(norm.gradient(span.rho, z), plain.gradient(span.rho), atol=1e-14)
    assert torch.allclose(norm.hessian(span.rho), plain.hessian(span.rho), atol=1e-14)
    whole = SplitTerms.of(energy, span).held(span)
    assert float(whole(span.rho)) == pytest.approx(float(energy(span)), rel=1e-14)


def test_two_risks_and_energies_of_theta_add_up():
    energy, risk, span = quadratic_network()
    half = jko.Risk(
        jko.Data(span.x, risk.data.f + 1, risk.data.weights), activation=jko.Ridge(torch.tanh)
    )
    other = jko.Risk(
        jko.Data(span.x, risk.data.f - 1, risk.data.weights), activation=jko.Ridge(torch.tanh)
    )
    both = 0.5 * half + 0.5 * other + 0.3 * jko.SquaredNorm()
    well = jko.Potential(lambda t: ((t - 1) ** 4).sum(-1))
    one, two = (
        jko.step(
            E + jko.energies.OnTheta(well) + 0.0 * jko.energies.PowerNorm(3),
            span,
            tau=0.3,
            solver=NEWTON,
        )
        for E in (energy, both)
    )
    assert torch.allclose(one.state.support, two.state.support, atol=1e-11)
    assert torch.allclose(one.state.b, two.state.b, atol=1e-11)
    assert one.slack == pytest.approx(two.slack, abs=1e-12)


def test_walls_hold_the_atoms_and_the_steps_beyond():
    box = jko.Box(-0.5, 0.8)
    rho = jko.Particles(np.linspace(-0.5, 0.8, 9)[:, None], domain=box)
    away = G + -3.0 * jko.energies.OnTheta(jko.SquaredNorm())
    for scheme in (jko.Implicit(), jko.Strang()):
        run = jko.flow(away, span_of(rho), tau=0.2, steps=3, scheme=scheme)
        theta = run.final.support
        assert float(theta.min()) == -0.5
        assert float(theta.max()) == 0.8
        assert (np.diff(run.energies) < 0).all()


# Densities


def test_mesh_and_grid_agree_with_entropy():
    """Densities to the first order of the cells, G and H to the second."""
    solver = jko.steps.Alternating(jko.Dynamic(tol=1e-8))
    apart = []
    for N in (40, 80):
        a = jko.flow(ENTROPIC, meshed(N), tau=0.1, steps=5)
        b = jko.flow(ENTROPIC, gridded(N), tau=0.1, steps=5, solver=solver)
        assert (a.slacks > 0).all()
        assert (b.slacks > 0).all()
        H = float((a.final.H(PROBES) - b.final.H(PROBES)).abs().max())
        apart.append((abs(a.energies[-1] - b.energies[-1]), H))
    assert max(apart[1]) < 2e-4
    assert np.divide(*apart).min() > 3


def test_a_density_on_a_plane_dissipates(generator):
    x = torch.randn(10, 1, generator=generator, dtype=torch.float64)
    risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    grid = jko.Grid([(-3.0, 3.0)] * 2, (24, 24))
    rho = jko.GridDensity.from_function(grid, lambda t: (-t.square().sum(1)).exp())
    start = jko.ChargedSpan(rho, lambda t: t[:, 0], risk.activation, x)
    energy = risk + 0.05 * jko.SquaredNorm() + 0.02 * jko.Entropy()
    for scheme in (jko.Implicit(), jko.Strang()):
        run = jko.flow(energy, start, tau=0.3, steps=3, scheme=scheme)
        assert (run.slacks > 0).all()
        assert float(run.final.rho.mass) == pytest.approx(1, abs=1e-12)
        assert run.energies[-1] == pytest.approx(float(energy(run.final)), rel=1e-14)


def test_cells_without_mass_do_not_count():
    """H0 is infinite at the wall, where rho is zero."""
    grid = jko.Grid((0.0, 2.0), 8)
    rho = jko.GridDensity(grid, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    span = jko.ChargedSpan(
        rho, lambda t: 1 / (t[:, 0] > 0.3).to(t), tanh_of_sum, DATA.x, 1.0, 0.1 * DATA.x[:, 0]
    )
    atoms = jko.ChargedSpan(rho.to_particles(), span.H0, span.h, span.x, 1.0, span.b)
    ours, theirs = (
        charge_step(s.rho, s, SplitTerms.of(G, s), 0.5).increment for s in (span, atoms)
    )
    assert torch.allclose(ours, theirs, rtol=1e-13)


# The metric


def test_the_metric_is_w2_of_rho_and_l2_of_the_new_rho():
    a, b = labelled(8).with_H(0.7, np.full(24, 0.1)), four_atoms()
    theta, old = a.support[:, 0].numpy(), b.support[:, 0].numpy()
    below = [np.concatenate([[0.0], np.cumsum(s.weights.numpy()[:-1]), [1.0]]) for s in (a, b)]
    u = np.unique(np.concatenate(below))
    middle, mass = 0.5 * (u[1:] + u[:-1]), np.diff(u)
    rows, cols = (np.searchsorted(c, middle) - 1 for c in below)
    squared = mass @ (theta[rows] - old[cols]) ** 2
    change = (a.H(a.support) - b.H(a.support)).numpy()
    squared += a.weights.numpy() @ change**2
    found = jko.distance(a, b)
    assert found.squared == pytest.approx(squared, rel=1e-12)
    assert found.value == float(found) == pytest.approx(squared**0.5, rel=1e-12)
    assert jko.distance(b, a).squared != pytest.approx(squared, rel=1e-3)
    with pytest.raises(TypeError, match=r"H must be known on all of Theta"):
        jko.metrics.SplitWasserstein().distance(a, a.to_particles())


def four_atoms():
    points = np.array([-0.4, 0.1, 0.5, 2.0])[:, None]
    return span_of(jko.Particles(points, [0.1, 0.4, 0.3, 0.2]))


@pytest.mark.parametrize("start", [lambda: labelled(24), lambda: meshed(30)])
def test_the_cost_of_a_step_is_that_of_the_metric(start):
    old = start()
    result = jko.step(G, old, tau=0.2)
    metric = jko.metrics.SplitWasserstein()
    assert float(metric.cost(result.state, old)) == pytest.approx(result.cost, rel=1e-12)
    assert metric.distance(result.state, old).squared == pytest.approx(result.cost, rel=1e-9)


# Flows


@pytest.mark.parametrize(
    ("start", "energy"),
    [(lambda: labelled(24), G), (lambda: meshed(30), ENTROPIC), (lambda: gridded(30), ENTROPIC)],
    ids=["particles", "mesh", "grid"],
)
@pytest.mark.parametrize("scheme", [jko.Implicit(), jko.Strang()])
def test_a_resumed_flow_has_the_bits_of_the_whole(start, energy, scheme, tmp_path):
    first = start()
    whole = jko.flow(energy, first, tau=0.2, steps=6, scheme=scheme)
    path = tmp_path / "run.npz"
    jko.flow(energy, first, tau=0.2, steps=3, scheme=scheme, checkpoint=path)
    run = jko.flow(energy, jko.Trajectory.load(path, like=first), tau=0.2, steps=6, scheme=scheme)
    assert np.array_equal(run.energies, whole.energies)
    assert torch.equal(run.final.b, whole.final.b)
    assert torch.equal(run.final.support, whole.final.support)
    assert torch.equal(run.final.weights, whole.final.weights)


def test_the_memory_saves_work_and_no_evaluation_of_the_old_charge():
    start = labelled(24)
    run = jko.flow(G, start, tau=0.2, steps=4, solver=jko.steps.Alternating(jko.LBFGS(tol=1e-10)))
    cold = jko.steps.Alternating(jko.LBFGS(tol=1e-10))
    state = start
    spent = 0
    for _ in range(4):
        result = jko.step(G, state, tau=0.2, solver=cold)
        state, spent = result.state, spent + result.evaluations
    assert run.columns["evaluations"].sum() < spent
    assert torch.allclose(run.final.support, state.support, atol=1e-9)
    assert not set(run.memory) & {"value", "variation", "gradient"}


def test_strang_takes_a_plain_step_where_the_doubled_one_folds_the_mesh():
    """Towards a well so steep that half a step brings the mesh more than half the way."""
    steep = 400.0 * jko.energies.OnTheta(jko.SquaredNorm()) + RISK
    result = jko.Strang().advance(steep, meshed(20), tau=0.1)
    plain = jko.step(steep, meshed(20), tau=0.1)
    assert result.figures["fallback"] == 1
    assert torch.equal(result.state.support, plain.state.support)
    assert result.evaluations > plain.evaluations
    assert result.slack == plain.slack


def test_a_step_with_numbers_that_are_not_finite_says_so():
    cliff = G + jko.energies.OnTheta(jko.Potential(lambda t: (t[:, 0] - 10).sqrt()))
    for scheme in (jko.Implicit(), jko.Strang()):
        result = scheme.advance(cliff, labelled(8), tau=0.1)
        assert result.status is jko.Status.NOT_FINITE
        assert "finite" in result.status.value


# What is refused


OTHER = jko.Risk(DATA, activation=jko.GaussianBump())
SHIFTED = jko.Risk(jko.Data(X[:, None] + 1, F, Q), activation=tanh_of_sum)
GENERAL = jko.Risk(DATA, features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] + x.T))


@pytest.mark.parametrize(
    ("energy", "error", "match"),
    [
        (jko.Potential(lambda xi: xi[:, 0] ** 4), TypeError, r"quadratic in H.*OnTheta.*separated"),
        (jko.energies.PowerNorm(3), TypeError, r"PowerNorm of \(H, theta\)"),
        (jko.Interaction(lambda z: z.square().sum(-1)), TypeError, r"Interaction"),
        (GENERAL, TypeError, r"general features.*activation=h"),
        (OTHER, ValueError, r"GaussianBump.*jko\.ChargedSpan\(rho, H0, risk\.activation"),
        (SHIFTED, ValueError, r"data of the Risk.*differ"),
        (-1.0 * RISK, ValueError, r"Risk has the coefficient -1"),
        (-0.1 * jko.SquaredNorm(), ValueError, r"SquaredNorm has the coefficient -0\.1"),
        (-0.1 * jko.Entropy(), ValueError, r"Entropy has the coefficient"),
    ],
)
def test_other_energies_are_refused_with_a_remedy(energy, error, match):
    with pytest.raises(error, match=match):
        jko.step(energy + 0.1 * jko.SquaredNorm(), meshed(8), tau=0.1)


def test_other_states_solvers_and_metrics_are_refused():
    particles, span = jko.Particles([[0.0, 1.0]]), labelled(8)
    with pytest.raises(TypeError, match=r"Alternating must be ChargedSpan.*H0, h, x"):
        jko.step(jko.SquaredNorm(), particles, tau=0.1, solver=jko.steps.Alternating())
    with pytest.raises(TypeError, match=r"Strang must be ChargedSpan.*SDIRK2"):
        jko.flow(jko.SquaredNorm(), particles, tau=0.1, steps=1, scheme=jko.Strang())
    with pytest.raises(TypeError, match=r"solver of Strang must be Alternating"):
        jko.flow(G, span, tau=0.1, steps=1, scheme=jko.Strang(), solver=jko.LBFGS())
    with pytest.raises(TypeError, match=r"metric must be SplitWasserstein"):
        jko.step(G, span, tau=0.1, metric=jko.Wasserstein())
    with pytest.raises(TypeError, match=r"must have a method solve"):
        jko.steps.Alternating(3)
    with pytest.raises(TypeError, match=r"atoms have no density"):
        jko.step(ENTROPIC, span, tau=0.1)
