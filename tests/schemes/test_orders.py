"""The order of every scheme, on measures and pairs, on meshes with an entropy, and on grids where they are offered."""

import numpy as np
import pytest
import torch
from problems import tanh_energy, tanh_network
from scipy.integrate import solve_ivp
from scipy.linalg import solveh_banded

import jko
from jko.schemes.bdf2 import HERE, MOVE, TAU
from jko.steps.dynamic import Dynamic

NEWTON = jko.BlockNewton(tol=1e-12)
BETA, WELL = 0.05, 1.5
SCHEMES = {
    "Implicit": (jko.Implicit(), 0.05),
    "BDF2": (jko.BDF2(), 0.1),
    "SDIRK2": (jko.SDIRK2(), 0.1),
    "ZEG": (jko.ZEG(), 0.1),
    "Midpoint": (jko.Midpoint(), 0.1),
}


def orders(scheme, energy, start, end, T, counts, **options):
    """Observed orders, in labels, of flows in K steps to time T; nothing falls back."""
    errors = []
    for K in counts:
        run = jko.flow(energy, start, tau=T / K, steps=K, scheme=scheme, **options)
        assert not run.columns.get("fallback", np.zeros(1)).any()
        errors.append(float(np.sqrt(np.mean((labels(run.final) - end) ** 2))))
    return np.log2(np.divide(errors[:-1], errors[1:]))


def labels(state):
    return state.edges.numpy() if isinstance(state, jko.LineMesh) else state.atoms.points.numpy()


def holds(name, found):
    order, within = SCHEMES[name][0].order, SCHEMES[name][1]
    return abs(found[-1] - order) < within


def states(xi):
    return jko.Particles(xi), jko.ChargedParticles(xi[:, 1:], xi[:, 0])


@pytest.mark.parametrize("kind", [0, 1], ids=["measure", "pair"])
@pytest.mark.parametrize("name", SCHEMES)
def test_on_a_small_network(name, kind):
    x, f, lam, xi = tanh_network()
    energy, start = tanh_energy(x, f, lam), states(xi)[kind]
    end = jko.limits.wasserstein(energy, start, t1=0.5, rtol=1e-11).final.atoms.points.numpy()
    counts = (32, 64) if name == "Implicit" else (8, 16)
    assert holds(name, orders(SCHEMES[name][0], energy, start, end, 0.5, counts, solver=NEWTON))


@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.6])
@pytest.mark.parametrize("name", SCHEMES)
def test_the_constant_of_the_local_error(name, ratio):
    """``X_{k+1} - X(t + tau) = C tau^{p+1} X^{(p+1)}`` on ``X' = -X``, from exact values."""
    scheme, tau = SCHEMES[name][0], 1e-2
    state, memory = jko.Particles([[1.0]]), None
    if name == "BDF2":
        move = state.points - np.exp(tau / ratio)  # since X(-tau / ratio)
        memory = {HERE: state.points, MOVE: move, TAU: torch.tensor(tau / ratio)}
    step = scheme.advance(jko.SquaredNorm(), state, tau=tau, solver=NEWTON, memory=memory)
    p = scheme.order
    expected = scheme.constant(ratio) * tau ** (p + 1) * (-1) ** (p + 1)
    assert float(step.state.points) - np.exp(-tau) == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [0, 1], ids=["measure", "pair"])
@pytest.mark.parametrize("name", SCHEMES)
def test_on_a_network_of_fifty_neurons(name, kind):
    """tanh, N = 50, M = 100, two inputs, lam = .01, to T = 4 in 8 to 64 steps (BDF2 and Implicit: 128)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 2))
    f, xi = np.sin(2 * x[:, 0]) * np.cos(x[:, 1]), rng.standard_normal((50, 4))
    risk = jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh))
    energy, start = risk + 0.01 * jko.SquaredNorm(), states(xi)[kind]
    end = jko.limits.wasserstein(energy, start, t1=4.0, rtol=1e-12).final.atoms.points.numpy()
    counts = (8, 16, 32, 64, 128) if name in ("BDF2", "Implicit") else (8, 16, 32, 64)
    found = orders(SCHEMES[name][0], energy, start, end, 4.0, counts, solver=NEWTON)
    print(name, kind, found)  # noqa: T201
    assert holds(name, found)


def squeeze(widths, masses):
    """The force of ``beta Ent`` on the ends of cells."""
    pressure = np.concatenate([[0.0], BETA * masses / widths, [0.0]])
    return pressure[1:] - pressure[:-1]


def line():
    """A mesh, its energy, and the flow of its edges: ``M X' = -M (WELL X) - d Ent``, M the Gram matrix."""
    edges = np.linspace(-1.0, 2.0, 25)
    masses = 1 + 0.5 * np.sin(np.arange(24.0))
    masses /= masses.sum()
    bands = np.zeros((2, 25))
    bands[1, :-1], bands[1, 1:] = masses / 3, bands[1, 1:] + masses / 3
    bands[1, 1:-1] = (masses[1:] + masses[:-1]) / 3
    bands[0, 1:] = masses / 6

    def rate(t, X):
        return -WELL * X - solveh_banded(bands, squeeze(np.diff(X), masses))

    return (
        jko.LineMesh(edges, masses),
        WELL * jko.SquaredNorm() + BETA * jko.Entropy(),
        edges,
        rate,
    )


