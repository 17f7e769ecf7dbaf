"""``Dynamic(inner=n)``: the problem in n slabs of time is solved, and its steps tend to the exact JKO steps."""

import cvxpy as cp
import numpy as np
import pytest
import torch

import jko
from jko import exact
from jko.status import Status
from jko.steps.dynamic import Dynamic
from jko.steps.dynamic.conjugates import Logarithmic, Quadratic
from jko.steps.dynamic.inner.path import SlabPath
from jko.steps.dynamic.stepper import GridStep

SHAPES = {1: (9,), 2: (5, 6), 3: (4, 3, 5)}
SPACINGS = {1: (0.2,), 2: (0.2, 0.13), 3: (0.2, 0.13, 0.3)}


def random_path(kind, dim, n=3, periodic=False):
    rng = np.random.default_rng(dim)
    shape = SHAPES[dim]
    V = 0.1 * rng.normal(size=shape)
    V.ravel()[2] = np.inf
    free = np.isfinite(V)
    rho0 = rng.uniform(0.5, 1.5, shape) * free
    near = rng.uniform(0.2, 1.5, (n - 1, *shape)) * free
    around = (periodic,) * dim
    path = SlabPath(GridStep(kind, rho0, V, SPACINGS[dim], 0.2, 1e-2, around), near, 0.3)
    phi = path.pad(1.2 + 0.3 * rng.normal(size=(n, *shape)))
    v = path.pad(rng.normal(size=(n, *shape)) * free)
    return path, phi, v


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "periodic"),
    [(Quadratic(2.0), False), (Quadratic(2.0), True), (Logarithmic(0.7), False)],
)
def test_gradient_and_hessian_are_those_of_the_dual(kind, periodic, dim):
    path, phi, v = random_path(kind, dim, periodic=periodic)

    def gradient(s):
        path.evaluate(phi + s * v)
        path.imbalance()
        return path.F.copy()

    e = 1e-6
    slope = (path.evaluate(phi + e * v) - path.evaluate(phi - e * v)) / (2 * e)
    assert slope == pytest.approx(float((gradient(0.0) * v).sum()), rel=1e-6)
    change = (gradient(e) - gradient(-e)) / (2 * e)
    gradient(0.0)
    path.prepare()
    Hv = path.product(v.ravel()).reshape(v.shape)
    assert np.abs((Hv - change)[:, path.free]).max() < 1e-6 * np.abs(change).max()


@pytest.mark.parametrize(("dim", "periodic"), [(1, False), (2, False), (2, True), (3, False)])
def test_preconditioner_is_symmetric_positive_and_close(dim, periodic):
    path, phi, _ = random_path(Quadratic(2.0), dim, periodic=periodic)
    path.evaluate(phi)
    path.imbalance()
    path.prepare()
    cells = np.flatnonzero(np.tile(path.free, path.n))
    unit = np.eye(phi.size)[cells]
    B = np.array([path.precondition(x)[cells] for x in unit])
    H = np.array([path.product(x)[cells] for x in unit])
    assert np.abs(B - B.T).max() < 1e-6 * np.abs(B).max()
    assert np.abs(H - H.T).max() < 1e-12 * np.abs(H).max()
    assert np.linalg.eigvalsh(B + B.T).min() > 0
    values = np.linalg.eigvals(B @ H).real
    assert values.min() > 0
    assert values.max() < 1.5


