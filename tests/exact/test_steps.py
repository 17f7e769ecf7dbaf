"""One JKO step equals its closed form to 1e-10, and the closed forms are right.

Every problem of ``problems.STEPS`` goes through ``jko.step``.  A residual r in L2(mu) of a step whose objective is
c-convex leaves an error of at most r / c; the problems have c >= 1 and masses >= 1e-3, and the solvers stop at 1e-13.
"""

import numpy as np
import pytest
import torch
from problems import S2, STEPS, TARGET, linear_risk, points, split
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import jko
from jko import exact

TOLERANCE = 1e-10
SOLVERS = {"LBFGS": jko.LBFGS(tol=1e-13), "BlockNewton": jko.BlockNewton(tol=1e-13)}


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("problem", STEPS, ids=str)
def test_a_step_is_its_closed_form(problem, solver):
    result = jko.step(problem.energy, problem.start, tau=problem.tau, solver=solver)
    assert type(result.state) is type(problem.start)
    assert np.abs(points(result.state) - problem.next).max() < TOLERANCE
    assert result.slack >= -1e-12 * abs(float(problem.energy(problem.start)))


def test_the_linear_step_does_not_depend_on_the_number_of_atoms():
    mu = jko.Particles(np.random.default_rng(0).standard_normal((3, 2)), [0.2, 0.3, 0.5])
    halves = jko.Particles(mu.points.repeat(4, 1), mu.weights.repeat(4) / 4)
    few, many = (
        jko.step(linear_risk(), s, tau=0.4, solver=SOLVERS["LBFGS"]).state.points
        for s in (mu, halves)
    )
    assert (many - few.repeat(4, 1)).abs().max() < TOLERANCE


def test_a_pair_that_meets_itself_on_the_wall_stops_being_a_function():
    V, start = (
        jko.Potential(lambda z: -z[:, 1]),
        jko.ChargedParticles([[0.8], [0.9]], [1.0, 2.0], domain=jko.Box([0], [1])),
    )
    with pytest.raises(jko.StepFailed, match="NOT_A_GRAPH"):
        jko.step(V, start, tau=0.5)
    assert jko.step(V, start.lift(), tau=0.5).state.points[:, 1].tolist() == [1.0, 1.0]


# The unequal-weight example: mass must split


@pytest.mark.parametrize("solver", [None, jko.Plans()], ids=["default", "Plans"])
def test_a_step_splits_the_heavy_atom_or_says_how_much_is_missing(solver):
    problem = split()
    result = jko.step(problem.energy, problem.start, tau=problem.tau, solver=solver)
    bound = result.objective - result.certificate().value
    assert bound == pytest.approx(problem.free, abs=1e-10)
    if (
        solver is None
    ):  # a map of the two atoms: stuck in a local minimum, and the certificate says so
        assert result.objective > 16
    else:
        assert result.objective == pytest.approx(problem.free, abs=1e-10)


def lowest(objective, starts) -> float:
    options = {"xatol": 1e-10, "fatol": 1e-15}
    return min(
        minimize(objective, np.array(s), method="Nelder-Mead", options=options).fun for s in starts
    )


@pytest.mark.parametrize(
    ("value", "atoms", "plan"),
    [
        ("identity", [0, 1, 1], np.asarray),
        ("weights", [0, 1, 1], np.sort),
        ("thirds", [0, 1, 2], np.sort),
    ],
)
def test_the_values_of_the_splitting_example_are_minima(value, atoms, plan):
    def objective(
        x,
    ):  # three thirds, tied together in two atoms or not; sorted: the optimal plan on a line
        thirds = x[atoms]
        energy = 400 * np.mean(thirds**2 * (1 - thirds) ** 2) + 2000 * (thirds.mean() - 1 / 3) ** 2
        return energy + np.mean((plan(thirds) - [0, 1, 1]) ** 2) / 4

    best = lowest(objective, [[0, 1, 1], [1, 0, 0], [0.5, 0.5, 0.5], [0, 0, 1]])
    assert best == pytest.approx(getattr(split(), value), abs=1e-5 if value == "identity" else 1e-8)


def test_the_splitting_example_is_its_formula():
    x = torch.tensor([[0.3], [0.6]], dtype=torch.float64)
    expected = 400 * (0.21**2 + 2 * 0.24**2) / 3 + 2000 * (0.5 - 1 / 3) ** 2
    assert float(split().energy(split().start.moved(x))) == pytest.approx(expected, rel=1e-13)


# Steps that should leave a saddle or split an atom: the certificate knows by how much they do not


