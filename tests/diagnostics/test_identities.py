"""Computed runs obey the dissipation identities of the survey, and only that of their own system.

(3.9), after (3.19), along (3.21), Proposition 3.3 for (3.23); and De Giorgi's identity for the steps of a JKO flow.
"""

import math

import numpy as np
import pytest
import torch

import jko
from jko import plots

TIMES = np.linspace(0.0, 1.2, 61)
SYSTEMS = ("separated", "transported", "chaos")


def density(theta):
    return torch.exp(-0.5 * ((theta[:, 0] - 0.3) / 0.6) ** 2)


def charge(theta):
    return 1 + 0.6 * torch.sin(1.3 * theta[:, 0])


def tanh(theta, x):
    return torch.tanh(theta + x.T)


def risk():
    x = np.linspace(-2, 2, 24)
    return jko.Risk(jko.Data(x[:, None], 1.5 * np.sin(1.5 * x), np.full(24, 1 / 24)), tanh)


def quartic(xi):
    """A potential that is quadratic neither in H nor in theta, nor a sum of functions of them."""
    H, theta = xi.T
    return 0.1 * H**4 / 4 + 0.05 * theta**2 * (1 + 0.3 * torch.sin(H))


ENERGIES = {
    "quadratic": risk() + 0.1 * jko.SquaredNorm(),
    "quartic": risk() + jko.Potential(quartic),
}
energies = pytest.mark.parametrize("G", ENERGIES.values(), ids=ENERGIES)


def formula(name, labels=None):
    """The rate of one system; on labels with the spectral slope."""

    def rate(E, state):
        slope = None if labels is None else labels.slope(state)
        return getattr(jko.diagnostics.motion(E, state, slope=slope), name)

    return rate


def mesh(N=60):
    return jko.ChargedMesh.from_function(density, charge, (-3, 3), N)


def span(N=60):
    return jko.ChargedSpan(
        jko.Particles(mesh(N).support, mesh(N).weights), charge, tanh, risk().data.x
    )


# Limits


@energies
def test_proposition_3_3_holds_along_particles(G):
    run = jko.limits.wasserstein(G, mesh().to_particles(), t1=1.2, times=TIMES, rtol=1e-12)
    found = jko.diagnostics.dissipation_identity(G, run)
    assert found.worst < 1e-7
    assert np.abs(found.drift).max() < 1e-8
    assert found.worst < found.quadrature.max()  # the kept times are the limit, not the run
    # halving their distance shows the order of the spline
    finer = np.linspace(0.0, 1.2, 121)
    run = jko.limits.wasserstein(G, mesh().to_particles(), t1=1.2, times=finer, rtol=1e-12)
    assert (
        np.abs(jko.diagnostics.dissipation_identity(G, run).drift).max()
        < np.abs(found.drift).max() / 10
    )


def test_3_9_holds_for_measures():
    mu = jko.Particles.normal(30, 2, generator=torch.Generator().manual_seed(3))
    G = ENERGIES["quartic"]
    run = jko.limits.wasserstein(G, mu, t1=1.2, times=TIMES, rtol=1e-11)
    found = jko.diagnostics.dissipation_identity(G, run)
    assert found.worst < 1e-6 * np.abs(found.rates).max()
    start = found.rates[0]
    assert start == -jko.diagnostics.dissipation(G, mu)


@energies
@pytest.mark.parametrize("name", SYSTEMS)
def test_each_system_in_label_form_obeys_its_own_identity_only(G, name):
    labels = jko.limits.Labels.chebyshev(density, charge, (-3, 3), 96)
    run = getattr(jko.limits, name)(G, labels, t1=1.2, times=TIMES, rtol=1e-11)
    worst = {
        other: jko.diagnostics.dissipation_identity(G, run, formula(other, labels)).worst
        for other in SYSTEMS
    }
    own = worst.pop(name)
    assert own < 1e-6
    assert min(worst.values()) > 1e3 * own
    assert min(worst.values()) > 5e-3