def by_cvxpy(rho0, V, h, tau, n, eps):
    """The problem (P_n) of ``1/2 int rho^2 + int V drho``, written out: its value and the last density."""
    shape, d = rho0.shape, rho0.ndim
    index, dt = np.arange(rho0.size).reshape(shape), tau / n
    faces = []
    for a in range(d):
        low = np.take(index, range(shape[a] - 1), axis=a).ravel()
        high = np.take(index, range(1, shape[a]), axis=a).ravel()
        faces += [(int(i), int(j), a) for i, j in zip(low, high, strict=True)]
    corners = cp.Variable((rho0.size, 2**d), nonneg=True)
    inner = [cp.Variable(rho0.size, nonneg=True) for _ in range(n - 1)]
    densities = [rho0.ravel(), *inner, cp.sum(corners, axis=1) / 2**d]
    cost, constraints = 0, []
    for k in range(n):
        F = cp.Variable(len(faces))
        before, after = densities[k], densities[k + 1]
        divergence = np.zeros((rho0.size, len(faces)))
        for f, (i, j, a) in enumerate(faces):
            divergence[i, f], divergence[j, f] = 1 / h[a], -1 / h[a]
            M = 0.25 * (before[i] + before[j]) + eps
            if k < n - 1:
                M = M + 0.25 * (after[i] + after[j])
            else:
                bit = d - 1 - a
                upper = [c for c in range(2**d) if c >> bit & 1]
                lower = [c for c in range(2**d) if not c >> bit & 1]
                M = M + 0.5 / 2**d * (cp.sum(corners[i, upper]) + cp.sum(corners[j, lower]))
            cost = cost + cp.quad_over_lin(F[f], M)
        constraints.append(after - before + dt * (divergence @ F) == 0)
    energy = cp.sum_squares(corners) / (2 * 2**d) + V.ravel() @ densities[-1]
    problem = cp.Problem(cp.Minimize(float(np.prod(h)) * (energy + 0.5 * dt * cost)), constraints)
    problem.solve(solver=cp.CLARABEL)
    return problem.value, densities[-1].value.reshape(shape)


@pytest.mark.parametrize(("shape", "n"), [((9,), 3), ((4, 5), 2), ((2, 3, 3), 2)], ids=str)
def test_the_discrete_problem_is_the_one_that_is_written(shape, n):
    rng = np.random.default_rng(5)
    grid = jko.Grid(((0.0, 1.0),) * len(shape), shape)
    rho0 = rng.uniform(0.1, 2.0, shape)
    rho0 /= rho0.sum() * grid.cell
    V = 3 * rng.uniform(size=shape)
    start = jko.GridDensity(grid, torch.from_numpy(rho0))
    energy = jko.PorousMedium(2) + jko.Potential(lambda x: torch.from_numpy(V).reshape(-1))
    solver = Dynamic(inner=n, tol=1e-9, eps=1e-3)
    result = jko.step(energy, start, tau=0.05, solver=solver)
    value, rho = by_cvxpy(rho0, V, grid.spacing, 0.05, n, 1e-3 * rho0.max())
    proof = result.certificate()
    assert proof.lower_bound - 1e-6 <= value <= proof.reachable + 1e-6
    assert proof.value < 1e-4
    assert np.abs(result.state.values.numpy() - rho).max() < 2e-3


def means(grid, profile, fine=4):
    points = jko.Grid(grid.bounds, [fine * k for k in grid.shape]).centres.numpy()
    split = [count for k in grid.shape for count in (k, fine)]
    values = profile(points).reshape(split).mean(tuple(range(1, 2 * grid.dim, 2)))
    return jko.GridDensity(grid, torch.from_numpy(values / (values.sum() * grid.cell)))


def barenblatt_in_a_well(cells, d, tau, well=200.0):
    grid, law = jko.Grid((0.0, 1.0), (cells,) * d), {"m": 2, "d": d, "c": 2}
    R = float(exact.barenblatt_flow(0.0, t=2e-4, **law))
    after = exact.barenblatt_step(R, a=well, tau=tau, **law)
    start, answer = (
        means(grid, lambda x, r=r: exact.barenblatt(x, R=r, m=2, centre=0.5)) for r in (R, after)
    )
    V = jko.Potential(lambda x: 0.5 * well * (x - 0.5).square().sum(-1))
    distance = exact.barenblatt_spread(m=2, d=d) * (R - after) ** 2
    return 2 * jko.PorousMedium(2) + V, start, answer, distance


def gaussian_in_a_well(cells, d, tau):
    grid, well = jko.Grid((0.0, 1.0), (cells,) * d), {"A": 100.0, "centre": 0.5, "beta": 1.0}
    law = exact.NormalLaw(np.full(d, 0.4), 0.06**2 * np.eye(d))
    after = exact.gaussian_step(*law, tau=tau, **well)
    start, answer = (means(grid, lambda x, g=g: exact.gaussian(x, *g)) for g in (law, after))
    V = jko.Potential(lambda x: 50 * (x - 0.5).square().sum(-1))
    widths = after.covariance[0, 0] ** 0.5 - law.covariance[0, 0] ** 0.5
    distance = float(((after.mean - law.mean) ** 2).sum() + d * widths**2)
    return jko.Entropy() + V, start, answer, distance


