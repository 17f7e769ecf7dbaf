"""The moment hierarchy (3.27), closed, follows the moments of the full flow (3.7) of a measure on R x Theta.

The full flow is that of atoms, sheet by sheet in w; between the atoms of a sheet, Chebyshev interpolation.
"""

from math import exp, pi

import numpy as np
import pytest
import torch

import jko
from jko.limits import (
    Labels,
    Measured,
    Moments,
    Sheets,
    chaos,
    chebyshev,
    delta,
    hierarchy,
    moment_rate,
)
from jko.limits.moments import closed, cumulants, moments

T, LAM = 1.5, 0.1
X = torch.linspace(-2, 2, 24, dtype=torch.float64)[:, None]
F = 1.5 * torch.sin(1.5 * X[:, 0])
RISK = jko.Risk(jko.Data(X, F), activation=lambda theta, x: torch.tanh(theta + x.T))
NETWORK = RISK + LAM * jko.SquaredNorm()


def density(at):
    return torch.exp(-0.5 * ((at[:, 0] - 0.3) / 0.6) ** 2)


def mean(at):
    return 1 + 0.6 * torch.sin(1.3 * at[:, 0])


def deviation(at):
    return 0.4 + 0.1 * torch.cos(at[:, 0])


def sheets(n=64, S=12) -> Sheets:
    return Sheets.normal(density, mean, deviation, (-3.0, 3.0), n, S)


def normal_moments(k):
    """Moments of N(mean, deviation^2) up to k <= 3."""

    def function(at):
        m, s = mean(at), deviation(at)
        return torch.stack([m, m**2 + s**2, m**3 + 3 * m * s**2][:k])

    return function


def line(n) -> jko.Grid:
    return jko.Grid((-3.0, 3.0), n)


# Lemma 3.2 on atoms


def cloud() -> jko.Particles:
    rng = np.random.default_rng(1)
    mass = rng.uniform(1, 2, 40)
    return jko.Particles(rng.normal(size=(40, 2)) * [0.7, 0.8], mass / mass.sum())


def bump(at):
    return torch.exp(-((at[:, 0] - 0.4) ** 2)) * (1 + at[:, 0])


def right_side(mu, i):
    """(3.27), tested with the bump, by the operators of (3.13)-(3.26) and V = lam/2 (w^2 + theta^2)."""
    w, theta = mu.points[:, 0], mu.points[:, 1:].clone().requires_grad_()
    N = RISK.Lbar(mu, theta) + RISK.Sbar(theta)
    slope = torch.autograd.grad(N.sum(), theta)[0][:, 0]
    psi = bump(theta)
    dpsi = torch.autograd.grad(psi.sum(), theta)[0][:, 0]
    flux = w ** (i + 1) * slope + w**i * LAM * theta[:, 0]
    source = i * w ** max(i - 1, 0) * N + i * w ** max(i - 1, 0) * LAM * w
    return -float(mu.integrate(dpsi * flux + psi * source).detach())


@pytest.mark.parametrize("i", range(4))
def test_moments_change_at_the_rate_of_the_hierarchy(i):
    dt = 1e-4
    run = jko.limits.wasserstein(
        NETWORK, cloud(), t1=0.6, times=[0.5 - dt, 0.5, 0.5 + dt], rtol=1e-12
    )
    before, now, after = (run.states[j] for j in (1, 2, 3))
    value = [
        float(mu.integrate(bump(mu.points[:, 1:]) * mu.points[:, 0] ** i)) for mu in (before, after)
    ]
    rate = moment_rate(NETWORK, now, i, bump)
    assert (value[1] - value[0]) / (2 * dt) == pytest.approx(rate, abs=1e-7)
    assert rate == pytest.approx(right_side(now, i), abs=1e-14)


def test_a_moment_rate_takes_any_potential_and_a_constant_test_function():
    V = jko.Potential(lambda z: z[:, 0] ** 3 * torch.cos(z[:, 1]))  # d_w V = 3 w^2 cos theta
    mu = jko.Particles([[2.0, 0.5], [-1.0, 0.0]])
    rate = moment_rate(V, mu, 2, lambda at: torch.ones(len(at), dtype=at.dtype))
    assert rate == pytest.approx(-0.5 * 2 * (2 * 12 * np.cos(0.5) - 3), rel=1e-14)
    assert moment_rate(V, mu, 0, lambda at: torch.ones(len(at), dtype=at.dtype)) == 0


