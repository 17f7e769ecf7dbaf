"""(3.19), (3.21) and (3.23) by finite volumes: order two, mass, sign, and dG/dt by the survey's formulas.

Witnesses: closed forms (linear H, Gaussians), characteristics by scipy written out by hand, and values that another
program found to ten digits.
"""

from math import exp, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.special import ndtr

import jko
from jko import exact
from jko.limits import chaos, separated, transported
from jko.limits.volumes.forces import Forces

SYSTEMS = pytest.mark.parametrize(
    "system", [separated, transported, chaos], ids=lambda s: s.equation
)


def gaussian(grid, mean, deviation):
    """Cell means of a normal density along the only axis, normalised."""
    edges = np.linspace(*grid.bounds[0], grid.N + 1)
    masses = np.diff(ndtr((edges - mean) / deviation))
    return torch.from_numpy(masses / masses.sum() / grid.cell)


def orders(errors):
    """Pairwise orders of errors on grids that double."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def derivative(run):
    """d/dt of the energies at the inner times, by central differences of order four."""
    e, h = run.energies, run.times[1] - run.times[0]
    return (e[:-4] - 8 * e[1:-3] + 8 * e[3:-1] - e[4:]) / (12 * h)


def assert_density(run):
    for state in run.states:
        assert float(state.values.min()) >= 0
        assert abs(float(state.values.sum()) * state.grid.cell - 1) < 1e-12


# A network: h = tanh(x + theta), 24 data, rho_0 = N(.3, .6^2) on [-3, 3], H_0 = 1 + .6 sin(1.3 theta)

X, LAM = np.linspace(-2, 2, 24), 0.1
F = 1.5 * np.sin(1.5 * X)
ANSWER = {"(3.23)": 0.2173342829, "(3.19)": 0.2153438469, "(3.21)": 0.2168846200}  # G(1.5)


def network():
    data = jko.Data(X[:, None], F)
    risk = jko.Risk(data, activation=lambda theta, x: torch.tanh(theta + x.T))
    return risk + LAM * jko.SquaredNorm()


def graph(n):
    grid = jko.Grid((-3, 3), n)
    H = 1 + 0.6 * torch.sin(1.3 * grid.centres[:, 0])
    return jko.ChargedDensity(grid, gaussian(grid, 0.3, 0.6), H)


@SYSTEMS
def test_the_energy_of_a_network_has_order_two_and_its_rate_is_the_formula(system):
    errors, gaps = [], []
    for n in (100, 200, 400, 800):
        run = system(network(), graph(n), t1=1.5)
        errors.append(abs(run.energies[-1] - ANSWER[system.equation]))
        rates = [system.rate(network(), state) for state in run.states]
        gaps.append(np.abs(derivative(run) - rates[2:-2]).max())
        assert_density(run)
    assert np.abs(orders(errors) - 2).max() < 0.1
    assert np.abs(orders(gaps) - 2).max() < 0.15
    assert errors[-1] < 2e-6


def test_the_network_agrees_with_its_characteristics_by_hand():
    # (3.23): theta' = -(H N' + lam theta), H' = -(N + lam H).  (3.19): H = e^(-lam t) H_0 - sum b_m h(., x_m)
    theta = np.linspace(-3, 3, 301)
    mass = np.exp(-((theta - 0.3) ** 2) / 0.72)
    mass[[0, -1]] *= 0.5
    mass /= mass.sum()
    n = len(theta)

    def forces(theta, H):
        h = np.tanh(theta[:, None] + X)
        r = ((mass * H) @ h - F) / len(X)
        return h @ r, (1 - h**2) @ r, r

    def charge(t, theta, b):
        h = np.tanh(theta[:, None] + X)
        H = exp(-LAM * t) * (1 + 0.6 * np.sin(1.3 * theta)) - h @ b
        return H, exp(-LAM * t) * 0.78 * np.cos(1.3 * theta) - (1 - h**2) @ b

    def moved(t, y):
        N, slope, _ = forces(y[:n], y[n:])
        return np.concatenate([-y[n:] * slope - LAM * y[:n], -N - LAM * y[n:]])

    def split(t, y):
        H, B = charge(t, y[:n], y[n:])
        N, slope, r = forces(y[:n], H)
        return np.concatenate([-H * slope - N * B - LAM * (H * B + y[:n]), r - LAM * y[n:]])

    def G(theta, H):
        r = (mass * H) @ np.tanh(theta[:, None] + X) - F
        return 0.5 * (r**2).mean() + 0.5 * LAM * mass @ (H**2 + theta**2)

    def end(rates, rest):
        y = solve_ivp(rates, (0, 1.5), np.concatenate([theta, rest]), "DOP853", rtol=1e-9).y[:, -1]
        return y[:n], y[n:]

    assert abs(G(*end(moved, 1 + 0.6 * np.sin(1.3 * theta))) - ANSWER["(3.23)"]) < 1e-7
    last, b = end(split, np.zeros(len(X)))
    assert abs(G(last, charge(1.5, last, b)[0]) - ANSWER["(3.19)"]) < 1e-7


def test_the_dissipation_of_the_separated_system_is_all_the_energy_lost():
    start = graph(200)
    run = separated(network(), start, t1=1.5)
    rates = np.array([separated.rate(network(), state) for state in run.states])
    assert (rates < 0).all()
    lost = -np.trapezoid(rates, run.times)
    assert lost < run.energies[0]
    assert abs(lost - (run.energies[0] - run.energies[-1])) < 5e-5


@SYSTEMS
def test_tables_of_features_give_what_the_energy_itself_gives(system):
    data = jko.Data(
        torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None], torch.ones(12, dtype=torch.float64)
    )
    risk = jko.Risk(data, activation=jko.Ridge(torch.tanh))
    V = jko.Potential(lambda z: z[:, 0] ** 4 + torch.cos(z[:, 0] * z[:, 1]) + z[:, 2] ** 2)
    energy = 2 * risk + 0.1 * V + (-0.3) * risk + jko.SquaredNorm()
    pair = jko.ChargedDensity.from_function(
        jko.Grid((-2, 2), (9, 7)), lambda z: (-(z**2).sum(-1)).exp(), lambda z: z[:, 0].sin()
    )
    tabulated, plain = Forces.of(system, energy, pair), Forces.of(system, energy, pair, keep=0)
    assert (len(tabulated.tables), len(plain.tables)) == (2, 0)
    (v, p), (w, q) = tabulated(pair), plain(pair)
    for a, b in zip([*v, p], [*w, q], strict=True):
        assert float((a - b).abs().max()) < 1e-13


# One datum, h = e^-theta, H = 1 + tanh(3 theta), rho = N(0, .05^2), residual 1: G grows along (3.21)

RATES = {"(3.21)": 0.905565, "(3.19)": -4.850218, "(3.23)": -2.002389}


def steep(n, f):
    grid = jko.Grid((-0.5, 0.5), n)
    theta = grid.centres[:, 0]
    pair = jko.ChargedDensity(grid, gaussian(grid, 0, 0.05), 1 + torch.tanh(3 * theta))
    data = jko.Data([[0.0]], [f], [1.0])
    return jko.Risk(data, activation=lambda theta, x: (-theta).exp() + 0 * x.T), pair


@pytest.fixture(scope="module")
def steep_answers():
    """G(.05) by characteristics: (3.23), (3.19) with H = H_0 - b e^-theta, and (3.21) in 48 Chebyshev points."""
    theta = np.linspace(-0.5, 0.5, 801)
    mass = np.exp(-(theta**2) / 0.005)
    mass, n = mass / mass.sum(), len(theta)
    f = mass @ ((1 + np.tanh(3 * theta)) * np.exp(-theta)) - 1

    def moved(t, y):
        e = np.exp(-y[:n])
        r = mass @ (y[n:] * e) - f
        return np.concatenate([y[n:] * r * e, -r * e])

    def split(t, y):
        e = np.exp(-y[:n])
        H = 1 + np.tanh(3 * y[:n]) - y[n] * e
        r = mass @ (H * e) - f
        return np.append(-r * e * (3 / np.cosh(3 * y[:n]) ** 2 + y[n] * e - H), r)

    def end(rates, rest):
        return solve_ivp(rates, (0, 0.05), np.append(theta, rest), "DOP853", rtol=1e-10).y[:, -1]

    y = end(moved, 1 + np.tanh(3 * theta))
    z = end(split, 0.0)
    H = 1 + np.tanh(3 * z[:n]) - z[n] * np.exp(-z[:n])
    return f, {
        "(3.23)": 0.5 * (mass @ (y[n:] * np.exp(-y[:n])) - f) ** 2,
        "(3.19)": 0.5 * (mass @ (H * np.exp(-z[:n])) - f) ** 2,
        "(3.21)": 0.5299755089,
    }


@SYSTEMS
def test_the_transported_system_can_raise_the_energy_and_the_others_cannot(system, steep_answers):
    f, answers = steep_answers
    errors = []
    for n in (200, 800):
        energy, pair = steep(n, f)
        run = system(energy, pair, t1=0.05, times=[0.025])
        errors.append(abs(run.energies[-1] - answers[system.equation]))
        assert_density(run)
    assert abs(system.rate(energy, pair) - RATES[system.equation]) < 1e-4
    assert (run.energies[-1] > run.energies[0]) == (system is transported)
    assert errors[0] < 1e-5  # too small for a clean order
    assert errors[-1] < 1e-6


# No risk, lam = beta = 1, rho = N(0, 1/4), H = 3 theta: Remark 4.1, read literally and as a gradient flow

REGULARISED = jko.SquaredNorm() + jko.Entropy()


@pytest.mark.parametrize(
    ("system", "noise", "expected"),
    [
        (chaos, "literal", 4.5),
        (chaos, "carried", -4.5),
        (chaos, "averaged", -13.5),
        (separated, "literal", -11.25),
        (separated, "carried", -11.25),
        (transported, "literal", 11.25),
        (transported, "carried", 2.25),
    ],
)
def test_a_laplacian_in_the_equation_of_rho_alone_can_raise_the_energy(system, noise, expected):
    errors, gaps = [], []
    for n in (100, 200, 400):
        grid = jko.Grid((-3, 3), n)
        pair = jko.ChargedDensity(grid, gaussian(grid, 0, 0.5), 3 * grid.centres[:, 0])
        rate = system.rate(REGULARISED, pair, noise=noise)
        times = 1e-3 * np.arange(1, 4)
        e = system(REGULARISED, pair, t1=4e-3, times=times, noise=noise).energies
        slope = e @ np.array([-25, 48, -36, 16, -3]) / 12e-3
        errors.append(abs(rate - expected))
        gaps.append(abs(slope - rate))
    assert errors[-1] < 5e-3
    assert gaps[-1] < 7e-3
    assert min(orders(errors).min(), orders(gaps).min()) > 1.9


def test_the_gradient_flow_in_D_with_entropy_keeps_gaussians_with_affine_H():
    # theta = m + s z, H = h + c z: m, h, c decay as e^(-lam t), and s as in the Ornstein-Uhlenbeck flow
    lam, beta, t, m, s, h, c = 0.8, 0.5, 0.5, 0.4, 0.6, 0.3, 0.7
    energy, k = lam * jko.SquaredNorm() + beta * jko.Entropy(), exp(-0.8 * 0.5)
    after = sqrt(s**2 * k**2 + beta / lam * (1 - k**2))
    errors = []
    for n in (50, 100, 200):
        grid = jko.Grid((-4, 4.5), n)
        theta = grid.centres[:, 0]
        pair = jko.ChargedDensity(grid, gaussian(grid, m, s), h + c * (theta - m) / s)
        final = chaos(energy, pair, t1=t, times=[0.2]).final
        rho, H = gaussian(grid, m * k, after), h * k + c * k * (theta - m * k) / after
        gap = (final.values - rho).abs() + rho * (final.H - H).abs()
        errors.append(float(gap.sum()) * grid.cell)
    assert errors[-1] < 6e-4
    assert orders(errors).min() > 1.7


def test_the_entropic_network_reaches_the_energy_of_another_program():
    energy = network() + 0.05 * jko.Entropy()
    run = chaos(energy, graph(400), t1=1.0, times=[0.5])
    assert abs(run.energies[-1] - 0.2011228) < 1e-6
    assert abs(float(run.final.integrate(run.final.H)) - 1.13688) < 1e-5


def test_the_porous_medium_keeps_its_parabola_and_a_constant_H():
    errors = []
    radius = float(exact.barenblatt_flow(1.0, d=1, c=0.5, t=1.0))
    for n in (40, 80, 160):
        grid = jko.Grid((-2, 2), n)
        edges = np.linspace(-2, 2, n + 1)
        start, after = (
            torch.from_numpy(np.diff(exact.barenblatt_mass(edges, R=R)) / grid.cell)
            for R in (1.0, radius)
        )
        pair = jko.ChargedDensity(grid, start, torch.full_like(start, 2.0))
        run = chaos(0.5 * jko.PorousMedium(2), pair, t1=1.0, times=[0.5])
        assert_density(run)
        assert bool((run.final.H == 2.0).all())
        errors.append(float((run.final.values - after).abs().sum()) * grid.cell)
    assert errors[-1] < 2e-4
    assert orders(errors)[-1] > 1.7  # the edge of the support is a kink


# d = 2: no risk, lam, a Gaussian and H = b . theta. The three velocities are linear, with closed flow maps


def linear(system, lam, t, b):
    """(factor along b, factor across, factor of H's coefficient) after the time t."""
    k, square = exp(-lam * t), float(b @ b)
    if system is chaos:
        return k, k, 1.0
    if system is separated:
        return k * exp(-square * (1 - k**2) / 2), k, k
    stretch = sqrt(1 - 2 * lam * square * t)
    return k * stretch, k, 1 / stretch


@SYSTEMS
def test_two_dimensions_have_order_two_against_closed_forms(system):
    lam, t, b, deviation = 0.7, 0.5, torch.tensor([0.36, 0.48], dtype=torch.float64), 0.4
    along, across, factor = linear(system, lam, t, b)
    direction = b / b.norm()
    spread = torch.tensor([along, across], dtype=torch.float64) * deviation
    frame = torch.stack([direction, torch.stack([-direction[1], direction[0]])])

    def normal(z, s):
        return (-0.5 * ((z @ frame.T / s) ** 2).sum(-1)).exp()

    densities, energies = [], []
    for n in (32, 64, 128):
        grid = jko.Grid(((-2, 2), (-1.8, 1.8)), (n, n))
        start = jko.ChargedDensity.from_function(
            grid, lambda z: normal(z, spread.new_tensor(deviation)), lambda z: z @ b
        )
        run = system(lam * jko.SquaredNorm(), start, t1=t, times=[t / 2])
        after = jko.ChargedDensity.from_function(
            grid, lambda z: normal(z, spread), lambda z: factor * (z @ b)
        )
        assert_density(run)
        gap = (run.final.values - after.values).abs()
        charge = after.values * (run.final.H - after.H).abs()
        densities.append(float((gap + charge).sum()) * grid.cell)
        square = float(b @ b) * factor**2 * spread[0] ** 2 + (spread**2).sum()
        energies.append(abs(run.energies[-1] - 0.5 * lam * float(square)))
    assert densities[-1] < 5e-3
    assert orders(densities)[-1] > 1.6
    assert orders(energies)[-1] > 1.9


def test_two_dimensions_agree_with_particles():
    x = torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None]
    risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    energy = risk + 0.1 * jko.SquaredNorm()

    def density(z):
        return (-2 * (z[:, 0] - 0.2) ** 2 - (z[:, 1] + 0.3) ** 2).exp()

    def H(z):
        return 1 + 0.5 * torch.sin(z[:, 0] - z[:, 1])

    fine = jko.ChargedDensity.from_function(jko.Grid((-3.5, 3.5), (40, 40)), density, H)
    cloud = fine.to_particles()  # the midpoint rule is spectral for a Gaussian
    free = jko.ChargedParticles(cloud.theta, cloud.H, cloud.weights)
    answer = chaos(energy, free, t1=1.0, times=[0.5])
    errors = []
    for n in (24, 48, 96):
        start = jko.ChargedDensity.from_function(jko.Grid((-3.5, 3.5), (n, n)), density, H)
        run = chaos(energy, start, t1=1.0, times=[0.5])
        errors.append(np.abs(run.energies[1:] - answer.energies[1:]).max())
    assert errors[-1] < 1e-4
    assert abs(orders(errors)[-1] - 2) < 0.25