@energies
@pytest.mark.parametrize("name", SYSTEMS)
def test_finite_volumes_obey_their_identity_to_second_order(G, name):
    system, worst = getattr(jko.limits, name), []
    for n in (60, 120):
        pair = jko.ChargedDensity.from_function(jko.Grid((-3, 3), n), density, charge)
        run = system(G, pair, t1=0.6, times=TIMES[:31])
        worst.append(jko.diagnostics.dissipation_identity(G, run, rate=system.rate).worst)
        # the formula of the diagnostics is another program
        own = jko.diagnostics.dissipation_identity(G, run, rate=formula(name)).worst
        assert own == pytest.approx(worst[-1], rel=1e-2)
    others = [
        jko.diagnostics.dissipation_identity(G, run, rate=getattr(jko.limits, other).rate).worst
        for other in SYSTEMS
        if other != name
    ]
    assert math.log2(worst[0] / worst[1]) > 1.7
    assert min(others) > 20 * worst[1]


def test_with_diffusion_the_identity_tells_both_readings_of_remark_4_1_apart():
    # H carried along -c grad log rho too, or (literally) not
    G = ENERGIES["quadratic"] + 0.1 * jko.Entropy()
    own, other = [], []
    for n in (80, 160):
        pair = jko.ChargedDensity.from_function(jko.Grid((-3, 3), n), density, charge)
        run = jko.limits.chaos(G, pair, t1=0.3, times=TIMES[:16])
        own.append(jko.diagnostics.dissipation_identity(G, run, rate=jko.limits.chaos.rate).worst)

        def literal(E, state):
            return jko.limits.chaos.rate(E, state, noise="literal")

        other.append(jko.diagnostics.dissipation_identity(G, run, rate=literal).worst)
    assert math.log2(own[0] / own[1]) > 1.7
    assert other[1] > 50 * own[1]


def test_the_dissipations_of_3_19_integrate_to_the_energy_lost_and_stay_below_its_start():
    G, times = ENERGIES["quadratic"], np.linspace(0.0, 12.0, 241)
    run = jko.limits.separated(G, span(), t1=12.0, times=times, rtol=1e-10)
    parts = [jko.diagnostics.motion(G, state) for state in run.states]
    v2, p2 = (np.trapezoid([getattr(part, name) for part in parts], times) for name in ("v2", "p2"))
    assert 0 < v2 < run.energies[0]
    assert 0 < p2 < run.energies[0]
    assert v2 + p2 < run.energies[0]
    assert v2 + p2 == pytest.approx(run.energies[0] - run.energies[-1], rel=1e-3)
    found = jko.diagnostics.dissipation_identity(G, run, rate=formula("separated"))
    assert np.abs(found.drift).max() < 1e-5


def test_a_steep_graph_raises_the_energy_along_3_21():
    # h = exp(-theta) with residual one, lam = 0, H = 1 + tanh(a theta), rho = N(0, .05^2): dG/dt -> a - 2
    data = jko.Data([[0.0]], [0.0])

    def bell(theta):
        return torch.exp(-0.5 * (theta[:, 0] / 0.05) ** 2)

    def H(theta):
        return 1 + torch.tanh(3 * theta[:, 0])

    pair = jko.ChargedMesh.from_function(bell, H, (-0.5, 0.5), 801)
    mean = float(pair.integrate(pair.H * torch.exp(-pair.theta)))
    data = jko.Data([[0.0]], [mean - 1])
    G = jko.Risk(data, activation=lambda theta, x: torch.exp(-theta) * (1 + 0 * x.T))
    found = jko.diagnostics.motion(G, pair)
    assert found.transported == pytest.approx(0.905565, abs=1e-4)
    assert found.separated == pytest.approx(-4.850218, abs=1e-4)
    assert found.chaos == pytest.approx(-2.002389, abs=1e-4)
    assert found.chaos == pytest.approx(-jko.diagnostics.dissipation(G, pair), rel=1e-12)


