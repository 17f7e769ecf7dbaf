"""Dynamic: the dual is what it says it is, and its minimiser is the JKO step on the grid."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize

import jko
from jko.status import Status
from jko.steps.dynamic import Dynamic
from jko.steps.dynamic.conjugates import Logarithmic, Mixed, Power, Quadratic, kind_of
from jko.steps.dynamic.kernels import prices
from jko.steps.dynamic.multigrid import apply
from jko.steps.dynamic.stepper import GridStep, Stepper

KINDS = [
    Logarithmic(0.7),
    Quadratic(2.0),
    Power(1.3, 3.0),
    Power(0.8, 1.5),
    Mixed(0.2, (1.0, 0.5), (2.0, 3.0)),
]
SHAPES = {1: (7,), 2: (5, 6), 3: (4, 3, 5)}
SPACINGS = {1: (0.2,), 2: (0.2, 0.13), 3: (0.2, 0.13, 0.3)}
ENERGIES = [
    jko.Entropy(),
    2 * jko.PorousMedium(2),
    jko.PorousMedium(1.5),
    jko.PorousMedium(3),
    0.3 * jko.Entropy() + jko.PorousMedium(2),
    jko.PorousMedium(2) + jko.PorousMedium(3),
]


def everywhere(kinds):
    # all in 2-D, the first two in 1-D and 3-D; the others there take long to compile
    return [
        pytest.param(
            kind, dim, id=f"{dim}-{kind}", marks=pytest.mark.slow if dim != 2 and k > 1 else ()
        )
        for dim in (1, 2, 3)
        for k, kind in enumerate(kinds)
    ]


def random_step(kind, dim, obstacles=True, shape=None):
    rng = np.random.default_rng(dim)
    shape = shape or SHAPES[dim]
    V = 0.1 * rng.normal(size=shape)
    if obstacles:
        V.ravel()[2] = V.ravel()[-2] = np.inf
    rho0 = rng.uniform(0.5, 1.5, shape) * np.isfinite(V)
    step = Stepper(GridStep(kind, rho0, V, SPACINGS[dim], 0.05, 1e-2))
    phi = 1.2 + 0.3 * rng.normal(size=shape)
    return step, step.layout.pad(phi), rng


def bump(grid, centre=0.2, level=0.5):
    return jko.GridDensity.from_function(
        grid, lambda x: (level - (x - centre).square().sum(-1)).clamp(min=0)
    )


@pytest.mark.parametrize(("kind", "dim"), everywhere(KINDS))
def test_gradient_and_hessian_are_those_of_the_dual(kind, dim):
    step, phi, rng = random_step(kind, dim)
    v = step.layout.pad(rng.normal(size=step.layout.shape) * step.layout.free)

    def gradient(s):
        step.evaluate(phi + s * v)
        step.imbalance()
        return step.F.copy()

    e = 1e-6
    slope = (step.evaluate(phi + e * v) - step.evaluate(phi - e * v)) / (2 * e)
    assert slope == pytest.approx(gradient(0.0) @ v, rel=1e-6)
    change = (gradient(e) - gradient(-e)) / (2 * e)
    gradient(0.0)
    step.prepare()
    Hv, L = np.zeros_like(v), step.layout
    quadratic = apply(step.A, step.D, L.offsets[0], L.rows[0], L.folds[0], v, Hv)
    Hv_exact = Hv - step.shift * v
    assert np.abs(L.crop(Hv_exact - change)[L.free]).max() < 1e-6 * np.abs(change).max()
    assert quadratic == pytest.approx(Hv @ v, rel=1e-12)


def energy_of(kind, x):
    # U(x), written out
    if isinstance(kind, Quadratic):
        return 0.5 * kind.c * x**2
    if isinstance(kind, Logarithmic):
        return kind.sigma * x * math.log(x) if x > 0 else 0.0
    if isinstance(kind, Power):
        return kind.c * x**kind.m / (kind.m * (kind.m - 1))
    powers = sum(c * x**m / (m * (m - 1)) for c, m in zip(kind.c, kind.m, strict=True))
    return powers + (kind.sigma * x * math.log(x) if x > 0 else 0.0)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_conjugate_is_the_maximum_of_p_r_minus_u(kind):
    L = (1,)
    for p in (-3.0, -0.4, 0.0, 0.3, 1.7):
        step = Stepper(GridStep(kind, np.ones(L), np.zeros(L), (1.0,), 1.0, 1e-3))
        J = step.evaluate(step.layout.pad(np.full(L, p))) + p
        r, w = float(step.rho[1]), 2 * float(step.w[0, 1])
        best = minimize(
            lambda x, p=p: energy_of(kind, x[0]) - p * x[0],
            max(r, 0.1),
            bounds=[(0.0, 50.0)],
            tol=1e-14,
        )
        assert -best.fun == pytest.approx(J, abs=1e-7)
        if r > 0:
            assert prices(kind, np.array([r]))[0] == pytest.approx(p, abs=1e-10)
            e = 1e-6 * r
            rise = prices(kind, np.array([r + e, r - e]))
            assert w == pytest.approx(2 * e / (rise[0] - rise[1]), rel=1e-4)


@pytest.mark.parametrize("shape", [(9, 7), (16, 16), (23, 17), (8, 9, 5)], ids=str)
def test_preconditioner_is_symmetric_and_positive_definite(shape):
    step, phi, _ = random_step(Quadratic(1.0), len(shape), shape=shape)
    step.evaluate(phi)
    step.prepare()
    L = step.layout
    cells = np.flatnonzero(L.pad(L.free.astype(float)))
    B = np.zeros((len(cells), len(cells)))
    for j, q in enumerate(cells):
        B[:, j] = step.precondition(np.eye(1, L.size, q)[0])[cells]
    assert np.abs(B - B.T).max() < 1e-6 * np.abs(B).max()  # of single precision
    assert np.linalg.eigvalsh(B).min() > 0


@pytest.mark.parametrize(("energy", "dim"), everywhere(ENERGIES))
def test_steps_converge_with_exact_mass_falling_energy_and_no_gap(energy, dim):
    rho = bump(jko.Grid((-1, 1), (17, 23, 14)[:dim]))
    result = jko.step(energy, rho, tau=0.02, solver=Dynamic(tol=1e-9))
    gap = result.certificate()
    assert result.status is Status.CONVERGED
    assert result.residual <= 1e-9
    assert float(result.state.mass) == pytest.approx(1.0, abs=1e-14)
    assert float(result.state.values.min()) >= 0
    assert result.slack > 0
    assert gap.rigorous
    assert -1e-14 < gap.value < 1e-9
    assert result.objective <= gap.reachable + 1e-12
    assert result.energy == pytest.approx(float(energy(result.state)), rel=1e-12)


def test_a_loose_step_has_a_small_gap_and_says_so():
    rho = bump(jko.Grid((-1, 1), (33, 30)))
    result = jko.step(2 * jko.PorousMedium(), rho, tau=0.02, solver=Dynamic(tol=1e-3))
    exact = jko.step(2 * jko.PorousMedium(), rho, tau=0.02, solver=Dynamic(tol=1e-10))
    gap = result.certificate()
    assert gap.lower_bound <= exact.certificate().lower_bound + 1e-12
    assert gap.reachable >= exact.certificate().reachable - 1e-12
    assert 0 < gap.value < 1e-3
    assert result.figures["correction"] <= 1e-3


def parabola(grid, R):
    # 2/pi / R^2 (1 - |x|^2 / R^2)_+ about the centre of the unit square
    r2 = (grid.centres - 0.5).square().sum(-1)
    values = 2 / math.pi / R**2 * (1 - r2 / R**2).clamp(min=0)
    return values.reshape(grid.shape)


def test_porous_medium_follows_the_exact_parabolas():
    # d_t rho = Lap rho^2: R_+ - R = 2 tau tp c / R_+^3 with tp = 2, c = 2 / pi; R^4 = 16 tp c t at time t
    grid, tau, c = jko.Grid((0.0, 1.0), (128, 128)), 1e-4, 2 / math.pi
    R = (8 * 2 * c * 2e-4) ** 0.25
    start = parabola(grid, R)
    rho, memory, before = jko.GridDensity(grid, start / start.sum() / grid.cell), {}, math.inf
    for _ in range(10):
        result = jko.step(2 * jko.PorousMedium(), rho, tau=tau, solver=Dynamic(), memory=memory)
        rho, memory = result.state, result.memory
        R = brentq(lambda S, R=R: S - R - 4 * tau * c / S**3, R, 2 * R)
        assert result.slack >= 0
        assert result.energy < before
        before = result.energy
    error = float((rho.values - parabola(grid, R)).abs().sum()) * grid.cell
    assert error < 2e-3


def test_gaussians_follow_the_exact_recursion():
    # V = a |x - c|^2 / 2 + beta Ent: mean and deviation of the exact JKO step (survey 4.1 for Gaussians)
    grid, a, beta, tau, s, m = jko.Grid((-3.0, 3.0), (96, 101)), 1.5, 0.6, 0.02, 0.5, 0.6
    energy = beta * jko.Entropy() + a * jko.SquaredNorm()
    rho = jko.GridDensity.from_function(
        grid, lambda x: (-(x - m).square().sum(-1) / (2 * s * s)).exp()
    )
    memory = {}
    for _ in range(5):
        result = jko.step(energy, rho, tau=tau, solver=Dynamic(tol=1e-7), memory=memory)
        rho, memory = result.state, result.memory
        s = (s + math.sqrt(s * s + 4 * beta * tau * (1 + a * tau))) / (2 * (1 + a * tau))
        m = m / (1 + a * tau)
    assert rho.mean().tolist() == pytest.approx([m, m], rel=2e-3)
    assert rho.covariance().diagonal().tolist() == pytest.approx([s * s] * 2, rel=5e-3)


@pytest.mark.parametrize("cells", [0.5, 0.05, 0.005])
def test_mass_drifts_at_the_exact_speed_by_less_than_a_cell(cells):
    # a linear potential moves every density by tau per step: no locking
    grid, tau = jko.Grid((0.0, 1.0), (100, 8)), 0.01 * cells
    energy = jko.Potential(lambda x: -x[:, 0]) + 1e-3 * jko.Entropy()
    rho = jko.GridDensity.from_function(grid, lambda x: (-((x[:, 0] - 0.4) ** 2) / 0.01).exp())
    start, memory = float(rho.mean()[0]), {}
    for _ in range(8):
        result = jko.step(energy, rho, tau=tau, solver=Dynamic(), memory=memory)
        rho, memory = result.state, result.memory
    assert float(rho.mean()[0]) - start == pytest.approx(8 * tau, rel=1e-2)


@pytest.mark.parametrize("shape", [(30,), (24, 17), (10, 9, 11)], ids=str)
@pytest.mark.parametrize("internal", [jko.Entropy(), jko.PorousMedium(2)], ids=str)
def test_walls_keep_mass_on_their_side(shape, internal):
    grid = jko.Grid((-1.0, 1.0), shape)
    wall = (grid.centres[:, 0] > 0.1) & (grid.centres[:, 0] < 0.3)
    V = torch.where(wall, math.inf, 0.0)

    def obstacle(x):
        inside = (x[:, 0] > 0.1) & (x[:, 0] < 0.3)
        return torch.where(inside, math.inf, x[:, 0])

    start = jko.GridDensity.from_function(
        grid, lambda x: ((x[:, 0] < 0) + 1e-3 * x[:, 0] ** 2) * ~wall
    )
    right = (grid.centres[:, 0] > 0.3).to(torch.float64)
    result = jko.step(internal + jko.Potential(obstacle), start, tau=0.05, solver=Dynamic(tol=1e-9))
    assert float(result.state.weights[torch.isinf(V)].sum()) == 0
    there = [float(state.integrate(right)) for state in (start, result.state)]
    assert there[1] == pytest.approx(there[0], rel=1e-9)
    assert -1e-13 < result.certificate().value < 1e-8
    empty = jko.GridDensity.from_function(grid, lambda x: 1.0 * (x[:, 0] < 0) * x[:, 0] ** 2)
    result = jko.step(internal + jko.Potential(obstacle), empty, tau=0.05, solver=Dynamic(tol=1e-9))
    assert float(result.state.integrate(right)) == 0


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 3), (1, 40), (40, 1), (5, 64), (65, 33), (3, 2, 31)], ids=str
)
def test_all_shapes_and_spacings_work(shape):
    bounds = [(0.0, 1.0), (0.0, 3.0), (0.0, 0.5)][: len(shape)]
    rho = jko.GridDensity.from_function(jko.Grid(bounds, shape), lambda x: 0.1 + x[:, 0] ** 2)
    for energy in (jko.Entropy(), 2 * jko.PorousMedium(2)):
        result = jko.step(energy, rho, tau=0.1, solver=Dynamic(tol=1e-9))
        assert result.certificate().value < 1e-9


def test_axes_may_be_exchanged():
    flat = bump(jko.Grid(((-1, 1), (-2, 1)), (20, 31)))
    turned = jko.GridDensity(jko.Grid(((-2, 1), (-1, 1)), (31, 20)), flat.values.T.contiguous())
    one, two = (
        jko.step(jko.PorousMedium(), r, tau=0.05, solver=Dynamic(tol=1e-10)) for r in (flat, turned)
    )
    assert float((one.state.values - two.state.values.T).abs().max()) < 1e-7


def test_memory_saves_work_and_changes_nothing():
    rho = bump(jko.Grid((-1, 1), (60, 60)))
    first = jko.step(jko.Entropy(), rho, tau=1e-5, solver=Dynamic(tol=1e-9))
    again = jko.step(jko.Entropy(), rho, tau=1e-5, solver=Dynamic(tol=1e-9), memory=first.memory)
    assert again.figures["newton"] <= 1 < first.figures["newton"]
    assert float((again.state.values - first.state.values).abs().max()) < 1e-7
    assert first.memory["potential"].shape == rho.grid.shape


def test_one_grid_and_the_cascade_agree():
    rho = bump(jko.Grid((-1, 1), (65, 50)))
    energy = 2 * jko.PorousMedium() + jko.SquaredNorm()
    states = [
        jko.step(energy, rho, tau=0.02, solver=Dynamic(tol=1e-10, cascade=c)).state
        for c in (0, 1, None)
    ]
    for other in states[1:]:
        assert float((other.values - states[0].values).abs().max()) < 1e-7


def test_a_steady_state_stays():
    grid = jko.Grid((-1.0, 1.0), (40, 40))
    rho = jko.GridDensity.from_function(grid, lambda x: (-x.square().sum(-1)).exp())
    result = jko.step(jko.Entropy() + 2 * jko.SquaredNorm(), rho, tau=0.1, solver=Dynamic())
    assert result.status is Status.CONVERGED
    assert float((result.state.values - rho.values).abs().max()) < 1e-3
    assert result.slack > -1e-11


def test_interactions_and_risks_are_solved_with_the_true_objective():
    rho = bump(jko.Grid((-1, 1), (24, 24)), centre=0.3)
    spring = jko.Interaction(lambda z: z.square().sum(-1))
    result = jko.step(jko.PorousMedium() + spring, rho, tau=0.05, solver=Dynamic(tol=1e-8))
    assert result.status is Status.CONVERGED
    assert result.slack > 0
    # W = |z|^2 about a mean m that stays is the potential |x - m|^2 plus a constant
    m = rho.mean()
    same = jko.step(
        jko.PorousMedium() + jko.Potential(lambda x: (x - m).square().sum(-1)),
        rho,
        tau=0.05,
        solver=Dynamic(tol=1e-8),
    )
    assert float((result.state.values - same.state.values).abs().sum()) * rho.grid.cell < 1e-3


def test_without_an_internal_energy_the_refusal_says_what_to_add():
    rho = bump(jko.Grid((-1, 1), 20))
    with pytest.raises(ValueError, match=r"no internal term.*add a little of one"):
        jko.step(jko.SquaredNorm(), rho, tau=0.1, solver=Dynamic())


def test_bad_options_and_states_are_refused():
    with pytest.raises(ValueError, match=r"tol = 0"):
        Dynamic(tol=0)
    with pytest.raises(ValueError, match=r"cascade = -1"):
        Dynamic(cascade=-1)
    with pytest.raises(TypeError, match=r"GridDensity, not Particles"):
        jko.step(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.1, solver=Dynamic())


def test_a_tiny_entropy_in_a_strong_potential_converges():
    rho = bump(jko.Grid((-1, 1), (48, 45)))
    energy = 1e-3 * jko.Entropy() + 50 * jko.SquaredNorm()
    result = jko.step(energy, rho, tau=1.0, solver=Dynamic())
    assert result.slack > 0
    assert result.certificate().value < 1e-5


def test_steps_that_fail_say_so_and_warn_of_nothing():
    rho = jko.GridDensity.from_function(
        jko.Grid((-1, 1), (48, 45)), lambda x: (-(x - 0.31).square().sum(-1) / 5e-5).exp()
    )
    energy = 1e-3 * jko.Entropy() + 50 * jko.SquaredNorm()
    result = jko.step(energy, rho, tau=100.0, solver=Dynamic(), throw=False)
    assert result.status.ok == (result.residual <= 1e-4)


def test_too_few_iterations_are_reported():
    rho = bump(jko.Grid((-1, 1), (30, 30)))
    result = jko.step(
        2 * jko.PorousMedium(),
        rho,
        tau=0.05,
        solver=Dynamic(tol=1e-10, max_iterations=1, cascade=0),
        throw=False,
    )
    assert result.status is Status.MAX_ITERATIONS


def test_kinds_of_sums():
    assert kind_of([(2.0, jko.PorousMedium(2)), (1.0, jko.PorousMedium(2))]) == Quadratic(3.0)
    assert kind_of([(2.0, jko.Entropy())]) == Logarithmic(2.0)
    assert kind_of([(1.0, jko.PorousMedium(3))]) == Power(1.0, 3.0)
    assert kind_of([(1.0, jko.Entropy()), (1.0, jko.PorousMedium(3))]) == Mixed(1.0, (1.0,), (3.0,))


def test_a_strong_interaction_keeps_its_promise():
    # the linearisation overshoots here: what is returned must be a minimising step, or say that it is not
    rho = bump(jko.Grid((-1, 1), (20, 20)), centre=0.0)
    spring = 5 * jko.Interaction(lambda z: -(-z.square().sum(-1) / 0.1).exp())
    result = jko.step(
        0.2 * jko.PorousMedium() + spring, rho, tau=0.2, solver=Dynamic(tol=1e-6), throw=False
    )
    assert result.status.ok == (result.residual <= 1e-6)
    assert result.slack > 0
    assert math.isinf(result.certificate().value)