def test_the_certificate_finds_what_a_step_from_a_saddle_misses():
    result = jko.step(linear_risk(), jko.Particles([[0.0, 0.0]]), tau=2.0)
    escape = exact.linear_escape(s2=S2, target=TARGET, tau=2.0)
    assert result.objective == pytest.approx(escape.stay, abs=1e-14)
    assert result.certificate().value == pytest.approx(0.30625, abs=1e-8)
    assert escape.stay - escape.value == pytest.approx(0.30625, abs=1e-14)


@pytest.mark.parametrize(("start", "value", "gap"), [(0.0, 0.5, 0.28125), (1e-10, 15 / 32, 0.25)])
def test_the_certificate_finds_what_an_atom_misses_that_should_split(start, value, gap):
    # at 0 the gradient vanishes and the atom stays, (1 - 0)^2 / 2; a hair beside it, it finds sqrt(s) = 1/2
    data = jko.Data([[0.0], [1.0]], [1.0, 0.0], [1.0, 1.0])
    moments = jko.Risk(data, features=lambda xi, x: torch.cat([xi**2, xi], dim=1))
    result = jko.step(moments, jko.Particles([[start]]), tau=2.0, solver=SOLVERS["LBFGS"])
    assert result.objective == pytest.approx(value, abs=1e-9)
    assert result.certificate().value == pytest.approx(gap, abs=1e-8)


# Golden numbers, each from the formula beside it


def test_quadratic_steps_converge_at_the_known_rate():
    # errors of K steps to T = 1 from x = 3 with a = 2, c = 1: |2 (1 + 2/K)^-K - 2 e^-2|
    for K, error in ((10, 0.0523), (20, 0.0266), (40, 0.0134)):
        x = 3.0
        for _ in range(K):
            x = exact.quadratic_step(x, a=2.0, c=1.0, tau=1 / K)
        assert abs(x - exact.quadratic_flow(3.0, a=2.0, c=1.0, t=1.0)) == pytest.approx(
            error, abs=5e-5
        )


def test_balanced_linear_steps_are_golden():
    # the root of next (1 + tau s2 (next - target))^2 = now, three times from .2
    now = 0.2
    for golden in (0.375244584895, 0.607647031193, 0.852043681933):
        after = exact.linear_balanced_step(now, s2=0.8, target=1.5, tau=0.3)
        assert after == pytest.approx(golden, abs=1e-12)
        assert after * (1 + 0.3 * 0.8 * (after - 1.5)) ** 2 == pytest.approx(now, abs=1e-15)
        now = after


def test_one_neuron_is_golden():
    assert float(exact.neuron_step(0.5, z=2.0, tau=0.4)) == pytest.approx(1.3 / 1.4, abs=1e-15)
    assert round(float(exact.neuron_step(0.5, z=2.0, tau=0.4)), 6) == 0.928571


def test_leaving_a_saddle_and_splitting_are_golden():
    # 7/32 and 15/32; s2 (A - a)^2 / 2 + A / tau with A = 1.5 - 1/1.6
    assert exact.splitting_values(2.0) == (7 / 32, 15 / 32)
    escape = exact.linear_escape(s2=0.8, target=1.5, tau=2.0)
    assert escape == pytest.approx((0.875, 0.59375, 0.9), abs=1e-15)


# The closed forms against brute force that shares nothing with them


def test_linear_flow_solves_its_differential_equation():
    xi = np.random.default_rng(1).standard_normal((4, 2))

    def velocity(t, flat):
        w, theta = flat.reshape(4, 2).T
        q = S2 * ((w * theta).mean() - TARGET)
        return -np.stack([q * theta, q * w], axis=1).ravel()

    end = (
        solve_ivp(velocity, (0, 0.7), xi.ravel(), "DOP853", rtol=1e-12, atol=1e-12)
        .y[:, -1]
        .reshape(4, 2)
    )
    assert (
        np.abs(xi @ exact.linear_flow(xi.T @ xi / 4, s2=S2, target=TARGET, t=0.7) - end).max()
        < 1e-10
    )


def test_linear_flow_conserves_the_difference_of_squares():
    Z = np.array([[1.0, 0.3], [0.3, 2.0]])
    P = exact.linear_flow(Z, s2=S2, target=TARGET, t=0.7)
    after = P @ Z @ P
    assert np.trace(after) ** 2 - 4 * after[0, 1] ** 2 == pytest.approx(9 - 0.36, abs=1e-12)


def test_linear_flow_of_a_balanced_measure_is_logistic():
    P = exact.linear_flow(np.full((2, 2), 0.2), s2=S2, target=TARGET, t=1.3)
    A = exact.linear_balanced_flow(0.2, s2=S2, target=TARGET, t=1.3)
    assert P @ np.full((2, 2), 0.2) @ P == pytest.approx(np.full((2, 2), A), abs=1e-14)


