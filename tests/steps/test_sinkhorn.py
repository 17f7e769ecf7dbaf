"""The entropic step: its closed form on normal laws, referees for the rest, and honest words where it cannot move."""

import math

import cvxpy as cp
import numpy as np
import ot
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import wrightomega

import jko
from jko import Entropy, Interaction, Particles, PorousMedium, Potential, Status
from jko.energies import Parts
from jko.measures import GridDensity
from jko.metrics.entropic import clouds
from jko.spaces import Grid
from jko.steps.sinkhorn import Sinkhorn, passes
from jko.steps.sinkhorn.proximal import ProximalMap

A, BETA, TAU, S0 = 1.5, 0.6, 0.1, 0.5  # V = A x^2 / 2 + BETA Entropy


def entropic_variance(s2: float, epsilon: float) -> float:
    """The step from N(0, s2) is N(0, q^2 s2 + epsilon q / 2): the plan is y -> q y with noise, q a quadratic's root."""
    a, b = (1 + A * TAU) * s2, (1 + A * TAU) * epsilon / 2 - s2
    q = (-b + math.sqrt(b * b + 4 * a * (epsilon / 2 + TAU * BETA))) / (2 * a)
    return q * q * s2 + epsilon * q / 2


def debiased_variance(s2: float, epsilon: float) -> float:
    """As above, less half the slope of OT(mu, mu), whose plan is y -> p y with p^2 v + epsilon p / 2 = v."""

    def excess(q):
        v = q * q * s2 + epsilon * q / 2
        p = (math.hypot(epsilon / 2, 2 * v) - epsilon / 2) / (2 * v)
        return 1 / p - 1 / q + TAU * (A - BETA / v)

    q = brentq(excess, 1e-3, 20, xtol=1e-15)
    return q * q * s2 + epsilon * q / 2


def exact_variance(s: float) -> float:
    return ((s + math.sqrt(s * s + 4 * BETA * TAU * (1 + A * TAU))) / (2 * (1 + A * TAU))) ** 2


def normal(cells=300, width=6.0) -> GridDensity:
    return GridDensity.from_function(
        Grid((-width, width), cells), lambda x: (-(x**2).sum(-1) / (2 * S0**2)).exp()
    )


def ornstein_uhlenbeck() -> jko.Energy:
    return BETA * Entropy() + Potential(lambda x: 0.5 * A * (x**2).sum(-1))


def entropic_step(epsilon, **options):
    solver = Sinkhorn(epsilon, tol=1e-11, **options)
    return jko.step(ornstein_uhlenbeck(), normal(), tau=TAU, solver=solver)


@pytest.mark.parametrize("epsilon", [0.4, 0.1, 0.02])
def test_the_step_of_a_normal_law_is_the_closed_form_of_the_entropic_problem(epsilon):
    result = entropic_step(epsilon)
    variance = float(result.state.covariance())
    assert variance == pytest.approx(entropic_variance(S0**2, epsilon), rel=1e-9)
    assert float(result.state.mass) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("epsilon", [0.4, 0.1, 0.02])
def test_the_debiased_step_of_a_normal_law_is_its_closed_form(epsilon):
    variance = float(entropic_step(epsilon, debiased=True).state.covariance())
    assert variance == pytest.approx(debiased_variance(S0**2, epsilon), rel=1e-8)


@pytest.mark.parametrize(("debiased", "order"), [(False, 1), (True, 2)])
def test_the_step_tends_to_the_exact_one_at_first_order_and_debiased_at_second(debiased, order):
    exact = exact_variance(S0)
    errors = [
        abs(float(entropic_step(e, debiased=debiased).state.covariance()) - exact)
        for e in (0.08, 0.04, 0.02)
    ]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert np.abs(orders - order).max() < 0.06


def test_a_debiased_flow_keeps_the_ledger_of_a_minimising_scheme():
    run = jko.flow(
        ornstein_uhlenbeck(), normal(120), tau=0.2, steps=6, solver=Sinkhorn(0.2, debiased=True)
    )
    assert (run.slacks > 0).all()
    assert (run.costs > 0).all()


