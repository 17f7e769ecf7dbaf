"""Barycentres: the measure with the least mean squared distance to several, by a fixed point on its atoms.

``V(nu) = sum_k lam_k W2(nu, mu_k)^2``.  Couple nu with every mu_k optimally, glue the plans along nu, and send each
piece of an atom to the mean of its partners (Alvarez-Esteban, del Barrio, Cuesta-Albertos and Matran, J. Math. Anal.
Appl. 441, 2016).  With ybar the mean of the partners x_1 ... x_K of y,

    sum_k lam_k |y - x_k|^2 = |y - ybar|^2 + sum_k lam_k |ybar - x_k|^2,

so V falls by ``int |y - ybar|^2`` or more, and nu rests where that is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch

from jko import checks
from jko.measures import Pair, Particles, State
from jko.measures.tensors import on_numbers
from jko.metrics.alike import alike
from jko.metrics.couplings import Array, Index, squares, sums
from jko.metrics.expansions import EPS
from jko.metrics.gluing import glued
from jko.metrics.lifted import NEGLIGIBLE, atoms, lifted_distance
from jko.metrics.transport import transport
from jko.shown import Shown
from jko.spaces import same_domain
from jko.status import Status

Cloud = tuple[Array, Array]  # points (N, dim), masses (N,)


@dataclass(frozen=True, eq=False)
class Barycentre(Shown):
    """A stationary point of ``V(nu) = sum_k lam_k W2(nu, mu_k)^2``, and how far V may be above its minimum.

    Parameters
    ----------
    state
        The measure.  Of pairs (rho, H) the barycentre in the completion of D, points (H, theta); it may leave the
        graphs: ``state.project()`` is the pair with the mean of H at each theta, which loses
        ``jko.metrics.projection_loss(state)``.
    objectives
        V at the start and after each iteration; it never rises.
    residual
        ``(int |y - ybar|^2)^(1/2)``, a length: zero at a stationary point.
    converged
        Whether the residual is at most the tolerance; ``status`` says the same as of a step.
    states, weights
        The mu_k as atoms, and the lam_k.

    Examples
    --------
    >>> import jko
    >>> found = jko.metrics.barycentre(
    ...     [jko.Particles([[0.0]]), jko.Particles([[2.0]])], [0.25, 0.75]
    ... )
    >>> found.state.points.tolist(), found.status.name
    ([[1.5]], 'CONVERGED')
    """

    state: Particles
    objectives: tuple[float, ...]
    residual: float
    converged: bool
    states: tuple[Particles, ...]
    weights: tuple[float, ...]

    @property
    def objective(self) -> float:
        """V at ``state``."""
        return self.objectives[-1]

    @property
    def status(self) -> Status:
        """CONVERGED, or MAX_ITERATIONS: then it is on its way, and V as small as ``objective`` says."""
        return Status.CONVERGED if self.converged else Status.MAX_ITERATIONS

    @property
    def iterations(self) -> int:
        """Number of times the atoms were moved."""
        return len(self.objectives) - 1

    @cached_property
    def lower_bound(self) -> float:
        """``sum_{k < l} lam_k lam_l W2(mu_k, mu_l)^2 <= min V``: costs a distance for each pair of states.

        Attained by two states, on the line, and by translates of one measure; in general not.
        """
        parts = zip(self.states, self.weights, strict=True)
        return sum(
            lam * kappa * lifted_distance(mu, nu).squared
            for (mu, lam), (nu, kappa) in combinations(parts, 2)
        )

    def _facts(self) -> dict[str, Any]:
        ended = {"status": self.status, "iterations": self.iterations, "residual": self.residual}
        return {"objective": self.objective} | ended | {"state": self.state}

    def _picture(self) -> str:
        return self.state._picture()

    def __str__(self) -> str:
        ended = (
            "stationary"
            if self.converged
            else f"not stationary (residual {self.residual:.2g}): raise max_iterations"
        )
        return (
            f"{ended} after {self.iterations} iterations, objective {self.objective:.10g}; stationary is not minimal: "
            "compare lower_bound, or other starts"
        )


@on_numbers
def barycentre(
    states: Sequence[State],
    weights: Any = None,
    *,
    start: State | None = None,
    tol: float = 1e-6,
    max_iterations: int = 50,
) -> Barycentre:
    """A barycentre of several measures in W2, or of several pairs (rho, H) in D.

    Parameters
    ----------
    states
        :class:`jko.Particles`, or pairs (rho, H) of any kinds, which are read as their lifts.
    weights : (K,), optional
        The lam_k, positive, with sum one; default 1/K each.
    start
        Where the iteration begins, a state of the same sort; default: the one of ``states`` with the most atoms.
    tol
        On the residual, relative to the root mean square spread of the states.  An iteration lowers V by the square of
        the residual or more.
    max_iterations
        Beyond, the result has the status MAX_ITERATIONS.

    Returns
    -------
    Barycentre
        A stationary point: every atom is the mean of its partners.  V is not convex along the iteration, so it may
        depend on the start.

    Raises
    ------
    TypeError
        States of other kinds, or measures beside pairs.
    ValueError
        No states, weights that are no probability, different dimensions, dtypes or devices.

    Notes
    -----
    Atoms split where their mass goes to several atoms of one state, so the number of atoms is not fixed: between equal
    numbers of equal masses it stays, in general it grows to about the sum of the numbers.  Few iterations bring nearly
    all of the decrease; with very unequal masses the last part can be slow, since a small atom lets little mass past in
    an iteration.  Of two states the result is their geodesic at ``t = lam_2``, when the start is one of them.

    Examples
    --------
    >>> import jko
    >>> square = [jko.Particles([[x, y]]) for x in (0.0, 1.0) for y in (0.0, 1.0)]
    >>> found = jko.metrics.barycentre(square)
    >>> found.state.points.tolist(), found.objective
    ([[0.5, 0.5]], 0.5)
    """
    clouds, first = _clouds(states, start)
    lam = checks.weights(
        "weights", weights, len(clouds), torch.zeros(1, dtype=torch.float64, device="cpu")
    )
    tol, most = checks.number("tol", tol, above=0), checks.count("max_iterations", max_iterations)
    found = _iterated(
        [_massive(cloud) for cloud in clouds], (lam / lam.sum()).numpy(), _massive(first), tol, most
    )
    like = first.points
    domain = (
        clouds[0].domain if all(same_domain(clouds[0].domain, c.domain) for c in clouds) else None
    )
    points, masses = (torch.from_numpy(part).to(like) for part in (found.y, found.m))
    return Barycentre(
        Particles(points, masses, domain),
        tuple(found.objectives),
        found.residual,
        found.converged,
        tuple(clouds),
        tuple(lam.tolist()),
    )


class _Iterated(NamedTuple):
    y: Array
    m: Array
    objectives: list[float]
    residual: float
    converged: bool


def _iterated(clouds: list[Cloud], lam: Array, start: Cloud, tol: float, most: int) -> _Iterated:
    """The fixed point iteration, until the residual is small or ``most`` moves are made."""
    y, m = start
    enough = _smallest(clouds, lam, tol)
    objectives: list[float] = []
    while True:
        found = [transport(y, m, x, a) for x, a in clouds]
        objectives.append(float(lam @ [f.squared for f in found]))
        parents, partners, mass = glued([f.plan for f in found], [x for x, _ in clouds])
        means = sum(w * x[j] for w, (x, _), j in zip(lam, clouds, partners.T, strict=True))
        residual = float(np.sqrt(mass @ squares(means - y[parents])))
        if residual <= enough or len(objectives) > most:
            return _Iterated(y, m, objectives, residual, residual <= enough)
        y, m = _merged(partners, means, mass)


def _merged(partners: Index, points: Array, mass: Array) -> Cloud:
    """Pieces with the same partners become one atom; atoms keep the order in which they first appear."""
    _, first, label = np.unique(partners, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return points[first[order]], sums(label.ravel(), mass, len(first))[order]


def _smallest(clouds: list[Cloud], lam: Array, tol: float) -> float:
    """The residual that counts as zero: a part of the spread of all clouds, or rounding."""
    x = np.concatenate([x for x, _ in clouds])
    m = np.concatenate([w * a for w, (_, a) in zip(lam, clouds, strict=True)])
    spread = np.sqrt(m @ squares(x - m @ x))
    return max(tol * float(spread), 8 * EPS * float(np.abs(x).max()))


def _massive(measure: Particles) -> Cloud:
    x, m = atoms(measure)
    kept = m > NEGLIGIBLE
    return x[kept], m[kept]


def _clouds(states: Sequence[State], start: State | None) -> tuple[list[Particles], Particles]:
    """The states and the start as atoms of one space."""
    checks.kind("states", states, list, tuple, hint="pass a list of at least one state")
    if len(states) == 0:
        raise ValueError("states is empty; a barycentre needs at least one state")
    every = [*states] if start is None else [*states, start]
    names = [f"states[{k}]" for k in range(len(states))] + ["start"]
    sort = Pair if isinstance(states[0], Pair) else Particles
    clouds = []
    for name, state in zip(names, every, strict=False):
        hint = "all must be pairs (rho, H), or all Particles: pass .lift(), or .to_particles()"
        checks.kind(name, state, sort, hint=hint)
        clouds.append(alike(state, states[0], (name, names[0]))[0])
    if start is not None:
        return clouds[:-1], clouds[-1]
    return clouds, max(clouds, key=lambda cloud: cloud.N)