# Other energies, rough starts, walls


def test_a_potential_that_is_not_quadratic_dissipates_as_proposition_3_3_says():
    V = jko.Potential(lambda z: z[:, 0] ** 4 / 4 + torch.cos(z[:, 0] * z[:, 1]) + z[:, 1] ** 2 / 2)
    energy, gaps = network() + 0.1 * V, []
    for n in (100, 200, 400):
        run = chaos(energy, graph(n), t1=0.5, times=np.linspace(0, 0.5, 26))
        rates = [chaos.rate(energy, state) for state in run.states]
        assert max(rates) < 0
        gaps.append(np.abs(derivative(run) - rates[2:-2]).max())
    assert orders(gaps).min() > 1.8


@SYSTEMS
@pytest.mark.parametrize("noise", ["carried", "literal"])
@pytest.mark.parametrize("more", [None, 0.05 * jko.Entropy(), 0.1 * jko.PorousMedium(3)], ids=repr)
def test_rho_stays_a_density_next_to_vacuum_jumps_and_atoms(system, noise, more):
    grid = jko.Grid((-3, 3), 60)
    theta = grid.centres[:, 0]
    atom = torch.zeros(60, dtype=torch.float64)
    atom[[10, 40]] = 0.5 / grid.cell
    block = (theta.abs() < 0.5).to(theta)
    energy = network() if more is None else network() + more
    for values in (atom, block / (block.sum() * grid.cell)):
        run = system(energy, jko.ChargedDensity(grid, values, theta.sign()), t1=0.4, noise=noise)
        assert_density(run)
        assert bool(torch.isfinite(run.final.H).all())