def test_the_rates_of_a_pair_agree_on_all_its_representations():
    G, exact = ENERGIES["quartic"], span(400)
    slope = 0.78 * torch.cos(1.3 * exact.support)
    states = [
        (exact, None),
        (mesh(400), None),
        (exact.to_particles(), slope),
        (exact.to_particles(), slope[:, 0]),
        (jko.ChargedDensity.from_function(jko.Grid((-3, 3), 400), density, charge), None),
    ]
    first = jko.diagnostics.motion(G, exact)
    for state, given in states:
        found = jko.diagnostics.motion(G, state, slope=given)
        assert [*found] == pytest.approx([*first], rel=2e-4)


# JKO flows


def test_steps_obey_the_identity_of_de_giorgi_to_first_order():
    G, worst = ENERGIES["quartic"], []
    for K in (20, 40, 80):
        run = jko.flow(
            G, mesh(30).to_particles(), tau=1.2 / K, steps=K, solver=jko.LBFGS(tol=1e-11)
        )
        found = jko.diagnostics.step_identity(G, run)
        assert np.allclose(found.lowered - found.moved, run.slacks, atol=1e-14)
        assert np.abs(found.excess).max() < 1e-8  # here |dE|(mu_{k+1}) = metric / tau
        worst.append([found.worst, jko.diagnostics.dissipation_identity(G, run).worst])
    orders = np.diff(np.log2(worst), axis=0)
    assert (np.abs(orders + 1) < 0.1).all()


def test_steps_of_a_convex_energy_lower_it_by_more_than_both_terms():
    start = jko.Particles.normal(9, 3, generator=torch.Generator().manual_seed(1))
    run = jko.flow(jko.SquaredNorm(), start, tau=0.5, steps=4, solver=jko.LBFGS(tol=1e-12))
    found = jko.diagnostics.step_identity(jko.SquaredNorm(), run)
    # E - E/(1 + tau)^2 - 2 tau E/(1 + tau)^2 = tau^2 E/(1 + tau)^2
    assert np.allclose(found.residuals, 0.5 * run.energies[1:], rtol=1e-9)


def test_steps_of_the_split_metric_go_by_the_identity_of_3_19():
    G, worst, other = ENERGIES["quadratic"], [], []
    for K in (10, 20, 40):
        run = jko.flow(G, span(30), tau=1.2 / K, steps=K)
        worst.append(jko.diagnostics.step_identity(G, run, rate=formula("separated")).worst)
        other.append(jko.diagnostics.step_identity(G, run, rate=formula("chaos")).worst)
    orders = np.log2(np.array(worst[:-1]) / worst[1:])
    assert (np.abs(orders - 1) < 0.15).all()
    assert min(other) > 5 * worst[-1]


# What they print, refuse and draw


def test_identities_print_as_tables():
    run = jko.limits.wasserstein(
        jko.SquaredNorm(), jko.Particles([[1.0]]), t1=1.0, times=[0.25, 0.5]
    )
    found = jko.diagnostics.dissipation_identity(jko.SquaredNorm(), run)
    table = str(found).splitlines()
    assert table[0].split() == ["t", "dE/dt", "formula", "residual", "drift"]
    assert len(table) == 1 + len(found.residuals) == 4
    assert repr(found).startswith("Identity(steps=3, worst=")
    steps = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.1, steps=3)
    table = str(jko.diagnostics.step_identity(jko.SquaredNorm(), steps)).splitlines()
    assert len(table) == 4
    assert "cost/2tau" in table[0]


def test_only_kept_states_count():
    E = jko.SquaredNorm()
    run = jko.flow(E, jko.Particles([[1.0]]), tau=0.05, steps=6, save=2)
    found = jko.diagnostics.dissipation_identity(E, run)
    assert found.times.tolist() == run.times[::2].tolist()
    assert found.drift[-1] == pytest.approx(
        run.energies[-1] - run.energies[0] - (found.means * np.diff(found.times)).sum(), abs=1e-15
    )
    with pytest.raises(ValueError, match=r"keeps 4 of its 7 states.*save=1"):
        jko.diagnostics.step_identity(E, run)