def test_the_energy_stays_below_that_of_the_blurred_base_even_where_it_rises():
    narrow = GridDensity.from_function(
        Grid((-2.0, 2.0), 100), lambda x: (-(x**2).sum(-1) / 0.02).exp()
    )
    E = Potential(lambda x: 0.5 * (x**2).sum(-1))
    result = jko.step(E, narrow, tau=0.01, solver=Sinkhorn(0.1))
    assert result.energy > float(E(narrow))
    assert result.energy <= result.figures["energy_of_blurred"]
    assert result.slack < 0
    assert result.status is Status.CONVERGED


# referees


def small(n=24):
    grid = Grid((-1.0, 1.0), n)
    rho = GridDensity.from_function(grid, lambda z: 1 + 0.5 * torch.sin(3 * z[:, 0]))
    data = jko.Data(np.linspace(-2, 2, 5)[:, None], np.array([0.3, -0.1, 0.2, 0.5, 0.1]))
    return rho, jko.Risk(data, features=lambda xi, x: torch.tanh(xi[:, :1] * x.T))


def referee_terms(rho, risk, a):
    """The energies of masses a in cvxpy: x^2, entropy, the powers 2 and 3, risk."""
    x, h = rho.grid.axes[0].numpy(), rho.grid.cell
    phi = risk.features(rho.support, risk.data.x).numpy()
    r = phi.T @ a - risk.data.f.numpy()
    return (
        cp.sum(cp.multiply(x**2, a)),
        -cp.sum(cp.entr(a)) - math.log(h) * cp.sum(a),
        cp.sum_squares(a) / (2 * h),
        cp.sum(cp.power(a, 3)) / (6 * h**2),
        0.5 * cp.sum(cp.multiply(risk.data.weights.numpy(), cp.square(r))),
    )


@pytest.mark.parametrize(
    "c", [(1, 0.2, 0, 0, 0), (0, 0, 0.3, 0.2, 20), (0, 0.1, 0, 0, 50), (1, 0.1, 0.2, 0.1, 5)]
)
def test_a_step_has_the_value_and_the_masses_that_the_conic_referee_finds(c):
    rho, risk = small()
    terms = (Potential(lambda z: z[:, 0] ** 2), Entropy(), PorousMedium(2), PorousMedium(3), risk)
    E = sum((k * T for k, T in zip(c[1:], terms[1:], strict=True) if k), c[0] * terms[0])
    tau, epsilon = 0.3, 0.1
    result = jko.step(E, rho, tau=tau, solver=Sinkhorn(epsilon, tol=1e-11))
    x, m = rho.grid.axes[0].numpy(), rho.weights.numpy()
    cost = (x[:, None] - x) ** 2
    plan = cp.Variable(cost.shape, nonneg=True)
    reference = rho.grid.cell * np.ones((len(x), 1)) * m[None]
    energy = sum(
        k * T for k, T in zip(c, referee_terms(rho, risk, cp.sum(plan, axis=1)), strict=True) if k
    )
    entropy = cp.sum(cp.rel_entr(plan, reference))
    value = energy + (cp.sum(cp.multiply(cost, plan)) + epsilon * entropy) / (2 * tau)
    problem = cp.Problem(cp.Minimize(value), [cp.sum(plan, axis=0) == m])
    problem.solve(solver=cp.CLARABEL)
    gap = result.certificate()
    assert gap.lower_bound == pytest.approx(problem.value, abs=1e-7)
    assert abs(gap.value) < 1e-10
    assert np.abs(plan.value.sum(1) - result.state.weights.numpy()).sum() < 2e-5
    assert result.cost == pytest.approx(float((plan.value * cost).sum()), abs=1e-6)


def entropic_value(a, b, cost, epsilon):
    P = ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn_log", stopThr=1e-14, numItermax=100000)
    return P, (P * cost).sum() + epsilon * (P * np.log(P / np.outer(a, b))).sum()


