"""W2 between particles, or densities: ``W2^2(mu, nu) = min over couplings of int |x - y|^2``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jko import checks
from jko.measures import (
    ChargedSpan,
    GridDensity,
    LineMesh,
    NormalLaws,
    OnCells,
    Pair,
    Particles,
    State,
)
from jko.metrics.alike import alike
from jko.metrics.base import Distance, Metric
from jko.metrics.couplings import as_array
from jko.metrics.grids import grid_distance
from jko.metrics.meshes import line_distance
from jko.metrics.wrapped import transport_in


@dataclass(frozen=True)
class Wasserstein(Metric):
    """The quadratic Wasserstein distance between :class:`jko.Particles`, exact for any weights.

    Sorting on the line; otherwise a network simplex on few pairs, priced over all of them.  Memory grows like N.
    :class:`jko.GridDensity` in the plane and in space is the density that is constant on its cells, and W2 comes with
    an upper and a lower bound; where 2000 cells or fewer hold mass, and on the line, it is read as atoms at the centres
    of its cells, and W2 is exact (:mod:`jko.metrics.grids`).  ``.to_particles()`` are these atoms at any size.
    :class:`jko.LineMesh` is the density itself, and W2 is exact.

    On a :class:`jko.spaces.Torus`, and between densities on grids with periodic axes, it is W2 for the squared length
    of the shortest way.  It is exact at any size on the circle, and up to 3.6e7 pairs of atoms, 6000 on either side,
    in the plane and in space.

    Examples
    --------
    >>> import jko
    >>> mu, nu = jko.Particles([[0.0], [1.0]]), jko.Particles([[3.0], [2.0]])
    >>> jko.Wasserstein().distance(mu, nu).value
    2.0
    """

    def factors(self, dim: int) -> tuple[float, ...]:
        """All one: the index coupling stands for W2."""
        return (1.0,)

    def cost(self, state: State, base: State) -> Tensor:
        """``sum_i m_i |x_i - y_i|^2`` with x the atoms of ``state``, y and m those of ``base``."""
        x, y = _particles("state", state), _particles("base", base)
        alike(x, y, ("state", "base"), seams=True)
        if x.N != y.N:
            raise ValueError(
                f"state has {x.N} atoms but base has {y.N}; the index coupling pairs them one to one. "
                "Use metric.distance(a, b), which takes any numbers of atoms"
            )
        moves = x.points - y.points
        moves = moves if y.domain is None else y.domain.shortest(moves)
        return y.integrate((moves**2).sum(-1))

    def distance(self, a: State, b: State) -> Distance:
        """W2(a, b) with an optimal plan and potentials; for large grids with bounds and a plan near the optimum."""
        if isinstance(a, GridDensity) and isinstance(b, GridDensity):
            alike(a, b, seams=True)
            return grid_distance(a, b)
        if isinstance(a, LineMesh) and isinstance(b, LineMesh):
            return line_distance(a, b)
        mu, nu = alike(_particles("a", a), _particles("b", b), seams=True)
        clouds = (as_array(t) for m in (mu, nu) for t in (m.points, m.weights))
        return transport_in(mu.domain)(*clouds)


def _particles(name: str, state: State) -> Particles:
    if isinstance(state, (Pair, ChargedSpan, OnCells, NormalLaws)) or not isinstance(state, State):
        hint = "W2 compares measures: pass the .lift() of a pair (rho, H), the .to_particles() of a Gaussian"
        return checks.kind(name, state, Particles, hint=hint)
    return state.atoms