def test_what_is_no_identity_is_refused_with_a_sentence():
    E, mu = jko.SquaredNorm(), jko.Particles([[1.0]])
    run = jko.limits.wasserstein(E, mu, t1=1.0)
    with pytest.raises(ValueError, match=r"has no column 'costs'"):
        jko.diagnostics.step_identity(E, run)
    with pytest.raises(TypeError, match=r"the run must be Trajectory"):
        jko.diagnostics.dissipation_identity(E, mu)
    with pytest.raises(ValueError, match=r"the rate is nan at t = 0;"):
        jko.diagnostics.dissipation_identity(E, run, rate=lambda E, state: math.nan)
    with pytest.raises(TypeError, match=r"for a measure take jko\.diagnostics\.dissipation"):
        jko.diagnostics.motion(E, mu)
    entropic = E + 0.1 * jko.Entropy()
    with pytest.raises(TypeError, match=r"Entropy of Particles is \+inf.*KernelEntropy"):
        jko.diagnostics.dissipation_identity(entropic, run)
    with pytest.raises(ValueError, match=r"internal term 0\.1 \* Entropy.*limits\.chaos\.rate"):
        jko.diagnostics.motion(entropic, mesh())
    one = jko.Trajectory(np.zeros(1), np.zeros(1), (mu,), np.zeros(1, dtype=int))
    with pytest.raises(ValueError, match=r"keeps one state"):
        jko.diagnostics.dissipation_identity(E, one)


# Densities with internal energies: (4.2) and (4.7)


def smooth(n, d=1):
    grid = jko.Grid((-1.0, 1.0), (n,) * d)
    return jko.GridDensity.from_function(grid, lambda x: 1 + 0.5 * torch.cos(2 * x + 0.3).prod(-1))


def internal(m):
    return jko.Entropy() if m == 1 else jko.PorousMedium(m)


@pytest.mark.parametrize("m", [1, 1.5, 2, 3])
def test_the_dissipation_of_a_density_is_its_integral_to_order_two(m):
    E = 0.4 * internal(m) + 0.7 * jko.SquaredNorm()
    x = np.linspace(-6, 6, 200_001)
    bell = np.exp(-((x - 0.3) ** 2))
    bell /= np.trapezoid(bell, x)
    v = 0.7 * x - 0.4 * bell ** (m - 1) * 2 * (x - 0.3)
    exact = np.trapezoid(v**2 * bell, x)

    def law(n):
        grid = jko.Grid((-6.0, 6.0), n)
        return jko.GridDensity.from_function(grid, lambda x: (-((x[:, 0] - 0.3) ** 2)).exp())

    for state in (law, lambda n: jko.LineMesh.from_density(law(n))):
        errors = [abs(jko.diagnostics.dissipation(E, state(n)) - exact) for n in (50, 100, 200)]
        assert errors[2] < 1e-3
        assert np.log2(errors[1] / errors[2]) > 1.7
        found = jko.diagnostics.speed(E, state(50))
        assert found.mean**2 == pytest.approx(jko.diagnostics.dissipation(E, state(50)), rel=1e-12)
        assert found.mean <= found.max


@pytest.mark.parametrize("m", [1, 1.5, 2])
def test_the_limit_on_a_grid_falls_at_the_rate_of_its_dissipation(m):
    E = 0.4 * internal(m) + 0.7 * jko.SquaredNorm()
    times = np.linspace(0, 0.1, 41)
    for start in (smooth(24), smooth(12, d=2)):
        run = jko.limits.wasserstein(E, start, t1=0.1, times=times, rtol=1e-4)
        found = jko.diagnostics.dissipation_identity(E, run)
        # the discrete energy falls at exactly this rate where drift and diffusion share no face
        assert found.worst < 1e-4 * abs(found.rates[0]) + 1.5 * found.quadrature.max()


def test_a_density_at_rest_is_stationary():
    grid = jko.Grid((-3.0, 3.0), 60)
    for term in (0.3 * jko.Entropy(), 0.3 * jko.PorousMedium(2), 0.3 * jko.PorousMedium(1.5)):
        E = term + jko.SquaredNorm()
        found = jko.diagnostics.speed(E, jko.minimiser(E, grid).state)
        assert found.mean < 1e-9
        start = jko.GridDensity.from_function(grid, lambda x: 1 + 0 * x[:, 0])
        assert jko.diagnostics.speed(E, start).mean > 0.1


