"""Steps of densities where axes come round: the discrete dual, Fourier series, shifts, and products."""

import math

import numpy as np
import pytest
import torch

import jko
from jko.steps.dynamic.conjugates import kind_of
from jko.steps.dynamic.stepper import GridStep, Stepper

TWO_PI = 2 * math.pi
ENERGIES = {
    "entropy": (0.3, jko.Entropy()),
    "square": (1.0, jko.PorousMedium(2)),
}
GRIDS = [
    ((2,), (True,), False),
    ((7,), (True,), True),
    ((6, 7), (True, True), False),
    ((13, 16), (True, True), True),
    ((9, 4), (False, True), True),
    ((1, 5), (True, True), False),
    ((9, 8, 7), (True, False, True), True),
]


def problem(shape, periodic, obstacles, energy, seed=0):
    rng = np.random.default_rng(seed)
    rho0, V = 1 + rng.random(shape), rng.random(shape)
    if obstacles:
        V[rng.random(shape) < 0.1] = np.inf
        rho0[np.isinf(V)] = 0.0
    kind = kind_of((ENERGIES[energy],))
    return GridStep(kind, rho0, V, (1 / shape[0],) * len(shape), 0.01, 1e-3, periodic), rng


def gradient(step, phi):
    step.evaluate(step.pad(phi))
    step.imbalance()
    return step.crop(step.F).copy()


@pytest.mark.parametrize("energy", ENERGIES)
@pytest.mark.parametrize(("shape", "periodic", "obstacles"), GRIDS)
def test_the_dual_its_derivatives_and_its_solver(shape, periodic, obstacles, energy):
    data, rng = problem(shape, periodic, obstacles, energy)
    step, free = Stepper(data), np.isfinite(data.V)
    phi = 0.1 * rng.random(shape) + (1.5 if energy == "square" else 0.0)
    u, v = (rng.standard_normal(shape) * free for _ in range(2))
    e = 1e-6
    rise = step.evaluate(step.pad(phi + e * v)) - step.evaluate(step.pad(phi - e * v))
    change = gradient(step, phi + e * v) - gradient(step, phi - e * v)
    F = gradient(step, phi)
    assert rise / (2 * e) == pytest.approx(float((F * v).sum()), rel=1e-6, abs=1e-8)
    assert F.sum() == pytest.approx((step.crop(step.rho) - data.rho0).sum(), abs=1e-12)
    step.prepare()
    Hv = np.zeros(step.layout.size)
    step.product(step.pad(v), Hv)
    assert np.abs(step.crop(Hv) - change / (2 * e))[free].max() < 1e-6 * np.abs(change / e).max()
    Bu, Bv = (step.crop(step.precondition(step.pad(w))).copy() for w in (u, v))
    assert (v * Bu).sum() == pytest.approx((u * Bv).sum(), rel=1e-4, abs=1e-9)
    assert (v * Bv).sum() > 0
    x, iterations = step.solve(step.pad(F), 1e-10)
    step.product(x.copy(), Hv)
    assert np.abs(step.crop(Hv) - F).sum() < 2e-10 * step.mass
    assert iterations <= 15
    turn = [int(rng.integers(0, n)) if p else 0 for n, p in zip(shape, periodic, strict=True)]
    axes = tuple(range(len(shape)))
    turned = [np.roll(a, turn, axes) for a in (data.rho0, data.V, phi, F)]
    other = gradient(Stepper(data._replace(rho0=turned[0], V=turned[1])), turned[2])
    assert np.abs(other - turned[3]).max() < 1e-14