def test_linear_step_is_where_no_linear_map_does_better():
    Z, tau = np.array([[1.0, 0.3], [0.3, 2.0]]), 0.4

    def value(flat):
        P = np.eye(2) + flat.reshape(2, 2)
        return S2 * ((P @ Z @ P.T)[0, 1] - TARGET) ** 2 / 2 + np.trace(
            (P - np.eye(2)) @ Z @ (P - np.eye(2)).T
        ) / (2 * tau)

    best = minimize(value, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    P = exact.linear_step_map(Z, s2=S2, target=TARGET, tau=tau)
    assert value((P - np.eye(2)).ravel()) <= best.fun + 1e-13
    assert (
        np.abs(np.eye(2) + best.x.reshape(2, 2) - P).max() < 1e-6
    )  # BFGS with differences: half of the digits


def test_linear_step_refuses_the_saddle_it_cannot_describe():
    with pytest.raises(ValueError, match="linear_escape"):
        exact.linear_step(np.zeros((2, 2)), s2=0.8, target=1.5, tau=2.0)


@pytest.mark.parametrize("tau", [0.5, 0.8, 2.0, 10.0])
def test_splitting_values_are_minima(tau):
    s = np.linspace(0, 1.5, 150_001)
    single = ((s - 1) ** 2 + s) / 2 + s / (2 * tau)
    free = (s - 1) ** 2 / 2 + s / (2 * tau)
    # a parabola of curvature 1 on a grid of spacing 1e-5: within (1e-5)^2 / 8 of its minimum
    assert exact.splitting_values(tau) == pytest.approx((free.min(), single.min()), abs=2e-11)


# D of Remark 3.4


def test_distance_of_gaussians_is_the_cost_of_a_linear_optimal_map():
    # a positive definite map of a measure is optimal, so its cost is D^2 between the two graphs; d = 2
    rng = np.random.default_rng(2)
    theta = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 2)) + [1.0, -2.0]
    graph = np.column_stack([theta, theta @ [0.5, -1.0] + 0.7])
    root = rng.standard_normal((3, 3))
    image = graph @ (root @ root.T) + [0.1, 0.2, 0.3]

    def moments(g):
        m, S = g[:, :2].mean(0), np.cov(g[:, :2].T, bias=True)
        a = np.linalg.solve(S, ((g[:, :2] - m) * (g[:, 2:] - g[:, 2].mean())).mean(0))
        return m, S, a, g[:, 2].mean() - a @ m

    squared = exact.squared_distance_gaussians(*moments(graph), *moments(image))
    assert squared == pytest.approx(((graph - image) ** 2).sum(1).mean(), rel=1e-12)


def test_distance_of_gaussians_is_golden():
    # d = 1: |M1 - M2|^2 + s1^2 (1 + a1^2) + s2^2 (1 + a2^2) - 2 s1 s2 |1 + a1 a2|
    squared = exact.squared_distance_gaussians([0], [[1]], [0.5], 0, [1], [[4]], [1], 0.3)
    assert squared == pytest.approx(5.94, abs=1e-12)
    for a in (2.0, 0.5):  # a -> -a: 4 s^2 min(1, a^2)
        squared = exact.squared_distance_gaussians([0], [[1]], [a], 0, [0], [[1]], [-a], 0)
        assert squared == pytest.approx(4 * min(1, a * a), abs=1e-12)


def test_distance_of_diracs_and_translations_and_swaps_is_their_closed_form():
    rng = np.random.default_rng(3)
    theta, H = rng.standard_normal((30, 2)), rng.standard_normal(30)
    cases = [
        (
            ([[1.0, 2.0]], [3.0]),
            ([[0.0, 2.5]], [-1.0]),
            exact.squared_distance_diracs([1, 2], 3, [0, 2.5], -1),
        ),
        (
            (theta, H),
            (theta + np.array([1.0, -2.0]), H + 0.5),
            exact.squared_distance_translation([1, -2], 0.5),
        ),
        ((theta, H), (theta, H + 0.5), exact.squared_distance_translation([0, 0], 0.5)),
        (
            ([[1.0], [-1.0]], [2.0, -2.0]),
            ([[1.0], [-1.0]], [-2.0, 2.0]),
            exact.squared_distance_swap(1, 2),
        ),
        (
            ([[1.0], [-1.0]], [0.3, -0.3]),
            ([[1.0], [-1.0]], [-0.3, 0.3]),
            exact.squared_distance_swap(1, 0.3),
        ),
    ]
    for a, b, squared in cases:
        D = jko.distance(jko.ChargedParticles(*a), jko.ChargedParticles(*b))
        assert float(D.squared) == pytest.approx(squared, rel=1e-12)