@SYSTEMS
def test_no_mass_leaves_through_the_walls(system):
    start = jko.ChargedDensity.from_function(
        jko.Grid((-1, 1), (12, 10)), lambda z: 1 + 0 * z[:, 0], lambda z: 1 + 0 * z[:, 0]
    )
    out = jko.Potential(lambda z: -2 * z[:, 1] - z[:, 2])
    run = system(out, start, t1=2.0, times=[1.0])
    assert_density(run)
    assert float(run.final.values[-1, -1]) * start.grid.cell > 0.9
    assert bool((run.final.H == 1).all())


@SYSTEMS
def test_three_dimensions_and_axes_of_a_single_cell_work(system):
    for shape in ((8, 7, 6), (20, 1), (1,)):
        start = jko.ChargedDensity.from_function(
            jko.Grid((-2.0, 2.0), shape), lambda z: (-(z**2).sum(-1)).exp(), lambda z: z[:, 0]
        )
        run = system(0.5 * jko.SquaredNorm() + 0.1 * jko.Entropy(), start, t1=0.2, times=[0.1])
        assert_density(run)
        assert (np.diff(run.energies) <= 0).all()


@SYSTEMS
def test_the_charge_alone_moves_accurately_and_stiffly(system):
    # V = k H^2 / 2 and H constant: nothing moves rho, H = e^(-k t)
    start = jko.ChargedDensity.from_function(
        jko.Grid((-1, 1), 8), lambda z: 1 + 0 * z[:, 0], lambda z: 1 + 0 * z[:, 0]
    )
    for k in (1.0, 300.0):
        run = system(jko.Potential(lambda z, k=k: k * z[:, 0] ** 2 / 2), start, t1=1.0, times=[0.5])
        assert float((run.final.H - exp(-k)).abs().max()) < 1e-4


