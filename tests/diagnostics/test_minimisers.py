"""Stationary states on a grid are the minimisers, and how far a density is from them is known.

Held against closed forms (Ornstein-Uhlenbeck, the wall, Barenblatt profiles, the network that stays normal), against
the identities (4.5) and (4.8), against a conic solver, and each against the duality gap.
"""

import math

import cvxpy as cp
import numpy as np
import pytest
import torch

import jko
from jko import exact
from jko.diagnostics import minimiser
from jko.duality.cells import Cells
from jko.energies import Mixture

NETWORK = {"s2": 0.8, "target": 1.5, "lam": 1.0, "beta": 0.3}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(M=50, n=32):
    """A risk with M data that no small network fits, weights on top, and a grid for (w, theta)."""
    x = torch.randn(M, 1, generator=generator(), dtype=torch.float64)
    weights = torch.rand(M, generator=generator(1), dtype=torch.float64) / M
    data = jko.Data(x, torch.sin(2 * x[:, 0]) + 0.3, weights)
    risk = jko.Risk(data, activation=lambda theta, x: torch.tanh(theta @ x.T))
    return risk, jko.Grid((-4.0, 4.0), (n, n))


def random_density(grid, seed=0):
    values = torch.rand(grid.shape, generator=generator(seed), dtype=torch.float64)
    return jko.GridDensity(grid, values / (values.sum() * grid.cell))


def linear_network():
    """Features theta x on data with ``int x^2 = s2``, f = target x."""
    x = np.array([-1.0, 0.5, 2.0])
    data = jko.Data(x[:, None], 1.5 * x, [0.3, 0.4, 0.1])
    return jko.Risk(data, activation=lambda theta, x: theta @ x.T)


BETAS = (3.0, 0.5, 0.1, 0.05, 0.01)
INTERNAL = [
    *(beta * jko.Entropy() for beta in BETAS),
    *(0.1 * jko.PorousMedium(m) for m in (1.5, 2.0, 3.0, 5.0)),
    0.01 * jko.PorousMedium(2),
    0.05 * jko.Entropy() + 0.1 * jko.PorousMedium(2) + 0.02 * jko.PorousMedium(4),
]


# Closed forms


def test_the_ornstein_uhlenbeck_state_is_the_gaussian():
    found = minimiser(1.5 * jko.SquaredNorm() + 0.6 * jko.Entropy(), jko.Grid((-6.0, 6.0), 200))
    assert float(found.state.covariance()) == pytest.approx(0.6 / 1.5, rel=1e-12)
    expected = exact.gaussian(found.state.support.numpy(), [0.0], [[0.4]])
    assert np.abs(found.state.values.numpy() - expected).max() < 1e-12
    value = exact.gaussian_energy([0.0], [[0.4]], A=1.5, beta=0.6)
    assert found.energy == pytest.approx(value, abs=1e-12)
    assert found.level == pytest.approx(0.6 * (1 - 0.5 * math.log(2 * math.pi * 0.4)), abs=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.05])