@pytest.mark.parametrize("shape", [(13, 16), (14, 11), (9, 7, 8)])
def test_coarser_levels_come_round_with_the_same_mobility(shape):
    data, rng = problem(shape, (True,) * len(shape), False, "entropy")
    step = Stepper(data)
    gradient(step, 0.1 * rng.random(shape))
    step.prepare()
    L, cells = step.layout, [np.array(shape)]
    while len(cells) < len(L.rows):
        cells.append(-(-cells[-1] // 2))
    for a in range(len(shape)):
        through = []
        for k, counts in enumerate(cells):
            K = step.K[a, L.start[k] : L.start[k + 1]].reshape(counts + 2)
            through.append(np.take(K, counts[a], axis=a).sum())  # the faces of the seam
        assert through == pytest.approx(through[:1] * len(cells), rel=1e-12)


def wave(grid, amplitudes, shift=0.0):
    """``1 + sum_k a_k cos(2 pi k . (x - shift))`` as exact means over cells."""
    total = torch.ones(grid.shape, dtype=torch.float64)
    for k, a in amplitudes:
        factor = math.prod(
            np.sinc(m * h) if m else 1.0 for m, h in zip(k, grid.spacing, strict=True)
        )
        phase = TWO_PI * ((grid.centres - shift) @ torch.tensor(k, dtype=torch.float64))
        total = total + a * factor * torch.cos(phase).reshape(grid.shape)
    return jko.GridDensity(grid, total / (total.sum() * grid.cell))


@pytest.mark.parametrize(("shape", "modes"), [((128,), [(1,), (2,)]), ((48, 48), [(1, 0), (1, 1)])])
def test_heat_is_its_fourier_series_to_both_orders(shape, modes):
    grid, T = jko.Grid((0, 1), shape, periodic=True), 0.02
    rates = [TWO_PI**2 * sum(m * m for m in k) for k in modes]
    start = wave(grid, [(k, 0.4) for k in modes])
    exact = wave(grid, [(k, 0.4 * math.exp(-r * T)) for k, r in zip(modes, rates, strict=True)])
    for scheme, low, high in ((jko.Implicit(), 1.8, 2.3), (jko.SDIRK2(), 3.2, 8.0)):
        errors = []
        for steps in (2, 4):
            run = jko.flow(
                jko.Entropy(),
                start,
                tau=T / steps,
                steps=steps,
                scheme=scheme,
                solver=jko.Dynamic(tol=1e-8),
            )
            errors.append(float((run.final.values - exact.values).abs().mean()))
            assert float(run.final.mass) == pytest.approx(1.0, abs=1e-13)
            assert (run.slacks >= 0).all()
        assert low < errors[0] / errors[1] < high
    assert errors[1] < 1.5e-3


def test_a_drift_carries_the_stationary_law_to_where_it_belongs():
    """``d_t rho = rho'' + (rho V')'`` for V = b cos(2 pi x), linear, on the first modes."""
    grid, T, b = jko.Grid((0, 1), 96, periodic=True), 0.02, 0.5
    start = wave(grid, [((1,), 0.3)], shift=0.2)
    V = jko.Potential(lambda x: b * torch.cos(TWO_PI * x[:, 0]))
    K = 12
    k = np.arange(-K, K + 1)
    generator = np.diag(-((TWO_PI * k) ** 2)).astype(complex)
    for row, m in enumerate(k):  # V' = -2 pi b sin: Fourier modes +-1
        for s, coefficient in ((1, 1j * np.pi * b), (-1, -1j * np.pi * b)):
            if abs(m - s) <= K:
                generator[row, m - s + K] += 1j * TWO_PI * m * coefficient
    from scipy.linalg import expm

    modes = np.zeros(2 * K + 1, complex)
    modes[K], modes[K + 1] = 1.0, 0.15 * np.exp(-1j * TWO_PI * 0.2)
    modes[K - 1] = modes[K + 1].conj()
    after = expm(T * generator) @ modes
    x = grid.axes[0].numpy()
    exact = (after * np.sinc(k / 96) * np.exp(1j * TWO_PI * k * x[:, None])).sum(1).real
    errors = []
    for scheme in (jko.Implicit(), jko.SDIRK2()):
        for steps in (2, 4):
            run = jko.flow(
                jko.Entropy() + V,
                start,
                tau=T / steps,
                steps=steps,
                scheme=scheme,
                solver=jko.Dynamic(tol=1e-8),
            )
            errors.append(float(np.abs(run.final.values.numpy() - exact).mean()))
    assert 1.8 < errors[0] / errors[1] < 2.4
    assert errors[2] / errors[3] > 3.0
    assert errors[3] < 3e-4


@pytest.mark.parametrize(
    "energy",
    [
        jko.Entropy(),
        jko.PorousMedium(2),
        0.5 * jko.PorousMedium(3),
        jko.Entropy() + jko.PorousMedium(2),
    ],
)
@pytest.mark.parametrize("walled", [False, True])
def test_a_flow_turns_with_its_start_and_its_potential(energy, walled):
    grid = jko.Grid((0, 1), (20, 17), periodic=(True, not walled))
    x = grid.centres
    bump = (1.5 * torch.cos(TWO_PI * x[:, 0]) + torch.sin(TWO_PI * x[:, 1])).exp()
    well = torch.cos(TWO_PI * (x[:, 0] + 2 * x[:, 1])) if not walled else x[:, 1]
    well = torch.where((x - 0.5).abs().amax(1) < 0.1, torch.inf, well)  # an obstacle
    bump = torch.where(well.isinf(), 0.0, bump).reshape(grid.shape)
    finals = []
    for turn in ((0, 0), (13, 0 if walled else 6)):
        values, V = (t.reshape(grid.shape).roll(turn, (0, 1)) for t in (bump, well))
        rho = jko.GridDensity(grid, values / (values.sum() * grid.cell))
        table = V.reshape(-1)
        E = energy + jko.Potential(lambda at, table=table: table)
        run = jko.flow(E, rho, tau=0.02, steps=2, solver=jko.Dynamic(tol=1e-9))
        assert float(run.final.mass) == pytest.approx(1.0, abs=1e-13)
        assert (run.slacks >= 0).all()
        finals.append(run.final.values.roll([-t for t in turn], (0, 1)))
    assert float((finals[0] - finals[1]).abs().sum()) * grid.cell < 1e-8


def test_products_are_the_steps_of_their_factors():
    """Of an entropy, with a circle in x and walls in y."""
    line, circle = jko.Grid((0, 1), 24), jko.Grid((0, 1), 20, periodic=True)
    plane = jko.Grid((0, 1), (20, 24), periodic=(True, False))
    f = jko.GridDensity.from_function(circle, lambda x: (torch.cos(TWO_PI * x[:, 0])).exp())
    g = jko.GridDensity.from_function(line, lambda x: 1 + x[:, 0])
    product = jko.GridDensity(plane, f.values[:, None] * g.values)
    solver = jko.Dynamic(tol=1e-9)
    runs = [
        jko.flow(jko.Entropy(), rho, tau=1e-4, steps=2, solver=solver) for rho in (f, g, product)
    ]
    a, b, both = (run.final.values for run in runs)
    assert float((a[:, None] * b - both).abs().mean()) < 2e-5
    moved = float((both - product.values).abs().mean())
    assert moved > 5e-3  # the corner form of the action is not separable: to higher order alone


def test_risks_interactions_gaps_and_large_powers_come_round():
    grid = jko.Grid(((-1, 1), (0, 2)), (16, 14), periodic=(True, True))
    rho = jko.GridDensity.from_function(
        grid, lambda x: (torch.cos(math.pi * x[:, 0]) - torch.sin(math.pi * x[:, 1])).exp()
    )
    data = jko.Data([[0.0], [0.5], [1.0]], [0.2, 0.1, -0.3])

    def features(z, x):
        return torch.cos(math.pi * (z[:, :1] - x.T)) * torch.sin(math.pi * z[:, 1:])

    for energy in (
        jko.Risk(data, features=features) + 0.1 * jko.Entropy(),
        jko.Interaction(lambda z: -torch.cos(math.pi * z).sum(-1)) + jko.Entropy(),
        jko.PorousMedium(6),
    ):
        result = jko.step(energy, rho, tau=0.05, solver=jko.Dynamic(tol=1e-7))
        assert result.status.ok
        assert result.slack >= 0
        if "Risk" in repr(energy):
            continue
        there = jko.GridDensity(grid, rho.values.roll(5, 0))
        turned = jko.step(energy, there, tau=0.05, solver=jko.Dynamic(tol=1e-7))
        apart = turned.state.values - result.state.values.roll(5, 0)
        assert float(apart.abs().sum()) * grid.cell < 1e-5
    gap = jko.step(jko.Entropy(), rho, tau=0.05, solver=jko.Dynamic(tol=1e-9)).certificate()
    assert gap.rigorous
    assert 0 <= gap.value < 1e-9


def test_chambers_go_on_beyond_a_seam():
    grid = jko.Grid((0, 1), 12, periodic=True)
    table = torch.zeros(12, dtype=torch.float64)
    table[[4, 8]] = torch.inf  # cells 9, 10, 11, 0, 1, 2, 3 are one chamber; 5, 6, 7 hold no mass
    rho = jko.GridDensity.from_function(grid, lambda x: (x[:, 0] < 0.3).double())
    result = jko.step(jko.Entropy() + jko.Potential(lambda x: table), rho, tau=10.0)
    values = result.state.values
    assert values[[4, 5, 6, 7, 8]].abs().max() == 0.0
    full = values[[9, 10, 11, 0, 1, 2, 3]]
    assert float(full.max() / full.min()) < 1.2


def test_other_solvers_say_that_they_know_no_seam():
    rho = jko.GridDensity.from_function(jko.Grid((0, 1), 16, periodic=True), lambda x: 1 + x[:, 0])
    for solver in (jko.Dynamic(compiled=False), jko.Conic()):
        with pytest.raises(ValueError, match="comes round"):
            jko.step(jko.Entropy(), rho, tau=0.1, solver=solver)


def test_entropic_steps_turn_and_come_near_to_the_exact_ones():
    grid = jko.Grid((0, 1), (20, 16), periodic=True)
    rho = jko.GridDensity.from_function(
        grid, lambda x: (2 * torch.cos(TWO_PI * x[:, 0]) + torch.sin(TWO_PI * x[:, 1])).exp()
    )
    turned = jko.GridDensity(grid, rho.values.roll((9, 4), (0, 1)))
    solver = jko.Sinkhorn(0.01, debiased=True)
    one, two = (jko.step(jko.Entropy(), r, tau=0.01, solver=solver).state for r in (rho, turned))
    assert float((one.values.roll((9, 4), (0, 1)) - two.values).abs().max()) < 1e-10
    exact = jko.step(jko.Entropy(), rho, tau=0.01).state
    assert float((one.values - exact.values).abs().mean()) < 0.02
    S = jko.metrics.SinkhornDivergence(0.002)
    found = S.distance(turned, rho)
    assert found.value == pytest.approx(jko.distance(turned, rho).value, rel=0.1)