def test_particles_follow_the_wasserstein_flow():
    start = jko.ChargedParticles([[0.5], [-0.2]], [1.0, 2.0])
    ours = chaos(network(), start, t1=0.5, times=[0.25])
    other = jko.limits.wasserstein(network(), start, t1=0.5, times=[0.25])
    assert (ours.energies == other.energies).all()


def test_the_default_times_are_fifty_equal_parts():
    run = chaos(jko.SquaredNorm(), graph(20), t1=1.0)
    assert np.abs(run.times - np.linspace(0, 1, 51)).max() < 1e-15
    assert len(run.states) == 51
    assert not run.columns


# Bad input


def test_an_H_with_gaps_is_refused():
    grid = jko.Grid((0.0, 1.0), 2)
    pair = jko.ChargedDensity(grid, [2.0, 0.0], [1.0, float("nan")])
    with pytest.raises(ValueError, match=r"H of start is not finite in 1 of 2 cells"):
        chaos(jko.SquaredNorm(), pair, t1=1.0)
    with pytest.raises(ValueError, match=r"H of state is not finite in 1 of 2 cells"):
        chaos.rate(jko.SquaredNorm(), pair)


def test_backward_diffusion_is_refused():
    with pytest.raises(
        ValueError, match=r"Entropy\(\) has the coefficient -1; .* backwards in time"
    ):
        chaos(-1 * jko.Entropy(), graph(10), t1=1.0)