@pytest.mark.parametrize("epsilon", [0.3, 0.05])
def test_plan_and_divergence_are_those_of_pot_between_the_two_marginals(epsilon):
    rho, _ = small()
    E = 0.2 * Entropy() + Potential(lambda z: z[:, 0] ** 2)
    result = jko.step(E, rho, tau=0.3, solver=Sinkhorn(epsilon, tol=1e-12))
    x, a, b = rho.grid.axes[0].numpy(), result.state.weights.numpy(), rho.weights.numpy()
    cost = (x[:, None] - x) ** 2
    P, both = entropic_value(a, b, cost, epsilon)
    own = [entropic_value(w, w, cost, epsilon)[1] for w in (a, b)]
    assert result.cost == pytest.approx((P * cost).sum(), rel=1e-9)
    assert result.figures["debiased"] == pytest.approx(both - 0.5 * sum(own), rel=1e-9)


def test_particles_at_the_centres_of_a_grid_take_the_step_of_the_density():
    grid = Grid((0.0, 1.0), (12, 9))
    rho = GridDensity.from_function(grid, lambda x: 1 + x[:, 0] * x[:, 1])
    E = 0.1 * Entropy() + 0.1 * PorousMedium(3) + Potential(lambda x: ((x - 0.2) ** 2).sum(-1))
    mu = rho.to_particles()
    dense = jko.step(E, rho, tau=0.2, solver=Sinkhorn(0.02, tol=1e-11))
    for volumes in (rho.volumes, lambda x: torch.full_like(x[:, 0], grid.cell)):
        cloud = jko.step(E, mu, tau=0.2, solver=Sinkhorn(0.02, volumes, tol=1e-11))
        assert torch.allclose(cloud.state.weights, dense.state.weights, rtol=1e-9, atol=0)
        assert (cloud.energy, cloud.cost) == pytest.approx((dense.energy, dense.cost), rel=1e-10)


def test_large_clouds_take_the_same_step_in_blocks_and_by_conjugate_gradients(
    monkeypatch, generator
):
    mu = Particles.normal(60, 2, generator=generator)
    E = 0.1 * Entropy() + Potential(lambda x: ((x - 1) ** 2).sum(-1))

    def solve():
        return jko.step(E, mu, tau=0.2, solver=Sinkhorn(0.1, tol=1e-10)).state.weights

    once = solve()
    monkeypatch.setattr(clouds, "DENSE", 0)
    by_gradients = solve()
    monkeypatch.setattr(passes, "KEEP", 0)
    monkeypatch.setattr(clouds, "BLOCK", 240)
    assert torch.allclose(by_gradients, once, rtol=1e-7, atol=0)
    assert torch.allclose(solve(), once, rtol=1e-7, atol=0)


# the parts


def log_density(s, kappa, *internal):
    """Log rho of the proximal map on one cell of volume 1 for each s."""
    none = torch.zeros_like(s)
    parts = Parts(none, internal, volumes=torch.ones_like(s))
    return ProximalMap(parts, torch.ones_like(s), kappa)(s).log


class Another(PorousMedium):
    """The same energy, which does not equal it."""


def test_the_proximal_map_of_a_power_is_wrights_function_over_all_magnitudes():
    t = torch.linspace(-690, 690, 2001, dtype=torch.float64)
    log = log_density(t, 1.0, (1.0, PorousMedium(2)))  # log rho + rho = t
    assert np.allclose(log.exp(), wrightomega(t.numpy()), rtol=1e-13, atol=0)


