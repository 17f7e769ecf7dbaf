"""On the line a step in the edges of a mesh is the exact JKO step, up to second order in the width of its cells."""

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize
from scipy.special import ndtr

import jko
from jko import exact
from jko.steps.line import Quantile


def mesh_of(mass, lower, upper, N, domain=None):
    """Cells of equal width with the masses of a distribution function."""
    edges = np.linspace(lower, upper, N + 1)
    masses = np.diff(mass(edges))
    return jko.LineMesh(edges, masses / masses.sum(), domain)


def parabola(N, R):
    return mesh_of(lambda x: exact.barenblatt_mass(x, R=R), -R, R, N)


def normal(N, mean=0.0, deviation=1.0, reach=6.0):
    return mesh_of(
        lambda x: ndtr((x - mean) / deviation),
        mean - reach * deviation,
        mean + reach * deviation,
        N,
    )


def uniform(N, lower, upper, domain=None):
    return jko.LineMesh(np.linspace(lower, upper, N + 1), np.full(N, 1 / N), domain)


def mass_error(mesh, mass):
    """sum over cells of |the mass there - the mass that should be there|, which is below the L1 error."""
    return np.abs(np.diff(mass(mesh.edges.numpy())) - mesh.masses.numpy()).sum()


def gram(mesh):
    """The matrix of ``W2^2`` in the displacements of the edges."""
    m = mesh.masses.numpy()
    ends = np.append(m, 0) + np.append(0, m)
    return np.diag(ends / 3) + np.diag(m / 6, 1) + np.diag(m / 6, -1)


def gradient(energy, mesh, base, tau):
    """dJ/dX by torch, from the energy's value alone."""
    X = mesh.edges.clone().requires_grad_()
    energy(mesh.moved(X)).backward()
    return X.grad.numpy() + gram(base) @ (mesh.edges - base.edges).numpy() / tau


# Closed forms


def test_porous_medium_steps_follow_the_recursion_of_the_parabola():
    tp, R = 2.0, float(exact.barenblatt_flow(0.0, m=2, d=1, c=2.0, t=2e-4))
    errors = []
    radius = R
    for _ in range(10):
        radius = exact.barenblatt_step(radius, m=2, d=1, c=tp, tau=1e-4)
    for N in (250, 500, 1000):
        run = jko.flow(tp * jko.PorousMedium(2), parabola(N, R), tau=1e-4, steps=10)
        errors.append(mass_error(run.final, lambda x: exact.barenblatt_mass(x, R=radius)))
    assert errors[-1] < 5e-6
    assert np.abs(np.log2(np.divide(errors[:-1], errors[1:])) - 2).max() < 0.1


@pytest.mark.parametrize(("a", "beta"), [(1.5, 0.6), (0.0, 0.6)])
def test_normal_laws_follow_the_recursion_of_the_deviation(a, beta):
    """Ornstein-Uhlenbeck and heat: three steps against the closed form, at second order."""
    law, errors = exact.NormalLaw(np.array([0.3]), np.array([[0.25]])), []
    for _ in range(3):
        law = exact.gaussian_step(*law, A=a, beta=beta, tau=0.1)
    energy = a * jko.SquaredNorm() + beta * jko.Entropy()
    for N in (100, 200, 400):
        mu = jko.flow(energy, normal(N, 0.3, 0.5, reach=8.0), tau=0.1, steps=3).final
        errors.append(abs(float(mu.covariance()) - law.covariance[0, 0]))
        assert float(mu.mean()) == pytest.approx(law.mean[0], abs=1e-9)
    assert errors[-1] < 1e-4
    assert np.abs(np.log2(np.divide(errors[:-1], errors[1:])) - 2).max() < 0.1


