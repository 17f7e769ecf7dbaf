"""Every scheme on every kind of state: it steps, resumes with the same bits, falls back and says so, or refuses."""

import math

import numpy as np
import pytest
import torch
from problems import split

import jko

NEWTON = jko.BlockNewton(tol=1e-12)
SCHEMES = [jko.BDF2(), jko.ZEG(), jko.Midpoint(), jko.SDIRK2()]
NAMES = ["BDF2", "ZEG", "Midpoint", "SDIRK2"]
RNG = np.random.default_rng(5)
X, M = RNG.standard_normal((12, 3)), RNG.uniform(0.5, 1.5, 12)


def ripples(z):
    return 0.5 * (z**2).sum(-1) + 0.3 * torch.cos(3 * z).sum(-1)


def periodic(z):
    return torch.sin(2 * math.pi * z).sum(-1) / 10 - torch.cos(2 * math.pi * z).sum(-1) / 20


def line():
    masses = 1 + 0.5 * np.sin(np.arange(20.0))
    return jko.LineMesh(np.linspace(-1, 2, 21), masses / masses.sum())


def pairs():
    theta = np.linspace(-1.5, 1.5, 21)
    return jko.ChargedMesh(theta, 1 + 0.3 * theta, np.full(20, 0.05))


def outside(x):
    return torch.where((x**2).sum(-1) < 0.3, 0.0, 1.0)


def density(grid, law=lambda x: 1 + x[:, 0] ** 2):
    return jko.GridDensity.from_function(grid, law)