@pytest.mark.parametrize("m", [1.01, 1.5, 2.0, 3.0, 20.0])
@pytest.mark.parametrize("kappa", [1e-8, 1.0, 1e8])
def test_newton_for_sums_of_energies_finds_the_closed_form_over_all_magnitudes(m, kappa):
    s = torch.linspace(-690, 690, 401, dtype=torch.float64)
    # with w = c rho^(m-1) and c = 2 kappa:  log w + w = (m - 1) s + log c
    shift = math.log(2 * kappa)
    # below all numbers omega(t) = e^t
    omega = torch.from_numpy(wrightomega(((m - 1) * s + shift).numpy()))
    closed = torch.where(omega > 1e-300, (omega.log() - shift) / (m - 1), s)
    once = log_density(s, kappa, (2.0, PorousMedium(m)))
    twice = log_density(s, kappa, (1.0, PorousMedium(m)), (1.0, Another(m)))
    assert torch.allclose(once, closed, rtol=1e-12, atol=1e-11)
    assert torch.allclose(twice, once, rtol=1e-13, atol=1e-12)


# small epsilon, locking


@pytest.mark.parametrize("fraction", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_no_epsilon_makes_a_number_that_is_not_finite(fraction, generator):
    cloud = Particles.normal(40, 2, generator=generator)
    line = GridDensity.from_function(
        Grid((-1.0, 1.0), 60), lambda x: (0.3 - (x**2).sum(-1)).clamp(min=0)
    )
    E = 0.2 * Entropy() + 0.1 * PorousMedium(2) + Potential(lambda x: ((x - 0.3) ** 2).sum(-1))
    for state in (cloud, line):
        mean_cost = 2 * float(state.covariance().trace())
        solver = Sinkhorn(fraction * mean_cost, max_iterations=40)
        result = jko.step(E, state, tau=0.05, solver=solver, throw=False)
        assert result.status in (Status.CONVERGED, Status.LOCKED, Status.MAX_ITERATIONS)
        assert torch.isfinite(result.state.weights).all()
        assert float(result.state.mass) == pytest.approx(1, abs=1e-14)
        assert all(math.isfinite(v) for v in result.figures.values() if isinstance(v, float))
        assert math.isfinite(result.objective)


def hill() -> tuple[GridDensity, jko.Energy]:
    rho = GridDensity.from_function(
        Grid((-1.0, 1.0), 200), lambda x: (-(x**2).sum(-1) / 0.02).exp()
    )
    return rho, Potential(lambda x: 0.5 * (x[:, 0] - 0.5) ** 2)


def test_a_step_shorter_than_half_a_cell_with_a_diagonal_kernel_is_locked():
    rho, E = hill()
    with pytest.raises(jko.StepFailed, match=r"LOCKED.*shorter than half its spacing"):
        jko.step(E, rho, tau=1e-3, solver=Sinkhorn(1e-6))
    cloud = rho.to_particles()
    result = jko.step(E, cloud, tau=1e-3, solver=Sinkhorn(1e-6), throw=False)
    assert result.status is Status.LOCKED
    assert result.figures["mobility"] < 1e-6


@pytest.mark.parametrize(("tau", "epsilon"), [(1e-3, 1e-4), (0.05, 1e-6)])
def test_a_wider_kernel_or_a_longer_step_moves_mass_as_far_as_it_should(tau, epsilon):
    rho, E = hill()
    result = jko.step(E, rho, tau=tau, solver=Sinkhorn(epsilon))
    assert float(result.state.mean()) == pytest.approx(0.5 * tau / (1 + tau), rel=3e-3)
    assert result.figures["mobility"] > 0.9


def test_a_stationary_density_is_not_called_locked():
    rho, _ = hill()
    E = Entropy() + Potential(lambda x: (x**2).sum(-1) / 0.02)
    assert jko.step(E, rho, tau=1e-4, solver=Sinkhorn(1e-6)).status is Status.CONVERGED


# what is linearised, obstacles, memory


@pytest.mark.parametrize("strength", [0.5, 5.0])
def test_an_interaction_enters_by_the_potential_that_it_has_at_the_result(strength):
    rho, _ = small()
    W = Interaction(lambda z: strength * (-(z**2).sum(-1) / 0.1).exp())
    result = jko.step(0.2 * Entropy() + W, rho, tau=0.3, solver=Sinkhorn(0.05, tol=1e-10))
    frozen = Potential(lambda x: W.variation(result.state, x))
    same = jko.step(0.2 * Entropy() + frozen, rho, tau=0.3, solver=Sinkhorn(0.05, tol=1e-10))
    assert torch.allclose(same.state.weights, result.state.weights, rtol=0, atol=1e-9)
    assert not math.isfinite(result.certificate().value)


def test_no_mass_enters_an_obstacle_and_atoms_there_are_left_out_and_counted():
    wall = Potential(lambda x: torch.where(x[:, 0] > 0.5, math.inf, -x[:, 0]))
    grid = Grid((-1.0, 1.0), 24)
    rho = GridDensity.from_function(grid, lambda x: (x[:, 0] < 0).double())
    result = jko.step(wall + 0.01 * PorousMedium(2), rho, tau=0.3, solver=Sinkhorn(0.05))
    assert (result.state.weights[grid.centres[:, 0] > 0.5] == 0).all()
    cloud = jko.step(wall, Particles(grid.centres), tau=0.3, solver=Sinkhorn(0.05))
    assert cloud.state.N == 18
    assert cloud.figures["emptied"] == 6
    assert float(cloud.state.mass) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("debiased", [False, True])
def test_memory_saves_work_and_changes_no_step(debiased):
    E, solver = ornstein_uhlenbeck(), Sinkhorn(0.1, debiased=debiased, tol=1e-10)
    first = jko.step(E, normal(120), tau=TAU, solver=solver)
    cold = jko.step(E, first.state, tau=TAU, solver=solver)
    warm = jko.step(E, first.state, tau=TAU, solver=solver, memory=first.memory)
    assert torch.allclose(warm.state.values, cold.state.values, rtol=0, atol=1e-8)
    assert warm.figures["applications"] < cold.figures["applications"]


@pytest.mark.parametrize("epsilon", [0, -1.0, math.nan, math.inf])
def test_an_epsilon_that_is_no_squared_length_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"epsilon = .*finite number > 0; it is a squared length"):
        Sinkhorn(epsilon)