@pytest.mark.parametrize("tau", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("wall", [0.7, 2.0, 50.0])
def test_one_cell_spreads_until_it_meets_both_walls(tau, wall):
    """``d^2 / (6 tau) - log 2 (r + d)`` is least at ``r + d = (r + sqrt(r^2 + 12 tau)) / 2``."""
    start = uniform(1, -0.5, 0.5, jko.Box(-wall, wall))
    result = jko.step(jko.Entropy(), start, tau=tau)
    free = (0.5 + np.sqrt(0.25 + 12 * tau)) / 2
    assert result.state.edges.numpy() == pytest.approx(
        [-min(free, wall), min(free, wall)], rel=1e-9
    )
    assert result.residual < 1e-7


def test_the_law_at_rest_against_a_wall_stays():
    """e^{x / beta} on [0, 1] under the drift V = -x: a step moves it by the error of the mesh alone."""
    beta, moves = 0.2, []
    energy = jko.Potential(lambda z: -z[:, 0]) + beta * jko.Entropy()
    for N in (50, 100, 200):
        rest = mesh_of(lambda x: exact.wall_rest_mass(x, beta=beta), 0.0, 1.0, N, jko.Box(0.0, 1.0))
        moves.append(jko.step(energy, rest, tau=0.5).cost ** 0.5)
    assert moves[-1] < 1e-5
    assert np.abs(np.log2(np.divide(moves[:-1], moves[1:])) - 2).max() < 0.1


def test_a_density_inside_the_box_is_driven_to_rest_at_the_wall():
    beta, mass = 0.2, lambda x: exact.wall_rest_mass(x, beta=0.2)
    energy = jko.Potential(lambda z: -z[:, 0]) + beta * jko.Entropy()
    run = jko.flow(energy, uniform(400, 0.3, 0.6, jko.Box(0.0, 1.0)), tau=0.5, steps=40)
    assert run.final.edges[[0, -1]].tolist() == [0.0, 1.0]
    assert mass_error(run.final, mass) < 1e-4
    assert (np.diff(run.energies) <= 1e-14).all()


def test_walls_that_nothing_presses_on_do_not_matter():
    energy = 10 * jko.SquaredNorm() + 0.1 * jko.PorousMedium(2)
    ends = [
        jko.step(energy, uniform(200, -1.0, 1.0, domain), tau=0.5).state.edges
        for domain in (None, jko.Box(-1.0, 1.0))
    ]
    assert torch.equal(*ends)
    assert float(ends[0].abs().max()) < 0.5


# Against programs that know nothing of it

FEATURES = jko.Risk(
    jko.Data([[0.5], [1.0], [-2.0]], [0.3, -0.4, 0.9]), features=lambda xi, x: torch.tanh(xi @ x.T)
)
ENERGIES = {
    "entropy": 0.3 * jko.Entropy() + 2 * jko.SquaredNorm(),
    "both": 0.3 * jko.Entropy() + 0.7 * jko.PorousMedium(1.5),
    "cubic": jko.PorousMedium(3) + jko.Potential(lambda z: (z[:, 0] - 0.5) ** 4 + z[:, 0].sin()),
    "risk": 4 * FEATURES + 0.1 * jko.Entropy(),
    "risk alone": FEATURES + 0.1 * jko.SquaredNorm(),
    "interaction": jko.Interaction(lambda z: (-(z * z).sum(-1)).exp()) + 0.2 * jko.PorousMedium(2),
}


@pytest.mark.parametrize("domain", [None, jko.Box(-0.8, 0.9)], ids=["line", "box"])
@pytest.mark.parametrize("energy", ENERGIES.values(), ids=ENERGIES)
def test_a_general_minimiser_finds_the_same_edges(energy, domain):
    """scipy's SLSQP on the energy's own value, the cost as an integral over quantiles, and linear constraints."""
    rng = np.random.default_rng(3)
    m = rng.uniform(0.5, 1.5, 10)
    base = jko.LineMesh(
        np.linspace(-0.7, 0.85, 11) + 0.03 * np.sin(np.arange(11)), m / m.sum(), domain
    )
    tau, Q = 0.3, gram(base)

    def J(x):
        X = torch.from_numpy(x).requires_grad_()
        value = energy(base.moved(X))
        value.backward()
        d = x - base.edges.numpy()
        return float(value.detach()) + d @ Q @ d / (2 * tau), X.grad.numpy() + Q @ d / tau

    wide = LinearConstraint(np.diff(np.eye(11), axis=0), lb=1e-6)
    box = None if domain is None else [(-0.8, 0.9), *[(None, None)] * 9, (-0.8, 0.9)]
    found = minimize(
        J,
        base.edges.numpy(),
        jac=True,
        method="SLSQP",
        bounds=box,
        constraints=wide,
        options={"ftol": 1e-15, "maxiter": 500},
    )
    result = jko.step(energy, base, tau=tau, solver=Quantile())
    assert result.state.edges.numpy() == pytest.approx(found.x, abs=2e-6)
    assert result.objective <= found.fun + 1e-12
    assert result.energy == pytest.approx(float(energy(result.state)), rel=1e-13)


def test_the_cost_is_the_squared_distance_of_the_densities():
    """int_0^1 |Q_1(u) - Q_0(u)|^2 du with quantile functions by interpolation, on a fine grid of u."""
    start = normal(40, reach=3.0)
    result = jko.step(jko.Entropy(), start, tau=0.4)
    levels = np.append(0, start.masses.numpy().cumsum())
    u = (np.arange(400_000) + 0.5) / 400_000
    Q = [np.interp(u, levels, mesh.edges.numpy()) for mesh in (start, result.state)]
    assert result.cost == pytest.approx(np.square(Q[1] - Q[0]).mean(), rel=1e-8)
    assert result.coupling.optimal


def test_a_risk_moves_the_mesh_as_it_moves_many_atoms():
    """Newton on the atoms at the Gauss points, which are free to move on their own: second order in the cells."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 1, generator=generator, dtype=torch.float64)
    energy = jko.Risk(jko.Data(x, x[:, 0].sin()), features=lambda xi, x: torch.tanh(xi @ x.T))
    energy, errors = 3 * energy + 0.1 * jko.SquaredNorm(), []
    for N in (20, 40, 80):
        start = uniform(N, -1.0, 1.5)
        mesh = jko.step(energy, start, tau=0.5).state
        atoms = jko.step(energy, start.atoms, tau=0.5, solver=jko.BlockNewton(tol=1e-12)).state
        gap = mesh.atoms.points - atoms.points
        errors.append(float(start.atoms.inner(gap, gap)) ** 0.5)
    assert errors[-1] < 1e-4
    assert np.log2(np.divide(errors[:-1], errors[1:])).min() > 1.8


# What a result says


@pytest.mark.parametrize("energy", ENERGIES.values(), ids=ENERGIES)
def test_the_residual_is_the_norm_of_the_euler_lagrange_equation(energy):
    base = normal(30, reach=3.0)
    for iterations in (1, 50):
        result = jko.step(
            energy,
            base,
            tau=0.3,
            solver=Quantile(max_iterations=iterations, tol=1e-11),
            throw=False,
        )
        g = gradient(energy, result.state, base, 0.3)
        norm = np.sqrt(g @ np.linalg.solve(gram(base), g))
        assert result.residual == pytest.approx(norm, rel=1e-6, abs=1e-12)
    assert norm < 1e-10


def test_the_step_lowers_the_objective():
    base = normal(100, reach=4.0)
    for energy in ENERGIES.values():
        result = jko.step(energy, base, tau=0.2)
        assert result.status is jko.Status.CONVERGED
        assert result.slack > 0
        expected = float(energy(base) - energy(result.state)) - result.cost / 0.4
        assert result.slack == pytest.approx(expected, rel=1e-10)


def test_the_certificate_bounds_the_distance_to_the_minimum():
    energy, base = jko.PorousMedium(3) + 4 * jko.SquaredNorm(), normal(50, 1.0, reach=3.0)
    best = jko.step(energy, base, tau=0.5, solver=Quantile(tol=1e-13)).objective
    for iterations in (1, 2, 3):
        rough = Quantile(max_iterations=iterations)
        result = jko.step(energy, base, tau=0.5, solver=rough, throw=False)
        gap = result.certificate()
        assert result.objective - best <= gap.value * (1 + 1e-9) + 1e-14
        assert gap.rigorous
    assert not jko.step(ENERGIES["cubic"], base, tau=0.5).certificate().rigorous
    assert jko.step(ENERGIES["risk"], base, tau=0.5).certificate().value == np.inf


@pytest.mark.parametrize("internal", [jko.Entropy(), jko.PorousMedium(1.2), jko.PorousMedium(4)])
@pytest.mark.parametrize("tau", [1e-6, 1e-2, 1.0, 1e3])
def test_convex_steps_of_any_length_take_few_iterations(internal, tau):
    for energy in (internal, internal + 5 * jko.SquaredNorm()):
        result = jko.step(energy, normal(300, 0.5, 0.2, reach=4.0), tau=tau)
        assert result.status is jko.Status.CONVERGED
        assert result.iterations <= 12


@pytest.mark.parametrize("tau", [0.1, 10.0])
def test_mass_that_falls_off_a_hill_comes_to_a_stationary_point(tau):
    """V = 5 (x^2 - 1)^2 is not convex, and the middle of the mesh is torn apart."""
    energy = jko.Potential(lambda z: 5 * (z[:, 0] ** 2 - 1) ** 2) + 0.5 * jko.PorousMedium(2)
    base = normal(150, 0.3, 0.5, reach=4.0)
    result = jko.step(energy, base, tau=tau)
    g = gradient(energy, result.state, base, tau)
    assert result.status is jko.Status.CONVERGED
    assert np.sqrt(g @ np.linalg.solve(gram(base), g)) < 1e-6
    assert result.energy < 0.9 + 0.2 / tau


def test_the_last_velocity_saves_work_and_changes_nothing():
    energy, start = jko.Entropy() + jko.SquaredNorm(), normal(300, 1.0, 0.3)
    before = jko.flow(energy, start, tau=0.01, steps=5)
    cold = jko.step(energy, before.final, tau=0.01)
    warm = jko.step(energy, before.final, tau=0.01, memory=before.memory)
    assert warm.iterations < cold.iterations
    assert warm.slack == pytest.approx(cold.slack, rel=1e-9)
    gap = (warm.state.edges - cold.state.edges).numpy()
    assert np.sqrt(gap @ gram(start) @ gap) <= 2e-8 * cold.cost**0.5


def test_steps_converge_to_the_flow_at_first_order():
    R, S = (float(exact.barenblatt_flow(0.0, m=2, d=1, c=2.0, t=t)) for t in (2e-4, 1.2e-3))
    errors = []
    for steps in (16, 32, 64):
        run = jko.flow(2 * jko.PorousMedium(2), parabola(500, R), tau=1e-3 / steps, steps=steps)
        errors.append(mass_error(run.final, lambda x: exact.barenblatt_mass(x, R=S)))
    assert np.abs(np.log2(np.divide(errors[:-1], errors[1:])) - 1).max() < 0.1


# Refusals


def test_a_grid_density_is_sent_to_the_mesh():
    rho = jko.GridDensity.from_function(jko.Grid((0.0, 1.0), 10), lambda x: 1 + x[:, 0])
    with pytest.raises(TypeError, match=r"LineMesh\.from_density\(density\)"):
        jko.step(jko.Entropy(), rho, tau=0.1, solver=Quantile())


def test_other_states_and_negative_internal_energies_are_refused():
    with pytest.raises(TypeError, match="LineMesh, not Particles"):
        jko.step(jko.SquaredNorm(), jko.Particles([[0.0]]), tau=0.1, solver=Quantile())
    with pytest.raises(ValueError, match="its coefficient must be positive"):
        jko.step(-1 * jko.Entropy(), uniform(3, 0.0, 1.0), tau=0.1)
    with pytest.raises(ValueError, match="tol"):
        Quantile(tol=-1.0)


def test_a_step_that_is_none_says_so():
    nan = jko.Potential(lambda z: (z[:, 0] - 5).sqrt())
    assert jko.step(nan, uniform(3, 0, 1), tau=1.0, throw=False).status is jko.Status.NOT_FINITE
    energy = jko.Entropy() + 100 * jko.SquaredNorm()
    short = jko.step(energy, normal(50), tau=1.0, solver=Quantile(max_iterations=1), throw=False)
    assert short.status is jko.Status.MAX_ITERATIONS


# Directions


@pytest.mark.parametrize("tau", [20.0, 80.0])
@pytest.mark.parametrize("N", [40, 100])
def test_cells_that_newton_would_crush_do_not_stop_a_large_step(N, tau):
    """Without a pressure nothing holds the cells open but their order."""
    result = jko.step(FEATURES + 0.1 * jko.SquaredNorm(), uniform(N, -2.0, 1.5), tau=tau)
    assert result.status is jko.Status.CONVERGED
    assert result.iterations <= 20
    assert bool((result.state.edges.diff() > 0).all())


@pytest.mark.parametrize("c", [0.1, 2.0, 20.0])
def test_interactions_of_far_cells_take_few_iterations(c):
    energy = c * jko.Interaction(lambda z: (z * z).sum(-1)) + 0.05 * jko.Entropy()
    result = jko.step(energy, normal(60, reach=3.0), tau=0.5)
    assert result.status is jko.Status.CONVERGED
    assert result.iterations <= 6
