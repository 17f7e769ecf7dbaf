"""The graph of H under (3.23): its slope solves the equation of characteristics, and no guaranteed time is too late.

Witnesses: slopes of functions, closed forms of folds, finite differences of the flow, and that equation by hand.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import jko


def column(f):
    """A function of numbers as one of points (n, 1)."""
    return lambda theta: f(theta[:, 0])


# The slope of a state


def test_the_slope_of_a_span_is_exact():
    data = jko.Data([[-0.5], [1.0]], [0.0, 0.0])
    rho = jko.Particles.normal(7, 2, generator=torch.Generator().manual_seed(1))
    b = torch.tensor([0.3, -2.0]).double()

    def H0(theta):
        return torch.sin(theta[:, 0]) * theta[:, 1]

    pair = jko.ChargedSpan(rho, H0, jko.Ridge(torch.tanh), data.x, alpha=0.5, b=b)
    (s, t), x = rho.points.T, data.x[:, 0]
    bend = 1 - torch.tanh(s[:, None] * x + t[:, None]) ** 2
    exact = 0.5 * torch.stack([torch.cos(s) * t, torch.sin(s)], 1)
    exact -= torch.stack([(bend * x) @ b, bend @ b], 1)
    assert (jko.diagnostics.graph_slope(pair) - exact).abs().max() < 1e-14


def test_the_slope_of_a_span_over_constants_is_zero():
    rho = jko.Particles([[0.0], [1.0]])
    pair = jko.ChargedSpan(
        rho, lambda t: torch.ones(2).double(), lambda t, x: torch.zeros(2, 1).double(), [[0.0]]
    )
    assert jko.diagnostics.graph_slope(pair).tolist() == [[0.0], [0.0]]


def test_differences_are_exact_for_quadratics_also_at_the_ends():
    theta = torch.tensor([-1.0, -0.7, 0.1, 0.3, 2.0]).double()
    mesh = jko.ChargedMesh(theta, theta**2 - theta, [0.25] * 4)
    assert (jko.diagnostics.graph_slope(mesh)[:, 0] - (2 * theta - 1)).abs().max() < 1e-13
    grid = jko.Grid(((-1, 1), (0, 3)), (5, 6))
    pair = jko.ChargedDensity.from_function(
        grid, lambda x: torch.ones(len(x)).double(), lambda x: x[:, 0] * x[:, 1] + x[:, 1] ** 2
    )
    x, y = grid.centres.T
    assert (jko.diagnostics.graph_slope(pair) - torch.stack([y, x + 2 * y], 1)).abs().max() < 1e-13


def test_differences_are_of_second_order():
    def error(N):
        mesh = jko.ChargedMesh.from_function(column(torch.cosh), column(torch.sin), (-1, 2), N)
        pair = jko.ChargedDensity.from_function(
            jko.Grid((-1, 2), N), column(torch.cosh), column(torch.sin)
        )
        return [
            float((jko.diagnostics.graph_slope(state) - torch.cos(state.support)).abs().max())
            for state in (mesh, pair)
        ]

    orders = np.log2(np.array(error(81)) / np.array(error(161)))
    assert (orders > 1.95).all()


def test_cells_without_mass_are_not_looked_at():
    grid = jko.Grid((0.0, 8.0), 8)
    rho = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]).double() / 6
    x = grid.centres[:, 0]
    H = torch.where(rho > 0, x**2, torch.nan)
    B = jko.diagnostics.graph_slope(jko.ChargedDensity(grid, rho, H))[:, 0]
    assert B[[0, 1, 2]].tolist() == (2 * x[:3]).tolist()
    assert B[[4, 5]].tolist() == [10.0, 10.0]  # two cells: the slope of the chord
    assert B[[3, 6, 7]].isnan().all()
    with pytest.raises(ValueError, match=r"not known at theta = \[7.5\].*no neighbour that holds"):
        jko.diagnostics.fold_free(jko.SquaredNorm(), jko.ChargedDensity(grid, rho, H), t1=1.0)


def test_atoms_alone_have_no_slope():
    pair = jko.ChargedParticles([[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(TypeError, match=r"sort them into a jko\.ChargedMesh"):
        jko.diagnostics.graph_slope(pair)
    with pytest.raises(TypeError, match="pass slope = grad H there"):
        jko.diagnostics.fold_free(jko.SquaredNorm(), pair, t1=1.0)
    with pytest.raises(ValueError, match=r"slope has shape \(3, 1\)"):
        jko.diagnostics.fold_free(jko.SquaredNorm(), pair, t1=1.0, slope=[[0.0], [1.0], [2.0]])


def test_the_slope_with_diffusion_is_not_followed():
    with pytest.raises(ValueError, match=r"internal term 1 \* Entropy.*derivatives of rho"):
        jko.diagnostics.fold_free(jko.Entropy(), line(1.0), t1=1.0)


# The equation of the slope


def quartic():
    """A potential of H and theta that is far from quadratic."""
    return jko.Potential(
        lambda xi: (
            0.1 * xi[:, 0] ** 4 / 4
            + 0.3 * torch.sin(xi[:, 0] * xi[:, 1])
            + 0.2 * (xi[:, 1:] ** 2).sum(-1)
        )
    )


def network(d, seed=3, M=7):
    """The risk of h = tanh(theta' . x + theta^(d)), and of tanh(theta + x) for d = 1."""
    rng = np.random.default_rng(seed)
    x, f = rng.uniform(-2, 2, (M, max(1, d - 1))), 2 * rng.standard_normal(M)
    if d == 1:
        return jko.Risk(jko.Data(x, f), activation=lambda theta, x: torch.tanh(theta + x.T))
    return jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh))


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("potential", [0.3 * jko.SquaredNorm(), quartic()], ids=["lam", "quartic"])
def test_the_slope_is_that_of_neighbouring_characteristics(d, potential):
    G, N, eps, t1 = network(d) + potential, 6, 1e-5, 0.4
    theta = np.random.default_rng(d).standard_normal((N, d))

    def H0(z):
        return np.sin(z @ np.arange(1.0, d + 1)) + 0.5 * z[..., 0] ** 2

    start = np.concatenate([H0(theta)[:, None], theta], axis=1)
    slope = np.arange(1.0, d + 1) * np.cos(theta @ np.arange(1.0, d + 1))[:, None]
    slope[:, 0] += theta[:, 0]
    pair = jko.ChargedParticles(theta, start[:, 0])
    found = jko.diagnostics.fold_free(G, pair, t1=t1, slope=slope, rtol=1e-11)
    assert found.fold == found.wall == math.inf
    # characteristics from theta +- eps e_k, in the field of the atoms
    near = theta[None, :, :] + eps * np.concatenate([np.eye(d), -np.eye(d)])[:, None, :]
    tracers = np.concatenate([H0(near)[..., None], near], axis=2)
    flat = np.concatenate([start[None], tracers]).ravel()

    def velocity(t, y):
        points = torch.from_numpy(y.reshape(-1, d + 1))
        return -G.gradient(jko.Particles(points[:N]), points).numpy().ravel()

    end = solve_ivp(velocity, (0, t1), flat, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    own, moved = end.reshape(2 * d + 1, N, d + 1)[0], end.reshape(2 * d + 1, N, d + 1)[1:]
    assert np.abs(found.final.points.numpy() - own).max() < 1e-8
    stretch = (moved[:d] - moved[d:]) / (2 * eps)  # (k, N, 1 + d): derivatives in label k
    B = np.stack([np.linalg.solve(stretch[:, i, 1:], stretch[:, i, 0]) for i in range(N)])
    assert np.abs(found.B.numpy() - B).max() < 1e-7 * (1 + np.abs(B).max())
    assert found.slopes[-1] == pytest.approx(np.linalg.norm(B, axis=1).max(), rel=1e-7)


def test_the_slope_solves_its_equation_and_lam_cancels():
    # B' = -N' + H N'' B + N' B^2 of the survey's quadratic potential, by hand in numpy
    rng = np.random.default_rng(0)
    x, f, lam, N = rng.uniform(-2, 2, 9), rng.standard_normal(9), 0.4, 12
    theta = np.linspace(-1, 1, N)
    H, B = np.cos(2 * theta), -2 * np.sin(2 * theta)

    def rates(t, y):
        theta, H, B = y.reshape(3, N)
        h = np.tanh(theta[:, None] + x)
        r = (H @ h / N - f) / 9
        n, n1, n2 = h @ r, (1 - h**2) @ r, (2 * h * (h**2 - 1)) @ r
        return np.concatenate(
            [-(H * n1 + lam * theta), -(n + lam * H), -n1 + H * n2 * B + n1 * B**2]
        )

    y0 = np.concatenate([theta, H, B])
    end = solve_ivp(rates, (0, 0.5), y0, "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    risk = jko.Risk(jko.Data(x[:, None], f), activation=lambda theta, x: torch.tanh(theta + x.T))
    pair = jko.ChargedParticles(theta[:, None], H)
    found = jko.diagnostics.fold_free(
        risk + lam * jko.SquaredNorm(), pair, t1=0.5, slope=B, rtol=1e-10
    )
    assert np.abs(found.B[:, 0].numpy() - end[2 * N :]).max() < 1e-8
    n1 = ((1 - np.tanh(theta[:, None] + x) ** 2) @ (H @ np.tanh(theta[:, None] + x) / N - f)) / 9
    h = np.tanh(theta[:, None] + x)
    n2 = (2 * h * (h**2 - 1)) @ (H @ h / N - f) / 9
    assert found.rates[0] == pytest.approx(np.sqrt(n1**2 + (H * n2) ** 2 / 4).max(), rel=1e-12)


# Folds


def saddle():
    """phi = w theta: H' = -theta, theta' = -H, so B' = B^2 - 1 and B = coth(arcoth B_0 - t) folds at arcoth B_0."""
    return jko.Potential(lambda xi: xi[:, 0] * xi[:, 1])


def line(slope, N=21, domain=None):
    """H = slope theta on [-1, 1]."""
    return jko.ChargedMesh.from_function(
        lambda x: torch.ones(len(x)).double(), lambda x: slope * x[:, 0], (-1, 1), N, domain
    )


def test_a_fold_is_where_its_closed_form_has_it():
    found = jko.diagnostics.fold_free(saddle(), line(2.0), t1=3.0, rtol=1e-11)
    assert found.fold == pytest.approx(math.atanh(0.5), abs=1e-9)
    assert found.times[-1] == found.fold
    assert found.angles[-1] == pytest.approx(math.pi / 2, abs=1e-7)
    inner = found.times < 0.9 * found.fold
    exact = 1 / np.tanh(math.atanh(0.5) - found.times[inner])
    assert np.abs(found.slopes[inner] - exact).max() < 1e-8
    # the half spread of [[0, 1], [1, 0]] is one
    assert np.abs(found.rates - 1).max() < 1e-12
    assert found.guaranteed == pytest.approx(math.pi / 2 - math.atan(2.0), abs=1e-9)
    assert found.budget == pytest.approx(found.guaranteed, abs=1e-9)
    assert "first fold at t = 0.549306" in str(found)


def test_a_gentle_graph_never_folds():
    found = jko.diagnostics.fold_free(saddle(), line(0.5), t1=3.0)
    assert found.fold == math.inf
    assert found.times[-1] == 3.0
    assert found.slopes[-1] == pytest.approx(math.tanh(3.0 - math.atanh(0.5)), abs=1e-6)
    assert found.guaranteed == pytest.approx(math.pi / 2 - math.atan(0.5), abs=1e-9)
    assert "no fold up to t = 3" in str(found)


def test_in_two_dimensions_the_steepest_direction_folds_first():
    # phi = w (theta_1 + 3 theta_2): along g = (1, 3)/sqrt 10 as for the saddle, sqrt 10 times as fast
    G = jko.Potential(lambda xi: xi[:, 0] * (xi[:, 1] + 3 * xi[:, 2]))
    theta = np.random.default_rng(2).uniform(-1, 1, (9, 2))
    slope = np.tile([0.2, 0.6], (9, 1)) * math.sqrt(10)  # |B| = 2 along g
    pair = jko.ChargedParticles(theta, (theta * slope).sum(1))
    found = jko.diagnostics.fold_free(G, pair, t1=1.0, slope=slope, rtol=1e-10)
    assert found.fold == pytest.approx(math.atanh(0.5) / math.sqrt(10), abs=1e-9)
    assert found.guaranteed == pytest.approx(
        (math.pi / 2 - math.atan(2.0)) / math.sqrt(10), abs=1e-9
    )


def test_neighbours_that_meet_are_a_fold_between_labels():
    # the slope that is given at the labels is wrong, so only their order can show the fold
    mesh = line(2.0, N=5)
    found = jko.diagnostics.fold_free(saddle(), mesh, t1=3.0, slope=np.zeros((5, 1)), rtol=1e-10)
    assert found.fold == pytest.approx(math.atanh(0.5), abs=1e-8)


def test_the_run_ends_where_a_label_reaches_a_wall():
    G = jko.Potential(lambda xi: -xi[:, 1])
    mesh = jko.ChargedMesh([0.0, 0.5], [0.0, 0.0], [1.0], domain=jko.Box(-1.0, 1.0))
    found = jko.diagnostics.fold_free(G, mesh, t1=3.0)
    assert 0.5 < found.wall <= 3.0
    assert found.times[-1] == found.wall
    assert "reaches the wall" in str(found)


def test_a_velocity_that_blows_up_is_a_sentence():
    G = jko.Potential(lambda xi: -(xi[:, 1] ** 4) / 4)  # theta' = theta^3
    with pytest.raises(RuntimeError, match=r"the integration stopped at t = .* lower t1"):
        jko.diagnostics.fold_free(G, line(0.0, N=3), t1=3.0, rtol=1e-4)


def test_a_stiff_energy_ends_after_the_work_allowed():
    with pytest.raises(
        jko.limits.LimitStopped, match=r"500 evaluations .* max_evaluations"
    ) as caught:
        jko.diagnostics.fold_free(
            jko.Potential(lambda xi: 1e6 * xi[:, 0] ** 2),
            line(1.0, N=3),
            t1=100.0,
            max_evaluations=500,
        )
    found = caught.value.trajectory  # what was seen until then
    assert 0 < found.times[-1] < 100.0
    assert found.fold == math.inf
    assert len(found.angles) == len(found.times)
    with pytest.raises(ValueError, match=r"max_evaluations"):
        jko.diagnostics.fold_free(jko.SquaredNorm(), line(1.0, N=3), t1=1.0, max_evaluations=0)


# The guarantee


FOLDING = (0, 3, 4, 5)  # of the random starts


class Shifted(jko.FeatureMap):
    """h = tanh(theta + x) with its slopes written out."""

    def __call__(self, z, x):
        return torch.tanh(z + x.T)

    def linearise(self, z, x):
        h = self(z, x)
        return h, lambda g: (h @ g, ((1 - h * h) @ g)[:, None])

    def hessian(self, z, x, g):
        h = self(z, x)
        return ((2 * h * (h * h - 1)) @ g)[:, None, None]


def random_start(seed, N=40):
    """Random data, potential and graph in d = 1, of all sizes."""
    rng = np.random.default_rng(seed)
    x, f = rng.uniform(-2, 2, 5), rng.uniform(1, 8) * rng.standard_normal(5)
    lam = rng.choice([0.0, 0.1, 0.5])
    data = jko.Data(x[:, None], f)
    G = jko.Risk(data, activation=Shifted())
    a, b, c = rng.uniform(0.2, 2) * rng.standard_normal(3)
    k, m, s = rng.uniform(0.5, 2), rng.standard_normal(), rng.uniform(0.4, 1.2)

    def H(t):
        return a + b * t + c * torch.sin(k * t)

    bounds = (m - 3 * s, m + 3 * s)
    mesh = jko.ChargedMesh.from_function(
        column(lambda t: torch.exp(-0.5 * ((t - m) / s) ** 2)), column(H), bounds, N
    )
    slope = b + c * k * torch.cos(k * mesh.theta)
    return G + lam * jko.SquaredNorm(), mesh, slope, lam


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_the_guaranteed_time_is_never_too_late_on_random_starts(count):
    folded, worst = 0, math.inf
    for seed in range(count):
        G, mesh, slope, lam = random_start(seed)
        found = jko.diagnostics.fold_free(G, mesh, t1=2.0, slope=slope, rtol=1e-6)
        sizes = {"slope": float(slope.abs().max()), "charge": float(mesh.H.abs().max())}
        prior = jko.diagnostics.fold_free_time(
            float(G(mesh)), **sizes, bounds=(1.0, 1.0, 0.7699), lam=lam
        )
        assert min(prior, 2.0) <= found.guaranteed <= found.fold
        assert (np.diff(found.turned) >= 0).all()
        # no angle turns faster than the bound says, however it turned before
        assert (np.abs(found.angles - found.angles[0]) <= found.turned + 1e-4).all()
        folded += found.fold < math.inf
        worst = min(worst, found.fold / found.guaranteed)
    assert folded >= 0.35 * count  # the starts are steep enough to tell
    assert worst < 1.5  # and the guarantee is not far too early on all of them


def test_particles_keep_their_order_up_to_the_guaranteed_time_and_lose_it_after_the_fold():
    for seed in FOLDING:
        G, mesh, slope, _ = random_start(seed)
        found = jko.diagnostics.fold_free(G, mesh, t1=2.0, slope=slope)
        assert found.fold < 2.0
        fine = random_start(seed, N=400)[1]
        ends = jko.limits.wasserstein(
            G, fine.to_particles(), t1=1.2 * found.fold, times=[found.guaranteed], rtol=1e-7
        ).states
        assert (ends[1].theta[:, 0].diff() > 0).all()
        assert not (ends[2].theta[:, 0].diff() > 0).all()


def test_the_lifetime_from_the_start_alone_solves_its_equation():
    numbers = {"slope": 0.7, "charge": 1.3, "bounds": (1.0, 0.9, 0.8), "lam": 0.3}
    s = math.sqrt(2 * 0.45)

    def rates(t, y):
        k = y[1] * s * 0.8
        return [math.sqrt((s * 0.9) ** 2 + k**2 / 4), s - 0.3 * y[1]]

    T = jko.diagnostics.fold_free_time(0.45, **numbers)
    end = solve_ivp(rates, (0, T), [0.0, 1.3], rtol=1e-11, atol=1e-12).y[:, -1]
    assert end[0] == pytest.approx(math.pi / 2 - math.atan(0.7), abs=1e-9)
    assert jko.diagnostics.fold_free_time(0.45, **numbers, d=2) < T
    assert jko.diagnostics.fold_free_time(0.9, **numbers) < T
    assert jko.diagnostics.fold_free_time(0.45, **{**numbers, "lam": 0.0}) < T
    assert jko.diagnostics.fold_free_time(0.0, **numbers) == math.inf


def test_the_lifetime_from_the_start_holds_in_two_dimensions():
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, (6, 1))
    G = jko.Risk(jko.Data(x, 3 * rng.standard_normal(6)), activation=jko.Ridge(torch.tanh))
    theta = rng.standard_normal((30, 2))
    pair = jko.ChargedParticles(theta, np.sin(theta[:, 0]))
    slope = np.stack([np.cos(theta[:, 0]), 0 * theta[:, 0]], 1)
    found = jko.diagnostics.fold_free(G, pair, t1=3.0, slope=slope)
    one = 1 + (x**2).sum(1)  # |(x, 1)|^2
    bounds = (1.0, math.sqrt(one.mean()), 0.7699 * math.sqrt((one**2).mean()))
    prior = jko.diagnostics.fold_free_time(
        float(G(pair)), slope=1.0, charge=1.0, bounds=bounds, d=2
    )
    assert 0.01 < prior < found.guaranteed <= found.times[-1]


@pytest.mark.parametrize("name", ["slope", "charge", "lam"])
def test_negative_sizes_are_refused(name):
    sizes = {"slope": 1.0, "charge": 1.0, "lam": 0.0} | {name: -1.0}
    with pytest.raises(ValueError, match=rf"{name} = -1; it must not be negative"):
        jko.diagnostics.fold_free_time(0.5, bounds=(1.0, 1.0, 1.0), **sizes)


# The fields themselves


def test_the_fields_of_a_span_are_the_gradients_of_dG_drho():
    """v is minus the derivative of theta -> phi(H(theta), theta), by differences; w holds H."""
    data = jko.Data([[-0.5], [1.0]], [0.3, -0.2])
    G = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 0.2 * jko.SquaredNorm()
    rho = jko.Particles.normal(6, 2, generator=torch.Generator().manual_seed(2))

    def H(theta):
        return torch.sin(theta[:, 0]) * theta[:, 1]

    pair = jko.ChargedSpan(rho, H, jko.Ridge(torch.tanh), data.x)
    found, mu, e = jko.diagnostics.velocities(G, pair), pair.atoms, 1e-5
    for k, direction in enumerate(torch.eye(2, dtype=torch.float64)):
        ends = [rho.points + s * e * direction for s in (1, -1)]
        total = [G.variation(mu, torch.cat([H(end)[:, None], end], 1)) for end in ends]
        held = [G.variation(mu, torch.cat([H(rho.points)[:, None], end], 1)) for end in ends]
        for field, (ahead, behind) in ((found.v, total), (found.w, held)):
            assert torch.allclose(field[:, k], -(ahead - behind) / (2 * e), atol=1e-9)
    charged = [torch.cat([H(rho.points)[:, None] + s * e, rho.points], 1) for s in (1, -1)]
    ahead, behind = (G.variation(mu, at) for at in charged)
    assert torch.allclose(found.p, (ahead - behind) / (2 * e), atol=1e-9)


def test_their_squares_are_what_motion_integrates():
    mesh = jko.ChargedMesh([0.0, 0.5, 2.0, 2.5], [0.0, 0.25, 4.0, 1.0], [0.5, 0.25, 0.25])
    E = jko.SquaredNorm()
    found, moving, m = (
        jko.diagnostics.velocities(E, mesh),
        jko.diagnostics.motion(E, mesh),
        mesh.weights,
    )
    assert moving.v2 == pytest.approx(float(m @ (found.v**2).sum(1)))
    assert moving.chaos == pytest.approx(-jko.diagnostics.dissipation(E, mesh))