def test_states_and_volumes_of_a_wrong_kind_are_refused():
    pair = jko.ChargedParticles([[0.0], [1.0]], [1.0, 2.0])
    E = Potential(lambda x: x[:, 0])
    with pytest.raises(TypeError, match=r"must be GridDensity or Particles, not ChargedParticles"):
        jko.step(E, pair, tau=0.1, solver=Sinkhorn(0.1))
    with pytest.raises(ValueError, match=r"volumes are for particles"):
        jko.step(E, normal(40), tau=0.1, solver=Sinkhorn(0.1, [1.0, 2.0]))
    with pytest.raises(ValueError, match=r"volumes has shape \(3,\); it must have shape \(2,\)"):
        jko.step(E, Particles([[0.0], [1.0]]), tau=0.1, solver=Sinkhorn(0.1, [1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match=r"volumes\[1\] = -2; .* positive"):
        jko.step(E, Particles([[0.0], [1.0]]), tau=0.1, solver=Sinkhorn(0.1, [1.0, -2.0]))


def test_a_flow_of_weights_on_a_cloud_that_does_not_move():
    """The proximal recursion of Caluya and Halder, for V = x^2 / 2 with entropy: weights tend to the Gibbs measure."""
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)[:, None]
    weights = torch.exp(-2 * (x[:, 0] - 0.5) ** 2)
    cloud = Particles(x, weights / weights.sum())
    solver = Sinkhorn(0.05, lambda x: torch.full_like(x[:, 0], 0.1), debiased=True)
    run = jko.flow(Entropy() + jko.SquaredNorm(), cloud, tau=0.25, steps=20, solver=solver)
    assert run.slacks.min() > 0
    assert run.energies[-1] == pytest.approx(-0.5 * math.log(2 * math.pi), abs=1e-4)
    assert float(run.final.covariance()) == pytest.approx(1, abs=1e-2)