def test_starts_that_a_system_cannot_take_are_refused():
    E, cloud = jko.SquaredNorm(), jko.ChargedParticles([[0.5]], [1.0])
    with pytest.raises(TypeError, match=r"\(3.21\) cannot start from ChargedParticles: .* grad H"):
        transported(E, cloud, t1=1.0)
    with pytest.raises(
        TypeError, match=r"\(3.19\) cannot start from ChargedParticles.*ChargedSpan"
    ):
        separated(E, cloud, t1=1.0)
    span = jko.ChargedSpan(
        jko.Particles([[0.5]]), lambda theta: theta[:, 0], lambda theta, x: theta + x.T, [[0.0]]
    )
    with pytest.raises(
        TypeError, match=r"\(3.23\) cannot start from ChargedSpan: .* leaves the span"
    ):
        chaos(E, span, t1=1.0)
    with pytest.raises(TypeError, match=r"\(3.23\) cannot start from Particles: this is no pair"):
        chaos(E, jko.Particles([[0.5, 1.0]]), t1=1.0)
    with pytest.raises(TypeError, match=r"state must be ChargedDensity, not ChargedParticles"):
        chaos.rate(E, cloud)
    with pytest.raises(ValueError, match=r"ChargedParticles has no density: leave it out"):
        chaos(E, cloud, t1=1.0, noise="literal")