# The full flow


def test_sheets_have_the_moments_of_the_normal_law_at_time_zero():
    start, at = sheets(), torch.linspace(-2, 2, 9, dtype=torch.float64)
    rho, H = start.moments(start.measure, at, 3)
    points = at[:, None]
    assert float((H - normal_moments(3)(points)).abs().max()) < 1e-11
    assert (
        float((rho / density(points) - 1 / (0.6 * (2 * pi) ** 0.5)).abs().max()) < 1e-5
    )  # the cut
    assert float(cumulants(H)[2].abs().max()) < 1e-11


def test_the_moments_of_sheets_are_those_of_their_atoms():
    start = sheets()
    mu = start.flow(NETWORK, t1=T).final
    theta = torch.linspace(-3, 3, 2001, dtype=torch.float64)
    rho, H = start.moments(mu, theta, 3)
    psi = (
        bump(theta[:, None]) * rho * (theta[1] - theta[0])
    )  # decays to both ends: trapezoidal rule
    for i in range(4):
        value = float((psi * (H[i - 1] if i else 1)).sum())
        exact = float(mu.integrate(bump(mu.points[:, 1:]) * mu.points[:, 0] ** i))
        assert value == pytest.approx(exact, abs=1e-6)


def test_sheets_converge_in_labels_and_in_sheets():
    at = torch.linspace(-1, 1.6, 9, dtype=torch.float64)
    H = []
    for n, S in ((48, 8), (64, 12), (80, 14)):
        start = sheets(n, S)
        H.append(start.moments(start.flow(NETWORK, t1=T).final, at, 4)[1])
    assert float((H[0] - H[2]).abs().max()) < 1e-4
    assert float((H[1] - H[2]).abs().max()) < 1e-5


def test_a_folded_sheet_has_no_moments():
    # V = -w theta, H = -2 theta: theta = u (cosh t - 2 sinh t) folds at t = .549
    start = Sheets.normal(
        lambda at: 1 + 0 * at[:, 0],
        lambda at: -2 * at[:, 0],
        lambda at: 0 * at[:, 0],
        (-1.0, 1.0),
        8,
        1,
    )
    saddle = jko.Potential(lambda z: -z[:, 0] * z[:, 1])
    mu = start.flow(saddle, t1=0.7).final
    with pytest.raises(RuntimeError, match=r"sheet has folded"):
        start.moments(mu, torch.zeros(1, dtype=torch.float64), 1)


def test_moments_are_not_guessed_beyond_the_time_of_their_measurement():
    start = sheets(16, 2)
    closure = start.measured(NETWORK, 1, t1=0.1, points=4)
    pair = jko.ChargedDensity.from_function(line(10), density, mean)
    hierarchy(NETWORK, pair, t1=0.1, closure=closure)
    with pytest.raises(ValueError, match=r"measured up to t1 = 0\.1"):
        hierarchy(NETWORK, pair, t1=0.5, closure=closure)
    with pytest.raises(ValueError, match=r"points of mu has shape \(10, 2\)"):
        start.moments(pair.lift(), torch.zeros(1, dtype=torch.float64), 1)


# Closures


