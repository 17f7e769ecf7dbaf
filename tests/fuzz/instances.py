"""Random states, energies and solvers, as strategies: of all kinds, with ties, far scales and masses down to 1e-300."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import jko

SCALES = [1.0, 1.0, 1.0, 1e-3, 1e3, 1e-8, 1e8]
FAR = [1e-150, 1e150, 1e-300, 1e300]
FACTORS = [1.0, 1.0, 1.0, 0.1, 1e-3, -1.0, 0.0, 1e6]
HARD_FACTORS = [1e-300, 1e12, 1e300]


@st.composite
def clouds(draw: Any, n: int, d: int, scale: float) -> np.ndarray:
    """Points (n, d): normal, on a lattice, repeated, on a line, or all at one place."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = random.normal(size=(n, d))
    shape = draw(st.sampled_from(["normal", "lattice", "repeated", "line", "one"]))
    if shape == "lattice":
        x = random.integers(-1, 2, (n, d)).astype(float)
    elif shape == "repeated":
        x = x[random.integers(0, max(1, n // 2), n)]
    elif shape == "line":
        x = np.outer(random.normal(size=n), random.normal(size=d))
    elif shape == "one":
        x = np.repeat(x[:1], n, 0)
    return x * scale


@st.composite
def masses(draw: Any, n: int) -> np.ndarray | None:
    """Equal masses (None), or unequal ones over up to 300 orders of magnitude."""
    orders = draw(st.sampled_from([0, 0, 1, 12, 300]))
    if not orders or n == 1:
        return None
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    w = 10.0 ** random.uniform(-orders, 0, n)
    w[0] = 1
    return w / w.sum()


@st.composite
def domains(draw: Any, d: int, scale: float) -> jko.Domain | None:
    """A convex set of the size of the cloud, or none."""
    sets = [
        None,
        None,
        jko.Box([-scale] * d, [scale] * d),
        jko.Box([0.0] * d, [np.inf] * d),
        jko.Ball([0.0] * d, scale),
        jko.spaces.Convex(lambda z: z.clamp(min=0.0)),
    ]
    if d > 1:
        sets.append(jko.spaces.Cylinder(jko.Ball([0.0] * (d - 1), scale)))
    return draw(st.sampled_from(sets))


@st.composite
def atoms(draw: Any, far: bool = False) -> jko.Particles | jko.ChargedParticles:
    """Particles, or a pair of atoms with charges."""
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    scale = draw(st.sampled_from(SCALES + FAR if far else SCALES))
    x, domain = draw(clouds(n, d, scale)), draw(domains(d, scale))
    if domain is not None:
        x = domain.project(torch.from_numpy(x)).numpy()
    weights = draw(masses(n))
    if draw(st.integers(0, 2)):
        return jko.Particles(x, weights, domain)
    H = scale * np.cos(np.arange(n)) * draw(st.sampled_from([0.0, 1.0]))
    _, place = np.unique(x, axis=0, return_inverse=True)
    return jko.ChargedParticles(x, H[place.reshape(-1)], weights, domain)


@st.composite
def densities(draw: Any) -> jko.GridDensity | jko.ChargedDensity:
    """A density on a grid of one or two axes, with holes or one full cell; or a pair on it."""
    scale, d = draw(st.sampled_from(SCALES)), draw(st.integers(1, 2))
    shape = tuple(draw(st.sampled_from([1, 2, 3, 6, 12][: 5 if d == 1 else 4])) for _ in range(d))
    grid = jko.Grid([(-2 * scale, draw(st.sampled_from([2.0, 0.5])) * scale)] * d, shape)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = random.random(shape)
    kind = draw(st.sampled_from(["full", "holes", "one", "orders"]))
    if kind == "holes":
        values *= random.random(shape) < 0.5
    elif kind == "orders":
        values = 10.0 ** random.uniform(-300, 0, shape)
    if kind == "one" or not values.sum() > 0:
        values[...] = 0
        values.flat[0] = 1
    values /= values.sum() * grid.cell
    if draw(st.booleans()):
        return jko.GridDensity(grid, values)
    return jko.ChargedDensity(grid, values, np.where(values > 0, random.normal(size=shape), np.nan))


@st.composite
def meshes(draw: Any) -> jko.LineMesh | jko.ChargedMesh:
    """Cells of the line with their masses, of widths that may differ by six orders; or nodes with charges."""
    n, scale = draw(st.integers(2, 6)), draw(st.sampled_from(SCALES))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = 10.0 ** random.uniform(-draw(st.sampled_from([0, 1, 6])), 0, n)
    edges = np.cumsum(widths) * scale
    domain = draw(st.sampled_from([None, jko.Box(-100 * scale, 100 * scale)]))
    weights = draw(masses(n - 1))
    weights = np.full(n - 1, 1 / (n - 1)) if weights is None else weights
    if draw(st.booleans()):
        return jko.LineMesh(edges, weights, domain)
    return jko.ChargedMesh(edges, random.normal(size=n), weights, domain=domain)


def spans() -> st.SearchStrategy[jko.ChargedSpan]:
    """A pair whose H is in the span of two features."""
    rho = jko.Particles([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
    grid = jko.Grid((-2.0, 2.0), (3, 4))
    gauss = jko.GridDensity.from_function(grid, lambda z: (-(z * z).sum(-1)).exp())
    return st.sampled_from([rho, gauss]).map(
        lambda mu: jko.ChargedSpan(
            mu, lambda theta: theta[:, 0], jko.Ridge(torch.tanh), [[0.0], [1.0]]
        )
    )


def states(far: bool = False) -> st.SearchStrategy[Any]:
    """A state of any kind."""
    return st.one_of(atoms(far), atoms(far), densities(), meshes(), spans())


POTENTIALS = {
    "|z|^2": lambda z: (z * z).sum(-1),
    "|z|^4": lambda z: (z**4).sum(-1),
    "two wells": lambda z: ((z * z - 1) ** 2).sum(-1),
    "cos 3z": lambda z: torch.cos(3 * z).sum(-1),
    "|z|_1": lambda z: z.abs().sum(-1),
    "|z|": lambda z: z.norm(dim=-1),
    "a wall": lambda z: torch.where(z[:, 0] > 0.5, torch.inf, z[:, 0] ** 2),
    "constant": lambda z: z.new_ones(len(z)),
    "falls": lambda z: z.sum(-1),
    "falls for ever": lambda z: -(z * z).sum(-1),
    "sqrt": lambda z: z[:, 0].sqrt(),
    "log": lambda z: z[:, 0].abs().log(),
    "exp": lambda z: (z * z).sum(-1).exp(),
}
KERNELS = {name: POTENTIALS[name] for name in ("|z|^2", "|z|", "falls for ever")} | {
    "gauss": lambda z: (-(z * z).sum(-1)).exp(),
    "-log": lambda z: -(z * z).sum(-1).log(),
}
ACTIVATIONS = {
    "tanh": lambda: jko.Ridge(torch.tanh),
    "relu": lambda: jko.Ridge(torch.relu),
    "sin": lambda: jko.Ridge(torch.sin),
    "bump": lambda: jko.GaussianBump(0.7),
    "one's own": lambda: lambda theta, x: torch.cos(theta.sum(-1, keepdim=True) * x[:, 0]),
}

LOSSES = [
    (None, [1.0, -0.5]),
    (None, [[1.0, -0.5], [0.0, 2.0]]),
    (jko.Logistic(), [1.0, -1.0]),
    (jko.Logistic(), [[1.0, 0.0], [0.3, 0.7]]),
]


@st.composite
def terms(draw: Any, dim: int) -> jko.Energy:
    """One energy for points with ``dim`` coordinates, which may not fit the state."""
    kind = draw(
        st.sampled_from(["norm", "potential", "pairs", "density", "kernel", "risk", "theta"])
    )
    if kind == "norm":
        return draw(
            st.sampled_from(
                [jko.SquaredNorm(), *map(jko.energies.PowerNorm, (1.0, 1.5, 2.0, 4.0, 50.0))]
            )
        )
    if kind == "potential":
        return jko.Potential(POTENTIALS[draw(st.sampled_from(sorted(POTENTIALS)))])
    if kind == "pairs":
        return jko.Interaction(KERNELS[draw(st.sampled_from(sorted(KERNELS)))])
    if kind == "density":
        orders = (1.5, 2.0, 3.0, 20.0)
        return draw(st.sampled_from([jko.Entropy(), *map(jko.PorousMedium, orders)]))
    if kind == "kernel":
        h = draw(st.sampled_from([0.5, 1e-3, 1e3]))
        return draw(
            st.sampled_from([jko.KernelEntropy(h), jko.energies.KernelPorousMedium(h, 2.0)])
        )
    if kind == "theta":
        return jko.energies.OnTheta(draw(st.sampled_from([jko.SquaredNorm(), jko.Entropy()])))
    name = draw(st.sampled_from(sorted(ACTIVATIONS)))
    loss, f = draw(st.sampled_from(LOSSES))
    n = max(1, dim - (len(f[0]) if isinstance(f[0], list) else 1) - (name != "bump"))
    x = np.linspace(-1, 1, 2 * n).reshape(2, n)
    return jko.Risk(jko.Data(x, f), activation=ACTIVATIONS[name](), loss=loss)


@st.composite
def energies(draw: Any, dim: int, hard: bool = False) -> jko.Energy:
    """A sum of one or two terms with coefficients of any size and sign."""
    factors = FACTORS + HARD_FACTORS if hard else FACTORS
    parts = [
        draw(st.sampled_from(factors)) * draw(terms(dim)) for _ in range(draw(st.integers(1, 2)))
    ]
    return sum(parts[1:], parts[0])


NATURAL = {
    jko.Particles: [jko.LBFGS(), jko.LBFGS(tol=1e-10), jko.BlockNewton(), jko.Plans()],
    jko.ChargedParticles: [jko.LBFGS(), jko.BlockNewton()],
    jko.GridDensity: [jko.Dynamic(), jko.Dynamic(tol=1e-6), jko.Sinkhorn(0.1)],
    jko.LineMesh: [jko.Quantile()],
    jko.ChargedDensity: [jko.steps.Remapped()],
    jko.ChargedMesh: [jko.steps.MeshNewton()],
    jko.ChargedSpan: [jko.steps.Alternating()],
}


def solvers(state: Any) -> st.SearchStrategy[Any]:
    """A solver of this kind of state (None: the natural one), seldom of another kind."""
    every = [solver for kind in NATURAL.values() for solver in kind]
    own = st.sampled_from([None, *NATURAL[type(state)]])
    return st.one_of(own, own, own, st.sampled_from(every))


def time_steps() -> st.SearchStrategy[float]:
    """From 1e-8 to 1e4, evenly in the exponent."""
    return st.floats(-8, 4).map(lambda e: 10.0**e)