def test_times_and_end_are_checked():
    with pytest.raises(ValueError, match=r"they must increase and lie in \[0, t1\]"):
        chaos(jko.SquaredNorm(), graph(10), t1=1.0, times=[0.5, 2.0])
    with pytest.raises(ValueError, match=r"t1 = 0; it must be a finite number > 0"):
        chaos(jko.SquaredNorm(), graph(10), t1=0)
    with pytest.raises(TypeError, match=r"energy must be Energy, not str"):
        chaos("G", graph(10), t1=1.0)
    with pytest.raises(ValueError, match=r"noise must be one of 'carried', 'literal', 'averaged'"):
        chaos(jko.SquaredNorm(), graph(10), t1=1.0, noise="yes")


def test_potentials_that_cannot_be_followed_are_refused():
    wall = jko.Potential(lambda z: torch.where(z[:, 1] > 1, torch.inf, 0 * z[:, 1]))
    with pytest.raises(ValueError, match=r"the energy of the start is inf; mass lies where"):
        chaos(wall, graph(20), t1=1.0)
    root = jko.Potential(lambda z: (z[:, 1] - z[:, 1]).abs().sqrt())
    with pytest.raises(
        RuntimeError, match=r"the gradient of the energy is not finite at the start"
    ):
        chaos(root, graph(20), t1=1.0)
    deep = jko.Potential(lambda z: -(z[:, 0] ** 4))
    with pytest.raises(RuntimeError, match=r"the time step fell to .* changes without bound there"):
        separated(deep, graph(10), t1=1.0)