def test_cumulants_of_the_poisson_law_are_its_rate():
    lam = 1.7
    H = torch.tensor(
        [lam, lam + lam**2, lam + 3 * lam**2 + lam**3, lam + 7 * lam**2 + 6 * lam**3 + lam**4]
    )[:, None]
    kappa = cumulants(H)
    assert kappa[:, 0].tolist() == pytest.approx([lam] * 4, rel=1e-6)
    assert float((moments(kappa) - H).abs().max()) < 1e-4
    assert float(closed(H[:3], torch.tensor([lam]))) == pytest.approx(float(H[3]), rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_delta_closure_is_the_power_on_dirac_masses(k):
    H = torch.tensor([1.3, -0.4, 0.0], dtype=torch.float64)
    powers = torch.stack([H**i for i in range(1, k + 1)])
    at = torch.zeros(3, 1, dtype=torch.float64)
    assert float((delta(0.0, at, powers) - H ** (k + 1)).abs().max()) < 1e-14


# The hierarchy against the full flow


def errors(run, start, mu):
    """L1 errors of rho and of rho H_i at the end."""
    state = run.final
    rho, H = start.moments(mu, state.grid.centres[:, 0], state.k)
    gaps = torch.cat([(state.values - rho)[None], (state.H - H) * rho])
    return (gaps.abs().sum(1) * state.grid.cell).numpy()


@pytest.mark.parametrize("k", [1, 2])
def test_with_the_measured_moment_the_hierarchy_is_the_full_flow_with_order_two(k):
    start = sheets()
    closure, mu = start.measured(NETWORK, k, t1=T), start.flow(NETWORK, t1=T).final
    gap = []
    for n in (100, 200, 400):
        initial = Moments.from_function(line(n), density, normal_moments(k))
        run = hierarchy(NETWORK, initial, t1=T, closure=closure)
        gap.append(errors(run, start, mu))
    orders = np.log2(np.array(gap[:-1]) / np.array(gap[1:]))
    assert orders.min() > 1.8
    assert gap[-1][:2].max() < 1.5e-4


def test_a_measured_moment_itself_closes_one_equation_but_not_two():
    # with H_{k+1} given, the speeds are the (k+1)th roots of H_{k+1}: real for k = 1, complex for k = 2
    start, gap = sheets(), {}
    run = start.flow(NETWORK, t1=T, times=chebyshev.nodes(20, 0.0, T))
    for k in (1, 2):
        for n in (100, 200):
            kept: dict[int, torch.Tensor] = {}

            def closure(t, at, H, k=k, kept=kept):
                if len(at) not in kept:
                    rows = [start.moments(mu, at[:, 0], k + 1)[1][k] for mu in run.states]
                    kept[len(at)] = torch.stack(rows)
                return (
                    torch.from_numpy(chebyshev.evaluation(run.times, np.array([t])))[0]
                    @ kept[len(at)]
                )

            initial = Moments.from_function(line(n), density, normal_moments(k))
            solution = hierarchy(NETWORK, initial, t1=T, closure=closure)
            gap[k, n] = errors(solution, start, run.final)
    assert gap[1, 100][1] > 3.5 * gap[1, 200][1]
    assert gap[2, 100][1] < 0.5 * gap[2, 200][1]


def test_the_delta_closure_is_exact_on_a_graph_for_every_k():
    start = Labels.chebyshev(density, mean, (-3.0, 3.0), 64)
    pair = chaos(NETWORK, start, t1=T, rtol=1e-10).final
    theta, H = pair.theta[:, 0], pair.H
    exact = [float(pair.integrate(part)) for part in (theta, H, H**2, H * theta)]
    for k in (1, 2, 3):
        gap = []
        for n in (50, 100, 200):
            graph = jko.ChargedDensity.from_function(line(n), density, mean)
            state = hierarchy(NETWORK, Moments.of_pair(graph, k), t1=T).final
            at, w = state.grid.centres[:, 0], state.H[0]
            values = [float(state.rho.integrate(part)) for part in (at, w, w**2, w * at)]
            gap.append(np.abs(np.array(values) - exact).max())
            if k > 1:
                assert (
                    float(state.rho.integrate(state.cumulants[1].abs())) < 0.5 * state.grid.cell**2
                )
        assert gap[0] < 1e-3
        assert np.log2(np.array(gap[:-1]) / gap[1:]).min() > 1.9
        assert gap[2] < 4e-5


def test_the_delta_closure_misses_a_spread_and_less_so_with_one_more_moment():
    start = sheets()
    mu = start.flow(NETWORK, t1=T).final
    gap = {}
    for k in (1, 2):
        for n in (100, 200):
            initial = Moments.from_function(line(n), density, normal_moments(k))
            gap[k, n] = errors(hierarchy(NETWORK, initial, t1=T), start, mu)
    # k = 1 ignores the variance, here .06 to .25: no refinement of the grid helps
    assert gap[1, 200] == pytest.approx([0.0264, 0.0742], rel=0.01)
    assert gap[1, 200][1] / gap[1, 100][1] > 0.99
    # k = 2 carries it, and ignores the third cumulant only
    assert gap[2, 200][1] < 1e-3
    assert gap[2, 200][1] < gap[1, 200][1] / 50


def test_a_pair_is_the_hierarchy_with_one_moment():
    pair = jko.ChargedDensity.from_function(line(60), density, mean)
    a = hierarchy(NETWORK, pair, t1=0.5, times=[0.2])
    b = hierarchy(NETWORK, Moments.of_pair(pair), t1=0.5, times=[0.2])
    assert a.times.tolist() == [0, 0.2, 0.5]
    assert a.rho.shape == (3, 60)
    assert a.moments.shape == (3, 1, 60)
    assert torch.equal(a.moments, b.moments)
    assert torch.equal(a.rho, b.rho)
    assert isinstance(a.final.pair, jko.ChargedDensity)


def test_the_hierarchy_in_two_dimensions_follows_the_atoms_with_order_two():
    x = torch.linspace(-2, 2, 12, dtype=torch.float64)[:, None]
    risk = jko.Risk(jko.Data(x, torch.sin(2 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    wave = jko.energies.OnTheta(jko.Potential(lambda at: 0.2 * torch.cos(at[:, 0] - at[:, 1])))
    energy = risk + LAM * jko.SquaredNorm() + wave

    def pair(n):
        return jko.ChargedDensity.from_function(
            jko.Grid((-2.5, 2.5), (n, n)),
            lambda at: torch.exp(-2 * (at**2).sum(1)),
            lambda at: 1 + 0.5 * torch.sin(at[:, 0] + 0.5 * at[:, 1]),
        )

    def figures(state, theta, H):
        parts = (theta[:, 0], theta[:, 1], H, H**2, H * theta[:, 0])
        return np.array([float(state.integrate(part)) for part in parts])

    atoms = jko.limits.wasserstein(energy, pair(50).to_particles(), t1=1.0, rtol=1e-8).final
    exact, gap = figures(atoms, atoms.theta, atoms.H), []
    for n in (16, 32):
        state = hierarchy(energy, pair(n), t1=1.0).final
        gap.append(np.abs(figures(state.rho, state.grid.centres, state.H[0].reshape(-1)) - exact))
        assert float(state.rho.mass) == pytest.approx(1, abs=1e-12)
    assert gap[1].max() < 6e-4
    assert np.log2(gap[0].max() / gap[1].max()) > 1.3  # coarse: 1.3, then 2.0 at 64 x 64


# Walls, mass, refusals


@pytest.mark.parametrize("k", [1, 2])
def test_no_moment_flows_through_the_walls(k):
    # theta' = 1 presses everything against the wall at 1; w' = -lam w whatever theta is
    wind = jko.energies.OnTheta(jko.Potential(lambda at: -at[:, 0])) + 0.3 * jko.SquaredNorm()
    pair = jko.ChargedDensity.from_function(
        jko.Grid((-1.0, 1.0), 40), lambda at: 1 + 0 * at[:, 0], lambda at: 1 + at[:, 0]
    )
    run = hierarchy(wind, Moments.of_pair(pair, k), t1=2.0, times=[1.0])
    for t, state in zip(run.times, run.states, strict=True):
        assert float(state.rho.mass) == pytest.approx(1, abs=1e-12)
        assert float(state.values.min()) >= 0
        for i in range(k):
            total = float(run.states[0].rho.integrate(run.states[0].H[i]))
            now = float(state.rho.integrate(state.H[i]))
            assert now == pytest.approx(exp(-0.3 * (i + 1) * t) * total, rel=1e-6)
    # most of it lies in the last cell
    assert float(run.final.values[-1] * run.grid.cell) > 0.5


def test_a_single_cell_is_one_neuron():
    # theta = 0 stays, and w' = -N - lam w with N = w c: c the mean of h^2
    h = torch.tanh(X[:, 0] + 1)
    risk = jko.Risk(jko.Data(X, 0 * F), activation=RISK.activation) + LAM * jko.SquaredNorm()
    pair = jko.ChargedDensity(jko.Grid((0.0, 2.0), 1), [0.5], [1.5])
    final = hierarchy(risk, pair, t1=0.01).final
    assert float(final.H[0, 0]) == pytest.approx(
        1.5 * exp(-0.01 * (float((h**2).mean()) + LAM)), abs=1e-9
    )


def test_an_empty_cell_stays_empty_far_from_the_mass():
    pair = jko.ChargedDensity.from_function(
        line(60), lambda at: (1 - at[:, 0] ** 2).clamp(min=0), mean
    )
    final = hierarchy(NETWORK, Moments.of_pair(pair, 2), t1=0.1).final
    assert float(final.values.min()) == 0
    assert float(final.H[:, final.values == 0].abs().max()) == 0
    assert float(final.rho.mass) == pytest.approx(1, abs=1e-13)


def test_a_bad_argument_of_the_hierarchy_is_a_sentence():
    pair = jko.ChargedDensity.from_function(line(10), density, mean)
    with pytest.raises(ValueError, match=r"the hierarchy does not close"):
        hierarchy(NETWORK + jko.Interaction(lambda z: (z**2).sum(-1)), pair, t1=1.0)
    with pytest.raises(TypeError, match=r"start must be Moments or ChargedDensity"):
        hierarchy(NETWORK, pair.lift(), t1=1.0)
    with pytest.raises(ValueError, match=r"t1 = 0"):
        hierarchy(NETWORK, pair, t1=0)
    with pytest.raises(ValueError, match=r"times = .*lie in"):
        hierarchy(NETWORK, pair, t1=1.0, times=[2.0])
    with pytest.raises(ValueError, match=r"the cumulant returned shape \(1,\)"):
        hierarchy(NETWORK, pair, t1=1.0, closure=Measured(lambda t, at: at.new_zeros(1)))
    with pytest.raises(RuntimeError, match=r"not finite .* beyond t = 0 of 1: .*closure"):
        hierarchy(NETWORK, pair, t1=1.0, closure=lambda t, at, H: H[0] / 0)


def test_bad_moments_are_a_sentence():
    grid = jko.Grid((0.0, 1.0), 2)
    with pytest.raises(ValueError, match=r"H has shape \(2,\); it must have shape \(k, 2\)"):
        Moments(grid, [1.0, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"total mass 2"):
        Moments(grid, [2.0, 2.0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"H has 1 entries that are not finite"):
        Moments(grid, [1.0, 1.0], [[1.0, float("nan")]])
    with pytest.raises(ValueError, match=r"k = 0"):
        Moments.of_pair(jko.ChargedDensity(grid, [1.0, 1.0], [1.0, 2.0]), 0)
    with pytest.raises(ValueError, match=r"function H returned shape \(2,\)"):
        Moments.from_function(grid, lambda at: 1 + at[:, 0], lambda at: at[:, 0])
    with pytest.raises(ValueError, match=r"deviation goes down to -1"):
        Sheets.normal(density, mean, lambda at: at[:, 0], (-1.0, 1.0))
    assert repr(Moments(grid, [1.0, 1.0], [[1.0, 2.0]])).startswith("Moments(k=1, cells=2")


# Any potential


def bumps():
    x = torch.linspace(-2, 2, 12, dtype=torch.float64)[:, None]
    return jko.Risk(jko.Data(x, torch.sin(2 * x[:, 0])), activation=jko.GaussianBump(1.0))


def spread(k, n=40, d=1):
    """A skew law about a wave, as moments."""
    grid = jko.Grid([(-3.0, 3.0)] * d, (n,) * d)

    def H(theta):
        m = 1 + 0.5 * torch.sin(theta[:, 0])
        return torch.stack([m, m**2 + 0.2, m**3 + 0.6 * m + 0.05])[:k]

    return jko.limits.Moments.from_function(grid, lambda x: (-2 * (x**2).sum(1)).exp(), H)


@pytest.mark.parametrize(("k", "d"), [(1, 1), (2, 1), (3, 1), (2, 2)])
def test_a_quadratic_potential_is_the_same_by_integrals(k, d):
    start = spread(k, 40 if d == 1 else 12, d)
    known, by_nodes = (
        jko.limits.hierarchy(bumps_in(d) + V, start, t1=0.3).final
        for V in (0.3 * jko.SquaredNorm(), jko.Potential(lambda z: 0.15 * (z**2).sum(-1)))
    )
    assert (known.values - by_nodes.values).abs().max() < 1e-13
    assert (known.values * (known.H - by_nodes.H)).abs().max() < 1e-13


def bumps_in(d):
    if d == 1:
        return bumps()
    x = torch.randn(9, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return jko.Risk(jko.Data(x, torch.sin(x.sum(1))), activation=jko.GaussianBump(1.0))


def double_well():
    well = jko.Potential(
        lambda z: 0.25 * (z[:, 0] ** 2 - 1) ** 2 * (1 + 0.3 * z[:, 1]) + 0.2 * z[:, 1] ** 2
    )
    return bumps() + well


@pytest.mark.parametrize("k", [1, 2])
def test_on_a_graph_it_is_3_30_for_a_potential_that_is_not_quadratic(k):
    """Against the finite volumes of (3.23) on a fine grid, which know V by its gradient alone: order two."""

    def pair(n):
        return jko.ChargedDensity.from_function(
            jko.Grid((-3.0, 3.0), n),
            lambda x: (-2 * x[:, 0] ** 2).exp(),
            lambda x: 1 + 0.5 * torch.sin(x[:, 0]),
        )

    def figures(state):
        centres = state.grid.centres[:, 0]
        return np.array([float(state.integrate(g)) for g in (state.H, centres**2)])

    fine = figures(jko.limits.chaos(double_well(), pair(200), t1=0.3).final)
    starts = (jko.limits.Moments.of_pair(pair(n), k) for n in (25, 50))
    runs = (jko.limits.hierarchy(double_well(), start, t1=0.3).final for start in starts)
    errors = [np.abs(figures(run.pair) - fine) for run in runs]
    assert (errors[0] < 6e-3).all()
    assert (errors[1] < 0.35 * errors[0]).all()


def test_the_potential_pulls_each_moment_at_its_exact_rate():
    """d/dt int w^i dmu = -i int w^{i-1} d_w phi dmu, by atoms of the laws that the moments stand for."""
    k, V = 3, jko.Potential(lambda z: 0.25 * z[:, 0] ** 4 + z[:, 0] * z[:, 1])
    start, t = spread(k), 1e-6
    z, share = np.polynomial.hermite_e.hermegauss(9)
    mean, rho = start.H[0].reshape(-1), start.values.reshape(-1) * start.grid.cell
    normal = start.H.clone()  # the third moment of a normal law, so that atoms have all moments
    normal[2] = mean**3 + 3 * mean * 0.2
    start = jko.limits.Moments(start.grid, start.values, normal)
    w = mean + torch.from_numpy(z)[:, None] * 0.2**0.5
    xi = torch.stack([w.reshape(-1), start.grid.centres[:, 0].repeat(9)], 1)
    masses = (torch.from_numpy(share / share.sum())[:, None] * rho).reshape(-1)
    mu = jko.Particles(xi, masses / masses.sum())
    after = jko.limits.hierarchy(V, start, t1=t).final
    for i in (1, 2, 3):
        exact = jko.limits.moment_rate(V, mu, i, lambda theta: 1 + 0 * theta[:, 0])
        rise = float(
            (after.values * after.H[i - 1] - start.values * start.H[i - 1]).sum() * start.grid.cell
        )
        assert rise / t == pytest.approx(exact, rel=1e-4)


def test_any_loss_is_linear_in_w():
    risk = jko.Risk(
        jko.Data([[-1.0], [0.5], [1.0]], [1.0, -1.0, 1.0]),
        activation=jko.GaussianBump(1.0),
        loss=jko.Logistic(),
    )
    pair = spread(1).pair
    end = jko.limits.hierarchy(risk, pair, t1=0.5).final.pair
    other = jko.limits.chaos(risk, pair, t1=0.5).final
    assert float((end.values * end.H - other.values * other.H).abs().max()) < 5e-3