def test_steps_of_densities_obey_de_giorgis_identity_to_first_order():
    E = 0.3 * jko.Entropy() + jko.SquaredNorm()
    grid = jko.Grid((-5.0, 5.0), 200)
    start = jko.GridDensity.from_function(grid, lambda x: (-((x[:, 0] - 0.3) ** 2)).exp())
    for state, solver in ((start, jko.Dynamic(tol=1e-8)), (jko.LineMesh.from_density(start), None)):
        worst = []
        for tau in (0.08, 0.04):
            options = {} if solver is None else {"solver": solver}
            run = jko.flow(E, state, tau=tau, t1=0.16, **options)
            found = jko.diagnostics.step_identity(E, run)
            worst.append(found.worst)
            assert found.excess.max() < 1e-6
        assert 1.6 < worst[0] / worst[1] < 2.4


def test_a_mesh_between_walls_does_not_leave_them():
    edges = np.linspace(0, 1, 41)
    between = jko.LineMesh(edges, np.full(40, 1 / 40), domain=jko.Box(0.0, 1.0))
    assert jko.diagnostics.speed(jko.Entropy(), between).max < 1e-10
    free = jko.LineMesh(edges, np.full(40, 1 / 40))
    assert jko.diagnostics.speed(jko.Entropy(), free).max > 1
    drift = jko.Potential(lambda x: -x[:, 0])  # only the upper edge is held: of 40 nodes
    rate = jko.diagnostics.dissipation(drift + 0.2 * jko.Entropy(), between)
    assert rate == pytest.approx(1.0, abs=0.05)


def test_a_pair_with_entropy_has_the_rate_of_its_system():
    grid = jko.Grid((-3.0, 3.0), 600)
    pair = jko.ChargedDensity.from_function(
        grid, lambda x: (-2 * x[:, 0] ** 2).exp(), lambda x: 3 * x[:, 0]
    )
    E = jko.SquaredNorm() + jko.Entropy()
    assert jko.diagnostics.dissipation(E, pair) == pytest.approx(4.5, abs=1e-2)
    with pytest.raises(TypeError, match=r"ChargedDensity is not known"):
        jko.diagnostics.speed(E, pair)


def test_what_is_no_state_is_a_sentence():
    E = jko.SquaredNorm()
    for verb in (jko.diagnostics.dissipation, jko.diagnostics.speed):
        with pytest.raises(TypeError, match=r"state must be Particles .* not list"):
            verb(E, [[1.0]])
        with pytest.raises(TypeError, match=r"energy must be Energy, not int"):
            verb(5, jko.Particles([[1.0]]))
        with pytest.raises(TypeError, match=r"atoms have no density"):
            verb(jko.Entropy(), jko.Particles([[1.0]]))


def test_pictures_show_what_the_monitors_found():
    figure, (first, second, third) = plots.canvas(1, 3)
    G, labels = ENERGIES["quadratic"], jko.limits.Labels.chebyshev(density, charge, (-3, 3), 48)
    runs = {
        name: getattr(jko.limits, name)(G, labels, t1=0.6, times=TIMES[:31]) for name in SYSTEMS
    }
    assert plots.energies(runs, first) is first
    assert [line.get_ydata()[-1] for line in first.lines] == [
        run.energies[-1] for run in runs.values()
    ]
    found = {
        name: jko.diagnostics.dissipation_identity(G, run, formula(name, labels))
        for name, run in runs.items()
    }
    assert plots.residuals(found, second) is second
    assert np.array_equal(second.lines[0].get_ydata(), np.abs(found["separated"].residuals))
    saddle = jko.Potential(lambda xi: xi[:, 0] * xi[:, 1])
    steep = jko.ChargedMesh([-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [0.5, 0.5])
    life = jko.diagnostics.fold_free(saddle, steep, t1=3.0)
    assert plots.fold(life, third) is third
    labels_ = [text.get_text() for text in third.get_legend().get_texts()]
    assert "first fold seen" in labels_
    figure.draw_without_rendering()
