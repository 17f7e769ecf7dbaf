"""``convexity``: how convex an energy is along one geodesic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.convexity.paths import EnergyPath, path
from jko.energies import Energy
from jko.measures import State
from jko.measures.tensors import on_numbers
from jko.shown import Shown

Array = NDArray[np.float64]

NODES = 33


@dataclass(frozen=True, eq=False)
class Convexity(Shown):
    """An energy along a geodesic.

    Attributes
    ----------
    squared
        The squared distance of its ends.
    times, values, firsts, seconds : (n,)
        t in [0, 1], E(mu_t), and dE/dt and d2E/dt2 by their formulas.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.Particles([[0.0], [1.0]]), jko.Particles([[2.0], [4.0]])
    >>> found = jko.diagnostics.convexity(3 * jko.SquaredNorm(), a, b)
    >>> round(found.least, 9), round(found.squared, 9)
    (3.0, 6.5)
    """

    squared: float
    times: Array
    values: Array
    firsts: Array
    seconds: Array

    @property
    def least(self) -> float:
        """The modulus along this geodesic: the least ``d2E/dt2`` over the squared distance, at the times."""
        return float(self.seconds.min()) / self.squared

    @property
    def mean(self) -> float:
        """``2 int (1 - t) d2E/dt2 dt`` over the squared distance, from E(mu_1) - E(mu_0) - dE/dt(0): lam of the EVI."""
        rise = self.values[-1] - self.values[0] - self.firsts[0]
        return 2 * float(rise) / self.squared

    @property
    def chord(self) -> float:
        """The largest lam with ``E(mu_t) <= (1 - t) E(mu_0) + t E(mu_1) - lam/2 t (1 - t) d^2`` at the times."""
        t, E = self.times[1:-1], self.values
        below = (1 - t) * E[0] + t * E[-1] - E[1:-1]
        return float((2 * below / (t * (1 - t))).min()) / self.squared

    def _facts(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("least", "mean", "chord", "squared")}


@on_numbers
def convexity(energy: Energy, a: State, b: State, *, nodes: int = NODES) -> Convexity:
    """The second derivative of E along the geodesic from a to b, and its least value over the squared distance.

    ``d2E/dt2 = |int grad Phi . v dmu|_q^2 + int v . Hess(phi_mu) v dmu``, with the velocity v of the geodesic: of W2
    between measures, of D between pairs (rho, H).  Interactions and internal energies add their own.

    Parameters
    ----------
    energy : Energy
        F of measures, G of pairs.
    a, b : Particles, ChargedParticles, LineMesh, ChargedMesh or GridDensity
        Two states of one kind at a positive distance.
    nodes : int
        Times at which it is evaluated, 0 and 1 among them; at least 3.

    Returns
    -------
    Convexity
        ``least`` is an upper bound of the modulus of E along geodesics, one number of many; on this geodesic it is a
        minimum over the times.

    Raises
    ------
    TypeError
        Kinds of state whose geodesics carry no energy that is known here.
    ValueError
        Two equal states; internal energies in more than one dimension, or between meshes of pairs that exchange nodes.

    Notes
    -----
    Between densities on the line, on meshes or on a grid, the geodesic is that of the densities that are constant on
    cells, exactly, and the other terms see two Gauss points on each piece.  Without internal energies the cells of a
    grid are atoms at their centres.  Of several optimal plans one is taken.

    Source: McCann, Adv. Math. 128 (1997), for internal energies; survey Remark 3.4.

    Examples
    --------
    >>> import jko
    >>> R = jko.Risk(
    ...     jko.Data([[1.0]], [1.0]), activation=lambda theta, x: theta @ x.T
    ... )  # Phi = w theta
    >>> found = jko.diagnostics.convexity(
    ...     R, jko.Particles([[1.0, 1.0]]), jko.Particles([[-1.0, -1.0]])
    ... )
    >>> found.values[[0, 16, 32]].tolist(), found.least  # a barrier between two minima
    ([0.0, 0.5, 0.0], -1.0)
    """
    checks.kind("energy", energy, Energy)
    checks.count("nodes", nodes, 3)
    return along(path(energy, a, b), nodes)


def along(way: EnergyPath, nodes: int) -> Convexity:
    """The energy at equidistant times."""
    if not way.squared > 0:
        raise ValueError("a and b are one measure; a geodesic needs two")
    times = np.linspace(0.0, 1.0, nodes)
    columns = [np.array([f(float(t)) for t in times]) for f in (way.value, way.first, way.second)]
    return Convexity(way.squared, times, *columns)