OBSTACLE = (
    jko.Potential(lambda x: torch.where((x**2).sum(-1) < 0.3, torch.inf, x[:, 0]))
    + 0.1 * jko.Entropy()
)
WELL, SPREAD = jko.Potential(ripples), jko.SquaredNorm() + 0.1 * jko.Entropy()
CASES = {
    "masses": (WELL, jko.Particles(X, M / M.sum()), {}),
    "pair": (WELL, jko.ChargedParticles(X[:, 1:], X[:, 0], M / M.sum()), {}),
    "box": (WELL, jko.Particles(X.clip(-1, 1), domain=jko.Box([-1.0] * 3, [1.0] * 3)), {}),
    "ball": (WELL, jko.Particles(0.2 * X, domain=jko.Ball([0.5, 0.0, 0.0], 1.5)), {}),
    "torus": (
        jko.Potential(periodic),
        jko.Particles(X % 1, domain=jko.spaces.Torus([0.0] * 3, [1.0] * 3)),
        {},
    ),
    "scaled": (WELL, jko.Particles(X), {"metric": jko.metrics.ScaledWasserstein([4.0, 1.0, 0.5])}),
    "single": (WELL, jko.Particles(torch.tensor(X, dtype=torch.float32)), {}),
    "line": (SPREAD, line(), {}),
    "charged line": (SPREAD, pairs(), {}),
    "grid": (SPREAD, density(jko.Grid((-2.0, 2.0), 40)), {}),
    "periodic grid": (
        jko.Potential(periodic) + 0.02 * jko.Entropy(),
        density(jko.Grid([(0.0, 1.0), (0.0, 2.0)], (16, 24), periodic=(True, False))),
        {},
    ),
    "obstacle": (OBSTACLE, density(jko.Grid((-2.0, 2.0), (20, 20)), outside), {}),
    "sharded": (WELL, jko.distributed.Sharded(X, shards=1), {}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_it_steps_and_a_resumed_run_has_the_bits_of_the_whole(scheme, case):
    energy, start, options = CASES[case]
    options = options | {"scheme": scheme, "tau": lambda k: 0.1 * (1 + (k % 3) / 5)}
    whole = jko.flow(energy, start, steps=6, **options)
    assert (whole.columns["statuses"] == "CONVERGED").all()
    assert not whole.columns["fallback"].any()
    begun = jko.flow(energy, start, steps=4, **options)
    again = jko.flow(energy, begun, steps=6, **options)
    assert torch.equal(whole.final.atoms.points, again.final.atoms.points)
    assert torch.equal(whole.final.weights, again.final.weights)
    if isinstance(scheme, jko.BDF2):
        assert (np.diff(whole.columns["modified"]) <= 1e-6 * (case == "single")).all()


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_on_a_torus_it_goes_the_short_way_round(scheme):
    """Down a slope that comes round: the steps are those on the line, the coordinates those of the torus."""
    free, torus = (
        jko.Particles([[0.85]], domain=d) for d in (None, jko.spaces.Torus([0.0], [1.0]))
    )
    energy = jko.Potential(lambda z: torch.cos(2 * math.pi * (z[:, 0] - 0.8)) / 2)
    ends = [
        jko.flow(energy, start, tau=0.06, steps=5, solver=NEWTON, scheme=scheme).final.points
        for start in (free, torus)
    ]
    assert float(ends[0]) > 1.1
    assert float(ends[1]) == pytest.approx(float(ends[0]) - 1, abs=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_scales_are_learning_rates(scheme):
    energy = jko.SquaredNorm()
    metric = jko.metrics.ScaledWasserstein([4.0, 0.5])
    options = {"steps": 4, "solver": NEWTON, "scheme": scheme}
    scaled = jko.flow(energy, jko.Particles([[1.0, 1.0]]), tau=0.2, metric=metric, **options)
    for k, s in enumerate((4.0, 0.5)):
        alone = jko.flow(energy, jko.Particles([[1.0]]), tau=0.2 / s, **options).final
        assert float(scaled.final.points[0, k]) == pytest.approx(float(alone.points), abs=1e-11)


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_where_a_mesh_folds_it_falls_back(scheme):
    energy = jko.SquaredNorm() + 0.01 * jko.Entropy()
    run = jko.flow(energy, line(), tau=10.0, steps=2, scheme=scheme)
    first = 1 if isinstance(scheme, jko.BDF2) else 0  # that has no base point before
    assert run.columns["fallback"].nonzero()[0][0] == first
    assert (np.diff(run.energies) <= 0).all()


@pytest.mark.parametrize(
    ("scheme", "length", "kept"),
    [(jko.BDF2(), 1, 1 / 4), (jko.ZEG(), 1 / 5, 1 / 3), (jko.Midpoint(), 1 / 2, 1 / 2)],
    ids=NAMES[:3],
)
def test_where_the_atoms_of_a_pair_meet_it_falls_back(scheme, length, kept):
    """The first solve keeps such a part of their distance that the next base point has them at one place."""
    pair = jko.ChargedParticles([[-1.0], [1.0]], [0.5, -0.25])
    energy = jko.Potential(lambda z: 0.5 * z[:, 1] ** 2 + 0.05 * z[:, 0] ** 2)
    tau = (1 / kept - 1) / length
    run = jko.flow(energy, pair, tau=tau, steps=2, solver=NEWTON, scheme=scheme)
    assert run.columns["fallback"].any()
    assert (run.columns["statuses"] == "CONVERGED").all()


@pytest.mark.parametrize("scheme", [jko.BDF2(), jko.ZEG()], ids=["BDF2", "ZEG"])
def test_what_nobody_knows_how_to_move_is_refused(scheme):
    grid = jko.Grid((0.0, 1.0), 8)
    charged = jko.ChargedDensity.from_function(grid, lambda x: 1 + x[:, 0], lambda x: x[:, 0])
    span = jko.ChargedSpan(
        jko.Particles([[1.0, 0.0]]), lambda t: t[:, 0], jko.Ridge(torch.tanh), [[0.0]]
    )
    for state in (charged, span):
        with pytest.raises(
            TypeError, match=rf"{type(scheme).__name__} goes on.*{type(state).__name__}.*Implicit"
        ):
            jko.flow(jko.SquaredNorm(), state, tau=0.1, steps=1, scheme=scheme)
    rho = density(grid)
    with pytest.raises(ValueError, match=r"no potential.*jko\.Dynamic\(\)"):
        jko.flow(SPREAD, rho, tau=0.1, steps=1, scheme=scheme, solver=jko.Sinkhorn(0.05))
    sliced = jko.metrics.SlicedWasserstein(4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"no geodesic of SlicedWasserstein.*jko\.Implicit\(\)"):
        jko.flow(WELL, jko.Particles(X), tau=0.1, steps=1, metric=sliced, scheme=scheme)


def test_where_atoms_split_their_parts_go_on():
    problem = split()
    solver = jko.Plans(jko.BlockNewton(tol=1e-11))
    run = jko.flow(
        problem.energy,
        problem.start,
        tau=problem.tau,
        steps=3,
        solver=solver,
        scheme=jko.BDF2(),
    )
    assert run.final.N > problem.start.N
    assert (np.diff(run.columns["modified"]) <= 1e-12).all()
