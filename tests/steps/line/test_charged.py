"""The step in D of a pair on the line with entropies of rho: closed forms, an ODE by hand, and finite volumes."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import jko
from jko import exact
from jko.numerics.banded import Banded
from jko.steps.beyond import beyond
from jko.steps.line.newton import conjugate
from jko.steps.line.objective import between
from jko.steps.line.ordered import crushed, in_order

LAM, T = 0.1, 1.0
X = np.linspace(-2, 2, 24)
F = 1.5 * np.sin(1.5 * X)


def activation(theta, x):
    return torch.tanh(x.T + theta)


RISK = jko.Risk(jko.Data(X[:, None], F), activation=activation)
G = RISK + LAM * jko.SquaredNorm()


def density(theta):
    return torch.exp(-0.5 * ((theta[:, 0] - 0.3) / 0.6) ** 2)


def charge(theta):
    return 1 + 0.6 * torch.sin(1.3 * theta[:, 0])


def mesh(N=60, bounds=(-3.0, 3.0), domain=None):
    return jko.ChargedMesh.from_function(density, charge, bounds, N, domain)


def affine(N, reach=7.0):
    """N(.4, .6^2) with H = .3 + .7 z, z = (theta - .4) / .6."""
    return jko.ChargedMesh.from_function(
        lambda x: torch.exp(-0.5 * ((x[:, 0] - 0.4) / 0.6) ** 2),
        lambda x: 0.3 + 0.7 * (x[:, 0] - 0.4) / 0.6,
        (0.4 - 0.6 * reach, 0.4 + 0.6 * reach),
        N,
    )


def hand_gradient(points, start, internal):
    """The gradient of G + beta int U(rho) in the coordinates, divided by the masses: arrays only."""
    H, theta = points.reshape(2, -1)
    M, m = start.weights.numpy(), start.masses.numpy()
    t = np.tanh(theta[:, None] + X)
    g = ((M * H) @ t - F) / len(X)
    dH = t @ g + LAM * H
    dtheta = H * ((1 - t * t) @ g) + LAM * theta
    pressure = internal(m / np.diff(theta))  # rho U' - U
    force = np.zeros_like(theta)
    force[:-1] += pressure
    force[1:] -= pressure
    return np.concatenate([dH, dtheta + force / M])


KINDS = {
    "entropy": (0.05 * jko.Entropy(), lambda rho: 0.05 * rho),
    "porous medium": (0.05 * jko.PorousMedium(2), lambda rho: 0.025 * rho**2),
    "cubic": (0.05 * jko.PorousMedium(3), lambda rho: 0.05 / 3 * rho**3),
    "none": (0.0 * jko.Entropy(), lambda rho: 0 * rho),
}


def reference(start, internal):
    first = np.concatenate([start.H.numpy(), start.theta.numpy()])
    found = solve_ivp(
        lambda t, z: -hand_gradient(z, start, internal),
        (0, T),
        first,
        "Radau",
        rtol=1e-8,
        atol=1e-10,
    )
    return found.y[:, -1].reshape(2, -1)


def errors(energy, start, end, counts, **options):
    M, found = start.weights.numpy(), []
    for K in counts:
        final = jko.flow(energy, start, tau=T / K, t1=T, **options).final
        square = (final.H.numpy() - end[0]) ** 2 + (final.theta.numpy() - end[1]) ** 2
        found.append(float(M @ square) ** 0.5)
    return np.array(found)


def orders(found):
    return np.log2(found[:-1] / found[1:])


def test_gaussian_steps_are_exact_in_mean_and_charge_and_of_high_order_in_the_spread():
    E = 0.8 * jko.SquaredNorm() + 0.5 * jko.Entropy()
    law = ([0.4], [[0.36]], [0.7 / 0.6], 0.3)
    for _ in range(5):
        law = exact.charged_gaussian_step(*law, lam=0.8, beta=0.5, tau=0.1)
    spreads = []
    for N in (50, 100, 200):
        start = affine(N)
        final = jko.flow(E, start, tau=0.1, steps=5).final
        assert abs(float(final.mean()) - law.mean[0]) < 1e-12
        assert abs(float(final.integrate(final.H)) - law.charge) < 1e-12
        z = (start.theta - 0.4) / 0.6
        assert float((final.H - (0.3 + 0.7 * z) / 1.08**5).abs().max()) < 1e-12
        spreads.append(abs(float(final.covariance()) ** 0.5 - law.covariance[0, 0] ** 0.5))
    assert spreads[-1] < 1e-7
    assert orders(np.array(spreads)).min() > 3


@pytest.mark.parametrize("kind", KINDS)
def test_steps_converge_at_order_one_to_the_semidiscrete_flow(kind):
    energy, internal = KINDS[kind]
    start = mesh()
    found = errors(G + energy, start, reference(start, internal), (10, 20, 40))
    assert np.abs(orders(found) - 1).max() < 0.1
    assert found[-1] < 5e-3


@pytest.mark.parametrize("kind", ["entropy", "porous medium"])
def test_the_second_order_scheme_is_of_second_order(kind):
    energy, internal = KINDS[kind]
    start = mesh()
    found = errors(G + energy, start, reference(start, internal), (5, 10, 20), scheme=jko.SDIRK2())
    assert np.abs(orders(found) - 2).max() < 0.1
    assert found[-1] < 1e-4


def test_without_internal_energy_it_converges_to_the_flow_of_the_same_atoms():
    start = mesh()
    end = jko.limits.wasserstein(G, start.atoms, t1=T, times=[T]).final.points.numpy()
    found = errors(G, start, end.T, (10, 20, 40))
    assert np.abs(orders(found) - 1).max() < 0.1
    second = errors(G, start, end.T, (5, 10, 20), scheme=jko.SDIRK2())
    assert np.abs(orders(second) - 2).max() < 0.1


def test_without_internal_energy_it_is_the_step_of_atoms():
    start = mesh(40)
    a = jko.step(G, start, tau=0.3).state
    b = jko.step(G, start.to_particles(), tau=0.3, solver=jko.LBFGS(tol=1e-11)).state
    assert float((a.atoms.points - b.atoms.points).abs().max()) < 1e-8


def test_with_entropy_the_limit_is_the_flow_that_carries_charges_along():
    # finite volumes share the energy alone; rho and H transported by w - beta grad log rho
    box = jko.Box([-3.0], [3.0])
    E = G + 0.05 * jko.Entropy()
    pair = jko.ChargedDensity.from_function(jko.Grid((-3.0, 3.0), 400), density, charge)
    cells = jko.limits.chaos(E, pair, t1=T, times=[T])
    gaps = []
    for N in (60, 120):
        run = jko.flow(E, mesh(N, domain=box), tau=1 / 20, t1=T, scheme=jko.SDIRK2())
        gaps.append(abs(run.energies[-1] - cells.energies[-1]))
        mean = float(run.final.integrate(run.final.H))
        assert abs(mean - float(cells.final.integrate(cells.final.H))) < 1e-5
    assert gaps[1] < 3e-5
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("tau", [0.1, 5.0, 20.0, 100.0])
def test_the_ledger_holds_at_every_step(tau):
    run = jko.flow(G + 0.05 * jko.Entropy(), mesh(), tau=tau, steps=6)
    assert (run.slacks >= -1e-13).all()
    assert (np.diff(run.energies) <= 1e-13).all()
    for a, b, cost in zip(run.states, run.states[1:], run.costs, strict=False):
        assert jko.distance(a, b).squared <= cost * (1 + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tau", [5.0, 20.0, 1000.0])
def test_nodes_that_newton_would_exchange_do_not_stop_a_large_step(kind, tau):
    start = mesh(100)
    result = jko.step(G + KINDS[kind][0], start, tau=tau)
    assert result.status is jko.Status.CONVERGED
    assert result.iterations <= 30
    assert bool((result.state.theta.diff() > 0).all())
    if kind == "none":  # another solver of the same problem, which knows no order
        atoms = jko.step(G, start.to_particles(), tau=tau, solver=jko.LBFGS(tol=1e-9))
        assert result.objective <= atoms.objective + 1e-9


def test_a_step_whose_minimum_folds_the_mesh_says_so():
    # theta is drawn to H, which falls: the atoms change places
    E = jko.Potential(lambda z: 2 * (z[:, 1] - z[:, 0]) ** 2)
    flat = jko.ChargedMesh.from_function(
        lambda x: 1 + 0 * x[:, 0], lambda x: -3 * x[:, 0], (-1.0, 1.0), 40
    )
    assert jko.step(E, flat, tau=0.1).status is jko.Status.CONVERGED
    crossed = jko.step(E, flat.to_particles(), tau=1.0).state
    assert bool((crossed.theta[:, 0].diff() < 0).any())
    with pytest.raises(jko.StepFailed, match=r"NOT_A_GRAPH: two atoms met at one theta"):
        jko.step(E, flat, tau=1.0)
    # a barrier between neighbours keeps the mesh unfolded; D then knows a cheaper plan
    result = jko.step(E + 0.01 * jko.Entropy(), flat, tau=10.0)
    assert result.status is jko.Status.CONVERGED
    assert not result.coupling.optimal
    assert jko.distance(result.state, flat).squared < 0.99 * result.cost


def test_what_is_said_of_the_coupling_is_true():
    import ot

    for energy, _ in KINDS.values():
        state = mesh(40)
        for tau in (0.1, 5.0, 20.0):
            result = jko.step(G + energy, state, tau=tau)
            x, y = (s.atoms.points.numpy() for s in (result.state, state))
            m = state.weights.numpy() / state.weights.numpy().sum()
            best = ot.emd2(m, m, ((x[:, None] - y[None]) ** 2).sum(-1), numItermax=10**6)
            assert result.cost - best <= result.coupling.bound + 1e-13
            assert best <= result.cost + 1e-13
            if result.coupling.optimal:
                assert result.cost == pytest.approx(best, rel=1e-9)
            state = result.state


def test_interactions_of_far_nodes_take_few_iterations():
    for c in (0.1, 2.0, 20.0):
        E = G + c * jko.Interaction(lambda z: (z**2).sum(-1)) + 0.05 * jko.Entropy()
        result = jko.step(E, mesh(), tau=0.1)
        assert result.status is jko.Status.CONVERGED
        assert result.iterations <= 6


def test_no_lower_bound_is_claimed_with_internal_energies():
    gap = jko.step(G + 0.05 * jko.Entropy(), mesh(30), tau=0.1).certificate()
    assert gap.value == np.inf
    assert not gap.rigorous


def test_going_on_is_along_straight_lines_until_the_mesh_folds():
    start = mesh()
    result = jko.step(G, start, tau=20.0)
    on = beyond(result, 0.1)
    assert torch.allclose(on.theta, result.state.theta + 0.1 * (result.state.theta - start.theta))
    assert torch.allclose(on.H, result.state.H + 0.1 * (result.state.H - start.H))
    assert beyond(result, 1.0) is None


def test_interactions_and_energies_of_theta_enter_too():
    E = (
        G
        + 0.1 * jko.energies.OnTheta(jko.Interaction(lambda z: (z**2).sum(-1)))
        + 0.05 * jko.Entropy()
    )
    start = mesh(30)
    result = jko.step(E, start, tau=0.2)
    at = torch.stack([result.state.H, result.state.theta], dim=1)

    def value(points):
        new = start.moved(points[:, 1].contiguous(), points[:, 0].contiguous())
        cost = start.integrate(((points - start.atoms.points) ** 2).sum(1))
        return E(new) + cost / 0.4

    slope = torch.zeros_like(at)  # central differences
    for i in range(len(at)):
        for k in range(2):
            step = torch.zeros_like(at)
            step[i, k] = 1e-5
            slope[i, k] = (value(at + step) - value(at - step)) / 2e-5
    assert float(start.integrate(((slope / start.weights[:, None]) ** 2).sum(1))) ** 0.5 < 1e-6


def test_walls_hold_the_ends():
    box = jko.Box([-1.0], [1.0])
    flat = jko.ChargedMesh.from_function(
        lambda x: 1 + 0 * x[:, 0], lambda x: x[:, 0], (-1.0, 1.0), 40, box
    )
    E = jko.energies.OnTheta(jko.Potential(lambda x: -x[:, 0])) + 0.5 * jko.Entropy()
    run = jko.flow(E, flat, tau=0.5, t1=20.0)
    ends = run.final.theta[[0, -1]]
    assert float((ends.abs() - 1).abs().max()) < 1e-12
    # at rest rho = e^{2 theta} / Z
    faces = run.final.theta.numpy()
    expected = np.diff(np.exp(2 * faces)) / (np.exp(2) - np.exp(-2))
    assert np.abs(run.final.masses.numpy() - expected).max() < 2e-3


def test_a_run_is_resumed_bit_by_bit(tmp_path):
    E, start = G + 0.05 * jko.Entropy(), mesh()
    whole = jko.flow(E, start, tau=0.1, steps=6)
    half = jko.flow(E, start, tau=0.1, steps=3)
    half.save(tmp_path / "run.npz")
    resumed = jko.flow(E, jko.Trajectory.load(tmp_path / "run.npz"), tau=0.1, steps=6)
    assert torch.equal(resumed.final.theta, whole.final.theta)
    assert torch.equal(resumed.final.H, whole.final.H)
    middle = whole.at(0.05)
    assert torch.allclose(middle.theta, 0.5 * (start.theta + whole.states[1].theta))


def test_to_a_grid_and_back():
    start = mesh(200)
    grid = jko.Grid((-4.0, 4.0), 80)
    pair = start.to_density(grid)
    assert float(pair.rho.mass) == pytest.approx(1, abs=1e-12)
    middle = 0.5 * (start.H[1:] + start.H[:-1])
    total = torch.where(pair.values > 0, pair.H, 0.0)
    assert float(pair.integrate(total)) == pytest.approx(float(start.masses @ middle), abs=1e-12)
    gaps = []
    for cells in (80, 160):
        fine = mesh(800).to_density(jko.Grid((-4.0, 4.0), cells))
        inside = fine.values > 0.01
        gaps.append(float((fine.H - charge(fine.support))[inside].abs().max()))
    assert gaps[1] < gaps[0] / 3 < 1e-3
    back = jko.ChargedMesh.from_density(pair)
    assert float(back.mean()) == pytest.approx(float(start.mean()), abs=1e-3)
    assert float((back.H - charge(back.theta[:, None]))[2:-2].abs().max()) < 1e-2


def matrices(N, r, seed=0):
    rng = np.random.default_rng(seed)
    L = rng.normal(size=(N, 2, 2))
    blocks = L @ L.transpose(0, 2, 1) + 0.1 * np.eye(2)
    springs, A = rng.uniform(0, 2, N - 1), rng.normal(size=(2 * N, r))
    whole = A @ A.T
    for i in range(N):
        whole[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += blocks[i]
    for i, k in enumerate(springs):
        pair = [2 * i + 1, 2 * i + 3]
        whole[np.ix_(pair, pair)] += k * np.array([[1, -1], [-1, 1]])
    bands = [np.zeros(2 * N - k) for k in range(3)]
    bands[0][0::2], bands[0][1::2] = blocks[:, 0, 0], blocks[:, 1, 1]
    bands[1][0::2] = blocks[:, 0, 1]
    return Banded.of(*bands, factor=A).stiffer(between(springs, 2)), whole, rng


@pytest.mark.parametrize("r", [3, 40])  # fewer and more columns than rows
def test_banded_systems_are_the_full_ones(r):
    H, whole, rng = matrices(12, r)
    v = rng.normal(size=24)
    assert np.allclose(H.full(), whole)
    assert np.allclose(H @ v, whole @ v)
    assert np.allclose(H.solve(v), np.linalg.solve(whole, v))
    free = np.delete(np.arange(24), [1, 23])
    v[[1, 23]] = 0
    expected = np.zeros(24)
    expected[free] = np.linalg.solve(whole[np.ix_(free, free)], v[free])
    assert np.allclose(H.held([1, 23]).solve(v), expected)


def test_conjugate_gradients_solve_with_far_terms_and_refuse_saddles():
    H, whole, rng = matrices(12, 2)
    F = rng.normal(size=(24, 24))
    F = 0.3 * F @ F.T
    g = rng.normal(size=24)
    found = conjugate(H, lambda v: F @ v, g, [])
    assert np.linalg.norm((whole + F) @ found + g) < 1e-4 * np.linalg.norm(g)
    assert conjugate(H, lambda v: -100 * (F @ v), g, []) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_model_with_nodes_in_order_is_the_quadratic_program(seed):
    import cvxpy as cp

    H, whole, rng = matrices(15, 2, seed)
    g, widths = 3 * rng.normal(size=30), rng.uniform(0.01, 0.3, 14)
    assert crushed(H.solve(-g), widths) > 1
    d = in_order(H, g, [1], widths)
    assert crushed(d, widths) <= 0.9
    assert abs(d[1]) < 1e-12
    x = cp.Variable(30)
    value = g @ x + 0.5 * cp.quad_form(x, cp.psd_wrap(whole))
    program = cp.Problem(cp.Minimize(value), [cp.diff(x[1::2]) >= -0.9 * widths, x[1] == 0])
    best = program.solve(solver=cp.CLARABEL)
    found = g @ d + 0.5 * d @ whole @ d
    assert best - 1e-9 <= found <= best + 0.02 * abs(best)


def test_bad_input_is_said():
    with pytest.raises(ValueError, match=r"the nodes must increase: a mesh is a graph over Theta"):
        jko.ChargedMesh([0.0, 1.0, 0.5], [0.0, 0.0, 0.0], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"masses sums to 0\.7; a state is a probability measure"):
        jko.ChargedMesh([0.0, 1.0], [0.0, 0.0], [0.7])
    with pytest.raises(ValueError, match=r"weights sums to 1\.5"):
        jko.ChargedMesh([0.0, 1.0, 2.0], [0.0] * 3, [0.5, 0.5], [0.5] * 3)
    with pytest.raises(ValueError, match=r"1 of the theta lie outside the domain"):
        jko.ChargedMesh([0.0, 3.0], [0.0, 0.0], [1.0], domain=jko.Box([-1.0], [1.0]))
    with pytest.raises(ValueError, match=r"H has 1 entries that are not finite"):
        jko.ChargedMesh([0.0, 1.0], [0.0, float("nan")], [1.0])
    with pytest.raises(ValueError, match=r"negative internal energy is unbounded below"):
        jko.step(G + (-0.1) * jko.Entropy(), mesh(), tau=0.1)
    with pytest.raises(
        TypeError, match=r"the state of MeshNewton must be ChargedMesh, not Charged"
    ):
        jko.step(G, mesh().to_particles(), tau=0.1, solver=jko.steps.MeshNewton())
    holes = jko.ChargedDensity(jko.Grid((0.0, 1.0), 4), [2.0, 0.0, 0.0, 2.0], [0.0] * 4)
    with pytest.raises(ValueError, match=r"none that is empty between them"):
        jko.ChargedMesh.from_density(holes)
    with pytest.raises(ValueError, match=r"the grid, .*, must hold it"):
        mesh().to_density(jko.Grid((0.0, 1.0), 4))