def charged_line():
    """The same for a pair, with ``V = (H - sin theta)^2 / 2 + theta^2 / 20``."""
    theta = np.linspace(-1.5, 1.5, 25)
    H, masses = 1 + 0.3 * theta, np.full(24, 1 / 24)
    mesh = jko.ChargedMesh(theta, H, masses)
    M = mesh.weights.numpy()

    def V(z):
        return 0.5 * (z[:, 0] - z[:, 1].sin()) ** 2 + 0.05 * z[:, 1] ** 2

    def rate(t, z):
        H, theta = z.reshape(-1, 2).T
        gap = H - np.sin(theta)
        force = gap * np.cos(theta) - 0.1 * theta - squeeze(np.diff(theta), masses) / M
        return np.stack([-gap, force], axis=1).ravel()

    start = np.stack([H, theta], axis=1).ravel()
    return mesh, jko.Potential(V) + BETA * jko.Entropy(), start, rate


@pytest.mark.parametrize("problem", [line, charged_line])
@pytest.mark.parametrize("name", SCHEMES)
def test_on_meshes_with_an_entropy(name, problem):
    mesh, energy, start, rate = problem()
    end = solve_ivp(rate, (0, 0.5), start, "Radau", rtol=1e-9, atol=1e-11).y[:, -1]
    counts = {"Implicit": (16, 32), "BDF2": (16, 32)}.get(name, (8, 16))
    end = end.reshape(labels(mesh).shape)
    assert holds(name, orders(SCHEMES[name][0], energy, mesh, end, 0.5, counts))


def on_a_grid(name, grid, energy, law, T, counts, finest):
    """Orders in L1 against many steps of the same scheme on the same cells; nothing falls back."""
    start = jko.GridDensity.from_function(grid, law)

    def end(K):
        solver = Dynamic(tol=1e-8)
        run = jko.flow(energy, start, tau=T / K, steps=K, scheme=SCHEMES[name][0], solver=solver)
        assert not run.columns["fallback"].any()
        falls = run.columns["modified"] if name == "BDF2" else run.energies
        assert (np.diff(falls) < 0).all()
        return run.final.values

    exact = end(finest)
    errors = [float((end(K) - exact).abs().sum()) * grid.cell for K in counts]
    return np.log2(np.divide(errors[:-1], errors[1:]))


@pytest.mark.parametrize("name", ["BDF2", "SDIRK2", "ZEG", "Midpoint"])
def test_on_a_grid(name):
    energy = 0.05 * jko.Entropy() + jko.Potential(
        lambda x: 2 * ((x - 0.6) ** 2).sum(-1) + 0.05 * torch.cos(8 * x).sum(-1)
    )
    found = on_a_grid(
        name,
        jko.Grid((0.0, 1.0), 400),
        energy,
        lambda x: torch.exp(-((x[:, 0] - 0.4) ** 2) / 0.02),
        0.1,
        (8, 16),
        128,
    )
    print(name, found)  # noqa: T201
    assert holds(name, found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BDF2", "SDIRK2", "ZEG", "Midpoint"])
def test_on_a_grid_in_the_plane(name):
    energy = jko.Entropy() + jko.Potential(lambda x: 50 * ((x - 0.5) ** 2).sum(-1))
    found = on_a_grid(
        name,
        jko.Grid((0.0, 1.0), (192, 192)),
        energy,
        lambda x: torch.exp(-((x - 0.4) ** 2).sum(-1) / 0.0072),
        5e-3,
        (8, 16, 32) if name == "BDF2" else (2, 4, 8),
        200 if name == "BDF2" else 64,
    )
    print(name, found)  # noqa: T201
    assert holds(name, found)
