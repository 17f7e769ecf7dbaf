"""The step in D of a pair on a grid: its cells move as atoms do, and are put back with second order."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko
from jko import exact
from jko.metrics import GraphWasserstein, natural_metric
from jko.steps import natural_solver
from jko.steps.remapped.sweeps import moved_cells

X = torch.linspace(-2, 2, 24, dtype=torch.float64)
RISK = jko.Risk(
    jko.Data(X[:, None], 1.5 * torch.sin(1.5 * X)),
    activation=lambda theta, x: torch.tanh(theta + x.T),
)
G = RISK + 0.1 * jko.SquaredNorm()
T, G_T = 1.5, 0.2173342829  # G of (3.23) at time T, by a spectral method in labels
SHARP = jko.LBFGS(tol=1e-8)


def line(n):
    """A start on [-3, 3]."""
    return jko.ChargedDensity.from_function(
        jko.Grid((-3.0, 3.0), n),
        lambda theta: (-((theta[:, 0] - 0.3) ** 2) / 0.72).exp(),
        lambda theta: 1 + 0.6 * torch.sin(1.3 * theta[:, 0]),
    )


PLANE_X = torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PLANE_G = (
    jko.Risk(
        jko.Data(PLANE_X, torch.sin(PLANE_X[:, 0]) + 0.5 * PLANE_X[:, 1]),
        activation=lambda theta, x: torch.tanh(theta @ x.T),
    )
    + 0.1 * jko.SquaredNorm()
)


def plane(n):
    """A start on [-3, 3]^2."""
    return jko.ChargedDensity.from_function(
        jko.Grid((-3.0, 3.0), (n, n)),
        lambda t: (-((t[:, 0] - 0.3) ** 2 + (t[:, 1] + 0.2) ** 2) / 0.72).exp(),
        lambda t: 1 + 0.6 * torch.sin(1.3 * t[:, 0]) * torch.cos(t[:, 1]),
    )


def orders(errors):
    return np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))


def overall(errors):
    """The order from the first error to the last: where errors of two kinds meet, pairs are uneven."""
    return np.log2(errors[0] / errors[-1]) / (len(errors) - 1)


@given(st.integers(0, 10**6), st.integers(1, 3), st.floats(0, 8))
def test_a_remap_keeps_mass_and_charge_and_the_range_of_H(seed, d, reach):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 7, size=d))
    masses = rng.uniform(size=shape) ** 8 * (rng.uniform(size=shape) < 0.7)
    moves = [reach * rng.standard_normal(shape) for _ in shape]
    H = np.where(masses > 0, rng.standard_normal(shape), np.inf)
    charges = np.where(masses > 0, H, 1e9)  # no one reads a charge without mass
    new, mean = moved_cells(masses, moves, charges)
    assert new.min() >= 0
    assert new.sum() == pytest.approx(masses.sum(), rel=1e-13)
    full = masses > 0
    if full.any():
        assert (new * mean).sum() == pytest.approx((masses[full] * H[full]).sum(), abs=1e-13)
        low, high = H[full].min(), H[full].max()
        assert np.all((mean >= low - 1e-12) & (mean <= high + 1e-12) | (new == 0))


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_cells_that_do_not_move_stay_as_they_are(seed, d):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, size=d))
    masses, H = rng.uniform(size=shape) ** 4, rng.standard_normal(shape)
    new, mean = moved_cells(masses, [np.zeros(shape)] * d, H)
    assert np.allclose(new, masses, rtol=1e-14, atol=0)
    assert np.allclose(mean, H, rtol=1e-13, atol=1e-15)


def test_a_move_by_whole_cells_is_exact_and_stops_at_the_wall():
    masses, H = np.array([0.0, 0.25, 0.5, 0.25, 0.0, 0.0]), np.array([9.0, 1.0, 3.0, 2.0, 9.0, 9.0])
    new, mean = moved_cells(masses, [np.full(6, 2.0)], H)
    assert np.allclose(new, [0, 0, 0, 0.25, 0.5, 0.25], rtol=0, atol=1e-16)
    assert np.allclose(mean[3:], [1.0, 3.0, 2.0])
    new, mean = moved_cells(masses, [np.full(6, 30.0)], H)
    assert new.tolist() == [0, 0, 0, 0, 0, 1.0]
    assert mean[-1] == pytest.approx(2.25)


def test_cells_that_pass_each_other_keep_their_own_moves():
    """A charge that jumps from cell to cell: each cell goes its own way, none is held back by its neighbours."""
    masses, H = np.full(8, 0.125), np.where(np.arange(8) % 2, 1.0, -1.0)
    new, mean = moved_cells(masses[:], [np.where(np.arange(8) % 2, 2.0, -2.0)], H)
    assert new.tolist() == [0.25, 0, 0.125, 0.125, 0.125, 0.125, 0, 0.25]
    assert mean.tolist() == [-1.0, 0.0, -1.0, 1.0, -1.0, 1.0, 0.0, 1.0]


def turned(n, steps):
    """A normal bump with a wave on it, turned by a radian about the origin in equal moves; its L1 errors."""
    grid = jko.Grid((-3.0, 3.0), (n, n))
    A = 0.8 * torch.tensor(
        [[1.0, 0.3], [0.3, 1.2]], dtype=torch.float64
    )  # for time one: shrink, shear and turn
    A = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64) - 0.3 * A
    centre = torch.tensor([0.7, 0.2], dtype=torch.float64)

    def bump(z):
        return (-((z - centre) ** 2).sum(-1) / 0.4).exp()

    def wave(z):
        return torch.sin(2 * z[:, 0]) + z[:, 1]

    pair = jko.ChargedDensity.from_function(grid, bump, wave)
    back = torch.linalg.matrix_exp(-A)
    want = jko.ChargedDensity.from_function(
        grid, lambda z: bump(z @ back.T), lambda z: wave(z @ back.T)
    )
    flow = torch.linalg.matrix_exp(A / steps) - torch.eye(2, dtype=torch.float64)
    moves = ((grid.centres @ flow.T) / grid.spacing[0]).T.reshape(2, n, n).numpy()
    masses, H = pair.weights.reshape(n, n).numpy(), pair.H.numpy()
    for _ in range(steps):
        masses, H = moved_cells(masses, list(moves), H)
    m = want.weights.reshape(n, n).numpy()
    return np.abs(masses - m).sum(), (m * np.abs(H - want.H.numpy())).sum()


@pytest.mark.parametrize("steps", [lambda n: 4, lambda n: n // 4, lambda n: 2 * n])
def test_the_error_of_many_remaps_is_of_second_order_however_short_they_are(steps):
    errors = np.array([turned(n, steps(n)) for n in (24, 48, 96)])
    assert np.all(orders(errors)[1] > 1.75), (errors, orders(errors))


def test_a_step_accounts_for_what_the_remap_has_changed():
    pair = line(80)
    result = jko.step(G, pair, tau=0.2, solver=jko.steps.Remapped(SHARP))
    atoms = jko.step(G, pair.to_particles(), tau=0.2, solver=SHARP)
    assert result.cost == pytest.approx(atoms.cost, rel=1e-12)
    assert result.residual == pytest.approx(atoms.residual, rel=1e-6)
    assert result.energy == float(G(result.state))
    assert result.figures["remap"] == pytest.approx(result.energy - atoms.energy, abs=1e-15)
    assert result.slack + result.figures["remap"] == pytest.approx(atoms.slack, abs=1e-14)
    assert result.slack == pytest.approx(float(G(pair)) - result.objective, abs=1e-15)
    assert 0 < abs(result.figures["remap"]) < 0.01 * result.slack
    assert result.coupling.optimal
    assert result.problem.previous is pair
    between = jko.distance(atoms.state, result.state).value
    assert between < 0.6 * pair.grid.spacing[0]  # so D to the new state is sqrt(cost) up to that


@pytest.mark.parametrize("K", [5, 60])
def test_the_remap_costs_second_order_in_the_width_of_the_cells(K):
    finest = jko.flow(G, line(600).to_particles(), tau=T / K, t1=T, solver=SHARP).energies[-1]
    runs = [
        jko.flow(G, line(n), tau=T / K, t1=T, solver=jko.steps.Remapped(SHARP))
        for n in (40, 80, 160)
    ]
    errors = np.array([run.energies[-1] - finest for run in runs])
    assert abs(errors[-1]) < 1e-5
    assert overall(np.abs(errors)) > 1.8, errors
    for run in runs:
        assert run.slacks.min() > 0
        assert float(run.final.mass) == pytest.approx(1, abs=1e-13)
        assert float(run.final.values.min()) >= 0


def test_steps_much_shorter_than_a_cell_do_not_smear_as_a_deposit_does():
    start, tau, K = line(60), 0.005, 40  # moves of 1/40 of a cell
    run = jko.flow(G, start, tau=tau, steps=K)
    atoms = jko.flow(G, start.to_particles(), tau=tau, steps=K).final
    deposited = start
    for _ in range(K):
        moved = jko.step(G, deposited.to_particles(), tau=tau).state
        deposited = jko.ChargedDensity.from_particles(start.grid, moved)
    spread = [float((s.covariance() - atoms.covariance()).abs()) for s in (run.final, deposited)]
    assert spread[0] < 0.02 * spread[1], spread


def test_the_flow_on_the_line_converges_to_chaos_in_width_and_tau_together():
    errors, far = [], []
    for n, K in ((40, 20), (80, 40), (160, 80)):
        run = jko.flow(G, line(n), tau=T / K, t1=T, solver=jko.steps.Remapped(SHARP))
        witness = jko.limits.chaos(G, line(n), t1=T, times=[T]).final
        errors.append(run.energies[-1] - G_T)
        far.append(float((run.final.values - witness.values).abs().sum()) * run.final.grid.cell)
    assert np.all(orders(np.array(errors)) > 0.95), errors
    assert overall(far) > 0.8, far
    assert abs(errors[-1]) < 2e-4


def test_the_flow_in_the_plane_converges_to_particles_and_to_chaos():
    errors, far, charges = [], [], []
    labels = jko.limits.wasserstein(PLANE_G, plane(64).to_particles(), t1=1.0, times=[1.0])
    for n, K in ((20, 8), (40, 16), (80, 32)):
        run = jko.flow(
            PLANE_G, plane(n), tau=1 / K, t1=1.0, save=K, solver=jko.steps.Remapped(SHARP)
        )
        witness = jko.limits.chaos(PLANE_G, plane(n), t1=1.0, times=[1.0]).final
        errors.append(run.energies[-1] - labels.energies[-1])
        cell = run.final.grid.cell
        far.append(float((run.final.values - witness.values).abs().sum()) * cell)
        charges.append(float(witness.integrate((run.final.H - witness.H).abs())))
        assert run.slacks.min() > 0
    for measured in (errors, far, charges):
        assert overall(measured) > 0.9, (errors, far, charges)
    assert errors[-1] < 1e-3
    assert far[-1] < 0.012
    assert charges[-1] < 0.005


def test_one_step_of_the_quadratic_energy_is_the_closed_form_in_three_dimensions():
    mean, slope, charge, lam, tau = [0.2, -0.1, 0.0], [0.5, -0.3, 0.2], 0.4, 0.8, 0.3
    c, s = torch.tensor(mean, dtype=torch.float64), torch.tensor(slope, dtype=torch.float64)
    pair = jko.ChargedDensity.from_function(
        jko.Grid((-2.5, 2.5), (20, 20, 20)),
        lambda z: (-((z - c) ** 2).sum(-1) / (2 * 0.25)).exp(),
        lambda z: charge + (z - c) @ s,
    )
    end = jko.step(lam * jko.SquaredNorm(), pair, tau=tau, solver=jko.steps.Remapped(SHARP)).state
    want = exact.charged_gaussian_step(
        mean, 0.25 * np.eye(3), slope, charge, lam=lam, beta=0.0, tau=tau
    )
    mixed = end.integrate(
        (end.support - end.mean()) * (end.H.reshape(-1, 1) - end.integrate(end.H))
    )
    h2 = end.grid.spacing[0] ** 2
    assert np.allclose(end.mean(), want.mean, atol=1e-3)
    assert np.allclose(end.covariance(), want.covariance, atol=0.1 * h2)
    assert np.allclose(mixed, want.covariance @ want.slope, atol=0.1 * h2)
    assert float(end.integrate(end.H)) == pytest.approx(
        float(pair.integrate(pair.H)) / (1 + tau * lam), abs=1e-8
    )


def test_mass_that_is_driven_outwards_gathers_in_the_last_cell_as_in_the_limit():
    E = RISK + (-0.5) * jko.SquaredNorm()
    start = line(60)
    run = jko.flow(E, start, tau=0.025, t1=2.0, save=80)
    witness = jko.limits.chaos(E, start, t1=2.0, times=[2.0]).final
    assert float(run.final.mass) == pytest.approx(1, abs=1e-13)
    assert float(run.final.weights[-1]) == pytest.approx(float(witness.weights[-1]), rel=0.06)
    assert float(run.final.integrate(run.final.H)) == pytest.approx(
        float(witness.integrate(witness.H)), rel=0.01
    )


def test_empty_cells_carry_no_atom_and_need_no_charge():
    grid = jko.Grid((-3.0, 3.0), 60)
    inside = ((grid.centres[:, 0] > -1) & (grid.centres[:, 0] < 0)).double()
    H = torch.where(inside > 0, torch.sin(3 * grid.centres[:, 0]), torch.nan)
    pair = jko.ChargedDensity(grid, inside / (inside.sum() * grid.cell), H)
    run = jko.flow(G, pair, tau=0.1, t1=1.0)
    end = run.final
    assert np.all(np.diff(run.energies) < 0)
    assert torch.equal(torch.isfinite(end.H), end.values > 0)
    assert 0 < int((end.values == 0).sum()) < 60


def test_a_charge_that_jumps_from_cell_to_cell_is_averaged_and_that_lowers_the_energy():
    grid = jko.Grid((-3.0, 3.0), 120)
    H = torch.where(torch.arange(120) % 2 == 0, 1.0, -1.0).double()
    pair = jko.ChargedDensity(grid, line(120).values, H)
    run = jko.flow(G, pair, tau=0.1, t1=3.0)
    assert np.all(np.diff(run.energies) < 0)
    assert run.columns["remap"].min() < -1e-3


def test_the_ledger_with_the_remap_bounds_the_costs_and_the_energy_falls():
    run = jko.flow(G, line(50), tau=0.25, t1=10.0)
    spent = (run.costs / (2 * 0.25)).sum()
    assert np.all(np.diff(run.energies) < 0)
    assert np.all(run.slacks + run.columns["remap"] >= -1e-15)
    assert spent <= run.energies[0] - run.energies[-1] + run.columns["remap"].sum()


def test_where_the_rest_lies_within_a_cell_the_flow_ends_and_says_so():
    pair = jko.ChargedDensity(jko.Grid((0.0, 1.0), 6), 6 * [1.0], 6 * [0.0])
    towards = jko.Potential(lambda z: (z[:, 1] - 0.6).abs() ** 1.5)
    with pytest.raises(jko.StepFailed, match=r"LOCKED .*refine the support") as caught:
        jko.flow(towards, pair, tau=0.5, t1=100.0)
    run = caught.value.trajectory
    assert np.all(np.diff(run.energies) <= 0)
    assert caught.value.result.energy > run.energies[-1]


def test_it_is_the_natural_solver_in_the_natural_metric():
    assert natural_solver(line(10)) == jko.steps.Remapped()
    assert natural_metric(line(10)) == GraphWasserstein()
    one, other = (jko.step(G, line(30), tau=0.1, solver=s) for s in (None, jko.steps.Remapped()))
    assert torch.equal(one.state.values, other.state.values)


def test_newton_moves_the_atoms_as_well():
    one, other = (
        jko.step(G, line(40), tau=1.0, solver=jko.steps.Remapped(solver)).state
        for solver in (jko.LBFGS(tol=1e-10), jko.BlockNewton(tol=1e-10))
    )
    assert torch.allclose(one.values, other.values, atol=1e-8)
    assert torch.allclose(one.H, other.H, atol=1e-8, equal_nan=True)


def test_the_certificate_is_that_of_the_atoms_step():
    result = jko.step(G, line(25), tau=0.3, solver=jko.steps.Remapped(SHARP))
    atoms = jko.step(G, line(25).lift(), tau=0.3, solver=SHARP)
    assert result.certificate().value == pytest.approx(atoms.certificate().value, abs=1e-9)


def test_a_saved_flow_goes_on_bit_by_bit(tmp_path):
    whole = jko.flow(G, line(40), tau=0.1, steps=6)
    part = jko.flow(G, line(40), tau=0.1, steps=3)
    loaded = jko.Trajectory.load(part.save(tmp_path / "run"))
    resumed = jko.flow(G, loaded, tau=0.1, steps=6)
    assert torch.equal(resumed.final.values, whole.final.values)
    assert torch.equal(resumed.final.H, whole.final.H)
    assert np.array_equal(resumed.columns["remap"], whole.columns["remap"])


def test_the_kernel_entropy_spreads_rho_and_keeps_charges():
    beta, start = 0.2, line(60)
    E = beta * jko.energies.OnTheta(jko.KernelEntropy(0.1))
    run = jko.flow(E, start, tau=0.05, t1=0.5)
    assert float(run.final.covariance()) == pytest.approx(0.36 + 2 * beta * 0.5, rel=0.03)
    assert float(run.final.integrate(run.final.H)) == pytest.approx(
        float(start.integrate(start.H)), abs=1e-12
    )


def test_other_states_are_refused():
    with pytest.raises(
        TypeError, match=r"state of Remapped must be ChargedDensity, not ChargedParticles"
    ):
        jko.step(G, line(20).to_particles(), tau=0.1, solver=jko.steps.Remapped())


def test_energies_that_are_infinite_where_mass_comes_to_end_the_step():
    wall = jko.Potential(
        lambda z: torch.where(z[:, 1] > 1.6, torch.inf, 0.0).double() - 3 * z[:, 1]
    )
    start = line(20)
    held = torch.where(start.support[:, 0] > 1.6, 0.0, start.values)
    start = replace_values(start, held)
    result = jko.step(wall, start, tau=0.02, throw=False)
    assert result.status is jko.Status.NOT_FINITE


def replace_values(pair, values):
    return jko.ChargedDensity(pair.grid, values / (values.sum() * pair.grid.cell), pair.H)