def test_at_the_wall_the_cells_have_the_masses_of_the_gibbs_density(beta):
    # e^{x/beta} has the same ratio between neighbouring centres and neighbouring cells: exact on every grid
    drift = jko.Potential(lambda x: -x[:, 0])
    for n in (10, 64):
        state = minimiser(drift + beta * jko.Entropy(), jko.Grid((0.0, 1.0), n)).state
        masses = np.diff(exact.wall_rest_mass(np.linspace(0, 1, n + 1), beta=beta))
        assert state.weights.numpy() == pytest.approx(masses, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize(
    ("m", "d"), [(1.5, 1), (2.0, 1), (3.0, 1), (1.5, 2), (2.0, 2), (3.0, 2), (2.0, 3)]
)
def test_the_porous_medium_state_is_barenblatt_to_the_order_of_the_grid(m, d):
    # sums over cells of (1 - |x|^2/R^2)_+^p, p = 1/(m - 1), are right to h^min(2, p + 1)
    R = exact.barenblatt_rest(m=m, d=d, c=0.5, a=1.0)
    moment = R**2 * exact.barenblatt_spread(m=m, d=d)
    value = float(exact.barenblatt_energy(R, m=m, d=d, c=0.5, a=1.0))
    for n in (12, 24) if d == 3 else (25, 50, 100):
        grid = jko.Grid((-1.5 * R, 1.5 * R), (n,) * d)
        h, order = grid.spacing[0], min(2, 1 + 1 / (m - 1))
        found = minimiser(jko.SquaredNorm() + 0.5 * jko.PorousMedium(m), grid)
        assert abs(float(found.state.covariance().trace()) - moment) < 0.3 * h**order
        assert abs(found.energy - value) < 0.01 * h**order
        density = exact.barenblatt(grid.centres.numpy(), R=R, m=m)
        difference = np.abs(found.state.values.numpy().ravel() - density).sum() * grid.cell
        assert difference < 1.5 * h**order
        outside = (grid.centres.norm(dim=1) > R + h).reshape(grid.shape)
        assert not found.state.values[outside].any()


def test_the_radius_of_the_parabola_is_found_between_its_cells():
    # the pressure l - V vanishes at the radius: l = R^2 / 2, to second order in the spacing
    R = exact.barenblatt_rest(m=2, d=1, c=0.5, a=1.0)
    energy, errors = jko.SquaredNorm() + 0.5 * jko.PorousMedium(2), []
    for n in (100, 1000, 10000):
        level = minimiser(energy, jko.Grid((-2.0, 2.0), n)).level
        errors.append(abs(math.sqrt(2 * level) - R))
    assert (np.array(errors) < 0.3 * (4 / np.array([100, 1000, 10000])) ** 2).all()


def test_the_linear_network_comes_to_its_gaussian_faster_than_any_order():
    # sums over a grid are spectrally accurate for Gaussians, in a box of 8 deviations
    rest = exact.network_rest(**NETWORK)
    energy = linear_network() + jko.SquaredNorm() + 0.3 * jko.Entropy()
    errors = []
    for n in (16, 20, 24, 32):
        found = minimiser(energy, jko.Grid((-7.0, 7.0), (n, n)))
        errors.append(np.abs(found.state.covariance().numpy() - rest.covariance).max())
    assert (np.divide(errors[:-1], errors[1:]) > 50).all()
    assert errors[-1] < 2e-12
    assert found.energy == pytest.approx(exact.network_energy(*rest, **NETWORK), abs=1e-11)
    plus, minus = np.linalg.eigvalsh(found.state.covariance().numpy())[::-1]
    assert (plus, minus) == pytest.approx((1.2636988028, 0.1702029489), abs=1e-10)


# What a minimiser is


@pytest.mark.parametrize("internal", INTERNAL, ids=str)
def test_the_state_is_the_density_of_its_own_potential(internal):
    risk, grid = network()
    energy = risk + 0.05 * jko.SquaredNorm() + internal
    found = minimiser(energy, grid)
    assert found.status is jko.Status.CONVERGED
    assert found.iterations <= 25
    assert abs(found.gap) <= 1e-14
    assert float(found.state.mass) == pytest.approx(1, abs=1e-13)
    # (4.9)-(4.10): dF/dmu is one number on the support and no lower elsewhere; no solver's number is used
    variation = (risk + 0.05 * jko.SquaredNorm()).variation(found.state)
    terms = Mixture(internal.terms)
    rho = found.state.values.reshape(-1)
    own = terms.density(found.level - variation)
    assert float((own - rho).abs().sum() * grid.cell) <= 1e-10
    excess, full = terms.slope(rho) + variation - found.level, rho > 1e-8 * rho.max()
    assert float(excess[full].abs().max()) < 1e-9
    assert bool((excess[(rho == 0) & excess.isfinite()] > -1e-9).all())
    assert found.g == pytest.approx(risk.residual(found.state), abs=1e-10)


def test_a_gibbs_state_is_the_gibbs_measure_of_its_own_potential():
    risk, grid = network()
    found = minimiser(risk + 0.05 * jko.SquaredNorm() + 0.1 * jko.Entropy(), grid)
    phi = (risk + 0.05 * jko.SquaredNorm()).variation(found.state).reshape(grid.shape)
    gibbs = torch.softmax(-phi.reshape(-1) / 0.1, 0).reshape(grid.shape) / grid.cell
    assert float((gibbs - found.state.values).abs().sum() * grid.cell) < 1e-12


@pytest.mark.parametrize("beta", BETAS)
def test_the_gap_is_the_distance_of_predictions_and_the_relative_entropy(beta):
    # (4.5)
    risk, grid = network()
    energy = risk + 0.05 * jko.SquaredNorm() + beta * jko.Entropy()
    best, mu = minimiser(energy, grid), random_density(grid)
    r = risk.predict(mu) - risk.predict(best.state)
    ratio = (mu.values.log() - best.state.values.log()).reshape(-1)
    expected = 0.5 * (risk.data.weights * r * r).sum() + beta * mu.integrate(ratio)
    assert float(energy(mu)) - best.energy == pytest.approx(float(expected), rel=1e-10)


def test_the_gap_of_the_porous_medium_has_a_third_term():
    # (4.8) as printed lacks int (dF/dmu(mu*) - l) dmu, which is there since the support is not full
    risk, grid = network()
    energy = risk + 0.05 * jko.SquaredNorm() + 0.1 * jko.PorousMedium(2)
    best, mu = minimiser(energy, grid), random_density(grid)
    r = risk.predict(mu) - risk.predict(best.state)
    square = ((mu.values - best.state.values) ** 2).sum() * grid.cell
    printed = float(0.5 * (risk.data.weights * r * r).sum() + 0.1 / 2 * square)
    third = float(mu.integrate(energy.variation(best.state))) - best.level
    gap = float(energy(mu)) - best.energy
    assert third > 0.1
    assert gap == pytest.approx(printed + third, rel=1e-10)


@pytest.mark.parametrize("internal", ["entropy", "porous"])
def test_a_conic_solver_finds_the_same_minimum(internal):
    risk, grid = network(M=10, n=6)
    c = 0.1
    m = cp.Variable(grid.N)
    V = 0.025 * (grid.centres**2).sum(-1).numpy()
    q = risk.data.weights.numpy()
    Phi = risk.features(grid.centres, risk.data.x).numpy()
    misfit = cp.sum_squares(cp.multiply(np.sqrt(q), Phi.T @ m - risk.data.f.numpy())) / 2
    if internal == "entropy":
        energy = c * jko.Entropy()
        inner = -c * cp.sum(cp.entr(m)) - c * math.log(grid.cell)
    else:
        energy = c * jko.PorousMedium(2)
        inner = c / (2 * grid.cell) * cp.sum_squares(m)
    problem = cp.Problem(cp.Minimize(misfit + V @ m + inner), [cp.sum(m) == 1, m >= 0])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    found = minimiser(risk + 0.05 * jko.SquaredNorm() + energy, grid)
    assert found.energy == pytest.approx(problem.value, abs=1e-8)
    assert found.state.weights.numpy() == pytest.approx(m.value, abs=1e-5)


def test_no_mass_enters_an_obstacle():
    risk, grid = network()
    energy = risk + 0.05 * jko.SquaredNorm() + 0.1 * jko.Entropy()
    hole = jko.Potential(lambda x: torch.where(x.norm(dim=1) < 1.5, math.inf, 0.0).double())
    found = minimiser(energy + hole, grid)
    inside = (grid.centres.norm(dim=1) < 1.5).reshape(grid.shape)
    assert not found.state.values[inside].any()
    assert bool((found.state.values[~inside] > 0).all())
    assert found.gap == pytest.approx(0, abs=1e-14)
    assert found.energy > minimiser(energy, grid).energy
    assert jko.optimality(energy + hole, found.state, max_iterations=0).value == pytest.approx(
        0, abs=1e-14
    )


def test_a_state_at_rest_is_its_own_best_guess():
    risk, grid = network()
    energy = risk + 0.05 * jko.SquaredNorm() + 0.1 * jko.PorousMedium(3)
    found = minimiser(energy, grid)
    again = minimiser(energy, found.state)
    assert again.iterations <= 1
    assert float((again.state.values - found.state.values).abs().max()) < 1e-10


def test_running_out_of_iterations_is_said_and_the_gap_holds():
    risk, grid = network()
    energy = risk + 0.05 * jko.SquaredNorm() + 0.01 * jko.Entropy()
    best = minimiser(energy, grid)
    early = minimiser(energy, grid, max_iterations=2)
    assert early.status is jko.Status.MAX_ITERATIONS
    assert early.iterations == 2
    assert early.gap >= early.energy - best.energy - 1e-14 > 0
    assert "MAX_ITERATIONS" in str(early)


def test_the_minimum_with_a_convex_interaction_is_that_of_a_conic_program():
    grid = jko.Grid((-3.0, 3.0), 48)
    repel = jko.Interaction(lambda z: (-(z**2).sum(-1)).exp(), convex=True)
    F = jko.SquaredNorm() + 2 * repel + 0.1 * jko.Entropy()
    found = minimiser(F, grid)
    assert found.status is jko.Status.CONVERGED
    assert found.gap < 1e-10
    # (4.9): the first variation is one number where there is mass
    spread = F.variation(found.state) - found.level
    assert float(spread.abs().max()) < 1e-6
    flat = jko.GridDensity.from_function(grid, lambda x: torch.ones(len(x), dtype=x.dtype))
    far = jko.step(F, flat, tau=1e5, solver=jko.Conic())
    assert -1e-8 <= far.energy - found.energy < 1e-4


def test_the_nearest_density_to_samples_has_a_little_entropy():
    grid = jko.Grid((-2.0, 2.0), 40)
    F = jko.Discrepancy([[-1.0], [0.5], [1.0]]) + 1e-3 * jko.Entropy()
    found = minimiser(F, grid)
    assert found.gap < 1e-10
    assert float(found.state.mean()) == pytest.approx(0.5 / 3, abs=5e-3)
    with pytest.raises(ValueError, match="not convex in the measure, whatever convex=True says"):
        minimiser(jko.Interaction(lambda z: z.square().sum(-1), convex=True) + jko.Entropy(), grid)


def test_what_has_no_stationary_density_is_refused():
    risk, grid = network(M=5, n=4)
    with pytest.raises(ValueError, match="no internal energy, so its minimiser is no density"):
        minimiser(risk + jko.SquaredNorm(), grid)
    with pytest.raises(ValueError, match=r"0.5 \* Interaction is not computed here"):
        minimiser(0.5 * jko.Interaction(lambda z: (z**2).sum(-1)) + jko.Entropy(), grid)
    with pytest.raises(ValueError, match=r"-1 \* Entropy is not computed here"):
        minimiser(
            jko.PorousMedium(2) - 1.0 * jko.Entropy()
            if False
            else jko.PorousMedium(2) + (-1.0) * jko.Entropy(),
            grid,
        )
    with pytest.raises(ValueError, match="everywhere"):
        minimiser(jko.Potential(lambda x: 0 * x[:, 0] + math.inf) + jko.Entropy(), grid)
    with pytest.raises(TypeError, match="atoms have no density"):
        minimiser(jko.Entropy(), jko.Particles([[0.0, 0.0]]))


# jko.optimality for densities


@pytest.mark.parametrize("internal", INTERNAL, ids=str)
def test_the_bound_of_a_density_is_its_distance_to_the_minimum(internal):
    risk, grid = network()
    energy, mu = risk + 0.05 * jko.SquaredNorm() + internal, random_density(grid)
    best = minimiser(energy, grid)
    distance = float(energy(mu)) - best.energy
    found = jko.optimality(energy, mu)
    assert found.rigorous
    assert found.value == pytest.approx(distance, rel=1e-9)
    assert found.lower_bound == pytest.approx(best.energy, abs=1e-12)
    assert found.reachable == pytest.approx(best.energy, abs=1e-9)
    for rounds in (0, 1, 3):
        early = jko.optimality(energy, mu, max_iterations=rounds)
        assert early.value >= distance - 1e-12
        assert early.lower_bound <= best.energy <= early.reachable + 1e-12


def test_at_the_residual_the_bound_is_the_energy_with_the_risk_linearised():
    # the risk enters by its first variation at mu alone; the internal energy is minimised with it, by a conic solver
    risk, grid = network(M=10, n=6)
    linear = risk + 0.05 * jko.SquaredNorm()
    energy, mu = linear + 0.1 * jko.PorousMedium(2), random_density(grid)
    m = cp.Variable(grid.N)
    objective = linear.variation(mu).numpy() @ m + 0.1 / (2 * grid.cell) * cp.sum_squares(m)
    problem = cp.Problem(cp.Minimize(objective), [cp.sum(m) == 1, m >= 0])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    at = float(mu.integrate(linear.variation(mu))) + 0.1 * float(jko.PorousMedium(2)(mu))
    found = jko.optimality(energy, mu, max_iterations=0)
    assert found.value == pytest.approx(at - problem.value, abs=1e-8)
    assert found.g == pytest.approx(risk.residual(mu), abs=1e-13)


def test_without_internal_energy_the_bound_closes_on_the_minimum_over_masses():
    risk, grid = network(M=10, n=6)
    energy, mu = risk + 0.05 * jko.SquaredNorm(), random_density(grid)
    m = cp.Variable(grid.N)
    q = np.sqrt(risk.data.weights.numpy())
    Phi = risk.features(grid.centres, risk.data.x).numpy()
    misfit = cp.sum_squares(cp.multiply(q, Phi.T @ m - risk.data.f.numpy())) / 2
    V = 0.025 * (grid.centres**2).sum(-1).numpy()
    problem = cp.Problem(cp.Minimize(misfit + V @ m), [cp.sum(m) == 1, m >= 0])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    found = jko.optimality(energy, mu)
    assert found.rigorous
    assert found.lower_bound <= problem.value + 1e-9
    assert found.reachable >= problem.value - 1e-9
    assert found.lower_bound == pytest.approx(problem.value, abs=0.01 * found.value)
    start = jko.optimality(energy, mu, max_iterations=0)
    phi = energy.variation(mu)
    assert start.value == pytest.approx(float(mu.integrate(phi) - phi.min()), rel=1e-10)


def test_potential_alone_is_bounded_by_its_smallest_value():
    grid = jko.Grid((-1.0, 1.0), 5)
    found = jko.optimality(jko.SquaredNorm(), random_density(grid))
    assert found.lower_bound == pytest.approx(0, abs=1e-15)


def test_the_bound_of_a_mesh_is_over_the_densities_on_its_cells():
    x = torch.sinh(torch.linspace(-2, 2, 61, dtype=torch.float64))
    masses = torch.full((60,), 1 / 60, dtype=torch.float64)
    mesh = jko.LineMesh(x, masses)
    energy = jko.SquaredNorm() + 0.5 * jko.Entropy()
    found = jko.optimality(energy, mesh)
    # a Gibbs measure of the cells' mean potentials
    V = 0.25 * (mesh.support[::2, 0] ** 2 + mesh.support[1::2, 0] ** 2)
    value = -0.5 * math.log(float((mesh.volumes * torch.exp(-V / 0.5)).sum()))
    assert found.lower_bound == pytest.approx(value, abs=1e-12)
    assert found.value == pytest.approx(float(energy(mesh)) - value, abs=1e-12)


def test_other_convex_terms_enter_by_their_linearisation():
    class Square(jko.Energy):
        """(int x dmu)^2 / 2."""

        convex = True

        def __call__(self, state):
            mu = state.atoms
            return mu.integrate(mu.points[:, 0]) ** 2 / 2

        def variation(self, state, at=None):
            mu = state.atoms
            at = mu.points if at is None else at
            return mu.integrate(mu.points[:, 0]) * at[:, 0]

    grid = jko.Grid((-3.0, 3.0), 60)
    tilt = jko.Potential(lambda x: 0.5 * (x[:, 0] - 0.4) ** 2)
    energy = tilt + Square() + 0.3 * jko.Entropy()
    # by a risk with the one feature x and target 0, the same energy
    data = jko.Data([[1.0]], [0.0], [1.0])
    same = tilt + jko.Risk(data, features=lambda xi, x: xi @ x.T) + 0.3 * jko.Entropy()
    best = minimiser(same, grid)
    mu = random_density(grid)
    distance = float(energy(mu)) - best.energy
    found = jko.optimality(energy, mu)
    assert found.rigorous
    assert found.value >= distance > 0
    assert jko.optimality(energy, best.state).value == pytest.approx(0, abs=1e-12)


def test_nothing_is_claimed_for_an_energy_that_is_not_convex():
    found = jko.optimality(
        jko.PorousMedium(2) + (-1.0) * jko.Entropy(), random_density(jko.Grid((0, 1), 5))
    )
    assert math.isinf(found.value)
    assert not found.rigorous


@pytest.mark.parametrize("internal", [jko.Entropy(), jko.PorousMedium(2), jko.PorousMedium(3)])
@pytest.mark.parametrize("total", [0.4, 1.0, 1.7])
def test_the_gap_of_masses_is_the_difference_of_both_sides_also_where_they_do_not_add_up_to_one(
    internal, total
):
    def draw(*shape):
        return torch.rand(*shape, generator=source, dtype=torch.float64)

    source = generator(3)
    V, volumes, A, b = draw(20), 0.1 + draw(20), draw(6, 20), draw(6)
    mixture = Mixture(((0.3, internal),))
    cells = Cells(torch.ones(20, dtype=torch.bool), V, volumes, mixture, A, b)
    bound = cells.at(draw(6))
    m = draw(20)
    m *= total / m.sum()
    value = V @ m + volumes @ (0.3 * internal.U(m / volumes)) + 0.5 * (A @ m - b).square().sum()
    assert abs(bound.level) > 0.1
    assert cells.gap(m, bound) == pytest.approx(float(value) - bound.value, rel=1e-11)