def errors(problem, tau, slabs, **options):
    energy, start, answer, distance = problem
    found = []
    for n in slabs:
        result = jko.step(energy, start, tau=tau, solver=Dynamic(inner=n, **options))
        assert result.status is Status.CONVERGED
        assert result.slack > 0
        assert float(result.state.mass) == pytest.approx(1.0, abs=1e-14)
        assert float(result.state.values.min()) >= 0
        L1 = float((result.state.values - answer.values).abs().sum()) * start.grid.cell
        found.append((L1, abs(result.cost / distance - 1)))
    return np.array(found).T


@pytest.mark.parametrize(
    ("make", "tau"),
    [(barenblatt_in_a_well, 1e-3), (gaussian_in_a_well, 1e-2)],
    ids=["barenblatt", "gaussian"],
)
def test_a_large_step_on_the_line_tends_to_the_exact_one_with_order_two(make, tau):
    steps, costs = errors(make(512, 1, tau), tau, (1, 2, 4), eps=1e-6, tol=1e-5)
    assert steps[0] > 1e-2
    assert (steps[:-1] / steps[1:]).min() > 2.7
    assert steps[-1] < 2e-3
    assert costs[-1] < 2e-3
    assert costs[-1] < costs[0] / 5


def test_the_cost_is_the_squared_distance_in_the_limit():
    # a profile that keeps its shape, at a spacing whose own error is small; errors of the action fall by four
    _, costs = errors(barenblatt_in_a_well(1024, 1, 1e-3), 1e-3, (1, 2, 4), eps=1e-7, tol=1e-6)
    assert 3.5 < costs[0] / costs[1] < 6
    assert costs[1] / costs[2] > 3.5


@pytest.mark.parametrize(
    ("make", "tau"),
    [(barenblatt_in_a_well, 1e-3), (gaussian_in_a_well, 1e-2)],
    ids=["barenblatt", "gaussian"],
)
def test_a_large_step_in_the_plane(make, tau):
    steps, costs = errors(make(64, 2, tau), tau, (1, 4))
    assert steps[1] < steps[0] / 4
    assert costs[1] < costs[0] / 3


def test_a_large_step_in_space():
    steps, costs = errors(gaussian_in_a_well(20, 3, 1e-2), 1e-2, (1, 2))
    assert steps[1] < steps[0] / 1.7
    assert costs[1] < costs[0]


@pytest.mark.slow
def test_a_large_step_on_fine_cells_is_the_exact_one_to_1e_3():
    for cells in (128, 256):
        steps, _ = errors(barenblatt_in_a_well(cells, 2, 1e-3), 1e-3, (1, 2, 4, 8))
        assert steps[-1] < 1.5e-3
        assert (steps[:-1] / steps[1:]).min() > 2


def box(cells=32, d=2):
    return jko.Grid(((0.0, 1.0),) * d, (cells,) * d)


def disc(centre, grid=None):
    grid = box() if grid is None else grid
    return jko.GridDensity.from_function(
        grid, lambda x: (0.04 - (x - centre).square().sum(-1)).clamp(min=0)
    )


def well(x, centre=0.6):
    return 5 * (x - centre).square().sum(-1)


STEPS = [
    (jko.PorousMedium(2), 1e-6),
    (jko.PorousMedium(2), 1e-3),
    (jko.PorousMedium(2), 0.05),
    (0.5 * jko.Entropy(), 1e-6),
    (0.5 * jko.Entropy(), 1e-3),
    (0.5 * jko.Entropy(), 0.05),
    (0.01 * jko.Entropy(), 0.05),
    (0.01 * jko.PorousMedium(2), 0.05),
    (jko.PorousMedium(3), 0.05),
]
SLOW = [
    (energy, tau)
    for energy in (jko.PorousMedium(1.5), 0.3 * jko.Entropy() + jko.PorousMedium(2))
    for tau in (1e-6, 1e-3, 0.05)
]


