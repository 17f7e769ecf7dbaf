"""Problems that carry their exact answer: the next JKO step, and where they are known the flow and its limit.

The answers come from ``jko.exact``, closed forms that import nothing of the library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import numpy as np
import torch

import jko
from jko import exact


@dataclass(frozen=True)
class Problem:
    """A base point and time step whose next state is known, atom by atom and in the coordinates of the lift.

    ``next`` and ``limit(t)`` have shape (N, dim): the JKO step, and the gradient flow (3.7) at time t.
    """

    name: str
    energy: jko.Energy
    start: jko.Particles | jko.ChargedParticles
    tau: float
    next: np.ndarray
    limit: Callable[[float], np.ndarray] | None = None

    def __str__(self) -> str:
        return self.name


def points(state) -> np.ndarray:
    """Atoms of a state in the coordinates of its lift, (N, dim)."""
    return (state.lift() if isinstance(state, jko.ChargedParticles) else state).points.numpy()


def both(name, energy, xi, weights, tau, after, limit, domain=None, base=None) -> list[Problem]:
    """The same problem for the measure on R x Theta and for the pair (rho, H)."""
    xi = np.asarray(xi, dtype=float)
    states = {
        "measure": jko.Particles(xi, weights, domain),
        "pair": jko.ChargedParticles(xi[:, 1:], xi[:, 0], weights, base),
    }
    return [
        Problem(f"{name}, {kind}", energy, start, tau, after, limit)
        for kind, start in states.items()
    ]


def quadratic() -> list[Problem]:
    """(a) ``V = a |xi - c|^2 / 2``."""
    a, c, tau = 2.0, np.array([1.0, -0.5, 0.25]), 0.3
    xi = np.array([[3.0, 1.0, 0.0], [-1.0, 2.0, 0.5], [0.5, -1.5, 4.0]])
    shift = torch.from_numpy(c)
    energy = jko.Potential(lambda z: 0.5 * a * ((z - shift) ** 2).sum(-1))
    after = exact.quadratic_step(xi, a=a, c=c, tau=tau)
    return both(
        "quadratic",
        energy,
        xi,
        [0.2, 0.5, 0.3],
        tau,
        after,
        lambda t: exact.quadratic_flow(xi, a=a, c=c, t=t),
    )


S2, TARGET = 0.8, 1.5  # of the linear network: int x^2 dx, and f(x) = TARGET x


def linear_risk() -> jko.Risk:
    """``h(theta, x) = theta x`` in d = 1 on a quadrature with unequal weights, ``sum q x^2 = S2``."""
    x = np.array([-1.0, 0.5, 2.0])
    return jko.Risk(
        jko.Data(x[:, None], TARGET * x, [0.3, 0.4, 0.1]), activation=lambda theta, x: theta @ x.T
    )


def linear_balanced() -> list[Problem]:
    """(e) from w = theta and A = .2, three atoms of unequal weights."""
    tau, weights = 0.3, np.array([0.25, 0.25, 0.5])
    theta = np.array([1.0, -0.5, 0.25])
    theta *= np.sqrt(0.2 / (weights @ theta**2))
    grow = np.sqrt(exact.linear_balanced_step(0.2, s2=S2, target=TARGET, tau=tau) / 0.2)
    xi = np.stack([theta, theta], axis=1)

    def limit(t: float) -> np.ndarray:
        return xi * np.sqrt(exact.linear_balanced_flow(0.2, s2=S2, target=TARGET, t=t) / 0.2)

    return both("linear features, balanced", linear_risk(), xi, weights, tau, xi * grow, limit)


def linear_any(N: int = 7) -> list[Problem]:
    """(e) from N atoms anywhere, of unequal weights."""
    rng = np.random.default_rng(5)
    xi, weights, tau = 0.8 * rng.standard_normal((N, 2)), rng.uniform(0.5, 1.5, N), 0.4
    weights /= weights.sum()
    Z = (xi * weights[:, None]).T @ xi
    after = xi @ exact.linear_step_map(Z, s2=S2, target=TARGET, tau=tau)

    def limit(t: float) -> np.ndarray:
        return xi @ exact.linear_flow(Z, s2=S2, target=TARGET, t=t)

    return both(
        f"linear features, any measure, N={N}", linear_risk(), xi, weights, tau, after, limit
    )


def circle(M: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """M equidistant points of [0, 2 pi] and the weight of each: exact for trigonometric degree below M."""
    return 2 * pi * np.arange(M) / M, np.full(M, 2 * pi / M)


def orthonormal(weights=None) -> list[Problem]:
    """(f) five features ``cos(k x) / sqrt(pi)``, chosen by a step function of theta, so that theta does not move."""
    w, tau = np.array([0.3, -1.0, 2.0, 0.0, 0.7]), 1.5
    x, q = circle()
    basis = torch.from_numpy(np.cos(np.outer(np.arange(1, 6), x)) / np.sqrt(pi))
    f = np.array([1.0, 0.4, -0.3, 0.8, 0.0])
    values = f @ basis.numpy() + 0.3 * np.sin(x)  # and a part that no feature sees
    energy = jko.Risk(
        jko.Data(x[:, None], values, q),
        activation=lambda theta, x: basis[(theta[:, 0] / 10).round().long()],
        gradient=lambda theta, x: theta.new_zeros(len(theta), len(x), 1),
    )
    theta = 10.0 * np.arange(5)
    after = np.stack([exact.orthonormal_step(w, f, tau=tau, weights=weights), theta], axis=1)

    def limit(t: float) -> np.ndarray:
        return np.stack([exact.orthonormal_flow(w, f, t=t, weights=weights), theta], axis=1)

    name = "orthonormal features" + ("" if weights is None else ", unequal weights")
    return both(name, energy, np.stack([w, theta], axis=1), weights, tau, after, limit)


def neuron() -> list[Problem]:
    """(i) one neuron ``w cos(x - theta) / sqrt(pi)`` that points at its target ``2 cos(x) / sqrt(pi)``."""
    x, q = circle()
    energy = jko.Risk(
        jko.Data(x[:, None], 2.0 * np.cos(x) / np.sqrt(pi), q),
        activation=lambda theta, x: torch.cos(x.T - theta) / np.sqrt(pi),
    )
    after = np.array([[float(exact.neuron_step(0.5, z=2.0, tau=0.4)), 0.0]])

    def limit(t: float) -> np.ndarray:
        return np.array([[float(exact.neuron_flow(0.5, z=2.0, t=t)), 0.0]])

    return both("one neuron", energy, [[0.5, 0.0]], None, 0.4, after, limit)


def wall() -> list[Problem]:
    """(j) ``V = -theta`` on Theta = [0, 1]; the pair has its charges in the potential H^2 / 2."""
    tau, weights = 0.35, [0.1, 0.2, 0.3, 0.4]
    base, domain = jko.Box([0.0], [1.0]), jko.Box([-np.inf, 0.0], [np.inf, 1.0])
    theta = np.array([0.1, 0.5, 0.8, 1.0])  # two atoms end on the wall
    line = Problem(
        "wall, line",
        jko.Potential(lambda z: -z[:, 0]),
        jko.Particles(theta[:, None], weights, base),
        tau,
        exact.wall_step(theta, tau=tau)[:, None],
    )
    H, theta = (
        np.array([1.0, -2.0, 0.5, 3.0]),
        np.array([0.1, 0.5, 0.8, 0.3]),
    )  # one: two would have two charges there
    after = np.stack(
        [exact.quadratic_step(H, a=1.0, c=0.0, tau=tau), exact.wall_step(theta, tau=tau)], axis=1
    )
    energy = jko.Potential(lambda z: 0.5 * z[:, 0] ** 2 - z[:, 1])
    return [
        line,
        *both(
            "wall", energy, np.stack([H, theta], axis=1), weights, tau, after, None, domain, base
        ),
    ]


STEPS: list[Problem] = [
    *quadratic(),
    *linear_balanced(),
    *linear_any(),
    *linear_any(200),
    *orthonormal(),
    *orthonormal(np.array([0.1, 0.3, 0.2, 0.15, 0.25])),
    *neuron(),
    *wall(),
]

FLOWS = [problem for problem in STEPS if problem.limit is not None]


@dataclass(frozen=True)
class Split:
    """Unequal weights: atoms of mass 1/3 at 0 and 2/3 at 1 for which the best step splits the heavy one.

    ``E = 400 int x^2 (1 - x)^2 + 2000 (mean - 1/3)^2`` and tau = 2: the wells hold the atoms at 0 and 1 and the mean
    asks for mass 2/3 at 0.  Values of the step: ``free`` over all measures (about half of the heavy atom moves to 0),
    ``thirds`` over three atoms of mass 1/3, ``weights`` over two atoms of masses 1/3 and 2/3 with any plan (which then
    sit at 1 and 0), ``identity`` over maps of the two atoms (which change places: cost .9989, while W2^2 is about 1/3).
    """

    energy: jko.Energy
    start: jko.Particles
    tau: float = 2.0
    free: float = 0.08328647458
    thirds: float = 0.08329572
    weights: float = 0.08332176
    identity: float = 0.24986


def split() -> Split:
    """The problem above, as a potential plus the risk of the features Phi(xi, x) = xi with target 1/3."""
    wells = jko.Potential(lambda z: 400 * (z * (1 - z)).square().sum(-1))
    mean = jko.Risk(
        jko.Data([[0.0]], [1 / 3], [4000.0]), features=lambda xi, x: xi.expand(len(xi), len(x))
    )
    return Split(wells + mean, jko.Particles([[0.0], [1.0]], [1 / 3, 2 / 3]))


def tanh_network(N: int = 6, M: int = 12, lam: float = 0.05, seed: int = 3):
    """A small tanh network: (x, f, lam, atoms xi (N, 3)) as numpy arrays; f = sin 3x on [-1, 1]."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, M)
    return x, np.sin(3 * x), lam, rng.standard_normal((N, 3))


def tanh_energy(x, f, lam) -> jko.Energy:
    """The regularised risk of that network, for the mean over the data."""
    return (
        jko.Risk(jko.Data(x[:, None], f), activation=jko.Ridge(torch.tanh))
        + lam * jko.SquaredNorm()
    )