@pytest.mark.parametrize(
    ("energy", "tau"), STEPS + [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW]
)
def test_a_step_is_proved_from_small_to_large_tau(energy, tau):
    F = energy + jko.Potential(well)
    one = jko.step(F, disc(0.3), tau=tau, solver=Dynamic())
    result = jko.step(F, disc(0.3), tau=tau, solver=Dynamic(inner=4))
    assert result.status is Status.CONVERGED
    assert result.residual <= 1e-4
    assert result.slack > 0
    assert float(result.state.mass) == pytest.approx(1.0, abs=1e-14)
    assert float(result.state.values.min()) >= 0
    if tau == 1e-6:  # where mass moves by less than a tenth of a cell, one slab is as good as four
        assert torch.equal(one.state.values, result.state.values)
    else:
        fall = result.before - result.energy
        assert -1e-9 < result.certificate().value < 0.01 * fall


def slit(x):
    shut = ((x[:, 0] - 0.5).abs() < 0.04) & ((x[:, 1] - 0.5).abs() > 0.1)
    return torch.where(shut, torch.inf, well(x, 0.75))


@pytest.mark.parametrize("energy", [jko.PorousMedium(2), 0.2 * jko.Entropy()], ids=str)
def test_obstacles_hold_no_mass_and_let_none_through(energy):
    F = energy + jko.Potential(slit)
    result = jko.step(F, disc(0.25), tau=0.05, solver=Dynamic(inner=4))
    closed = torch.isinf(slit(box().centres)).reshape(32, 32)
    assert result.status is Status.CONVERGED
    assert result.slack > 0
    assert float(result.state.values[closed].abs().max()) == 0
    wall = jko.Potential(lambda x: torch.where((x[:, 0] - 0.5).abs() < 0.04, torch.inf, well(x)))
    shut = jko.step(energy + wall, disc(0.25), tau=0.05, solver=Dynamic(inner=2))
    assert float(shut.state.values[17:].abs().max()) == 0


def test_a_step_comes_round():
    def state(shift):
        grid = jko.Grid(((0.0, 1.0),) * 2, (32, 32), periodic=True)
        return jko.GridDensity.from_function(
            grid, lambda x: (0.04 - ((x - shift + 0.5) % 1 - 0.5).square().sum(-1)).clamp(min=0)
        )

    inside, across = (
        jko.step(jko.PorousMedium(2), state(s), tau=0.005, solver=Dynamic(inner=4))
        for s in (0.5, 0.0)
    )
    rolled = torch.roll(across.state.values, (16, 16), (0, 1))
    assert float((inside.state.values - rolled).abs().sum()) * inside.state.grid.cell < 1e-3
    assert across.status is Status.CONVERGED
    assert across.certificate().value < 1e-2 * (across.before - across.energy)


def test_interactions_by_repeated_linearisation():
    grid = box()
    pull = jko.Interaction(lambda z: 2 * z.square().sum(-1))
    alike = jko.Potential(lambda x: 2 * (x - 0.5).square().sum(-1))
    a, b = (
        jko.step(jko.PorousMedium(2) + term, disc(0.5), tau=0.02, solver=Dynamic(inner=2, tol=1e-5))
        for term in (pull, alike)
    )
    assert a.status is Status.CONVERGED
    assert float((a.state.values - b.state.values).abs().sum()) * grid.cell < 1e-3


def test_flows_and_schemes_take_it():
    F, start = jko.PorousMedium(2) + jko.Potential(well), disc(0.3)
    run = jko.flow(F, start, tau=0.02, steps=2, solver=Dynamic(inner=2))
    assert (run.slacks > 0).all()
    order_two = jko.flow(F, start, tau=0.02, steps=2, solver=Dynamic(inner=2), scheme=jko.SDIRK2())
    assert order_two.energies[-1] < order_two.energies[0]


def test_what_it_does_not_know_is_said():
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
    features = jko.Risk(jko.Data(x, x[:, 0]), features=lambda xi, x: xi[:, :1] * x.T)
    with pytest.raises(ValueError, match="no risk"):
        jko.step(features + jko.Entropy(), disc(0.3), tau=0.1, solver=Dynamic(inner=2))
    with pytest.raises(ValueError, match="compiled kernels"):
        jko.step(jko.Entropy(), disc(0.3), tau=0.1, solver=Dynamic(inner=2, compiled=False))
    for bad in (0, -1, 1.5):
        with pytest.raises((TypeError, ValueError), match="inner"):
            Dynamic(inner=bad)
