"""``contraction``: two flows of one energy, against ``e^{-lam t}``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.convexity.geodesic import along
from jko.diagnostics.convexity.paths import path
from jko.energies import Energy
from jko.measures.tensors import on_numbers
from jko.metrics import distance
from jko.shown import Shown
from jko.trajectory import Trajectory

Array = NDArray[np.float64]

NODES = 9


@dataclass(frozen=True, eq=False)
class Contraction(Shown):
    """The distance of two runs.

    Attributes
    ----------
    times, distances : (T,)
        Kept times, and ``d(mu_t, nu_t)``.
    lam
        The modulus of the comparison: what was given, or the least of ``moduli``.
    moduli : (T,)
        The modulus of E along the geodesic from mu_t to nu_t at each time; empty where lam was given.

    Examples
    --------
    >>> import jko
    >>> E, times = 2 * jko.SquaredNorm(), [0.0, 0.5, 1.0]
    >>> a, b = (
    ...     jko.limits.wasserstein(E, jko.Particles([[x]]), t1=1.0, times=times) for x in (1.0, 3.0)
    ... )
    >>> found = jko.diagnostics.contraction(E, a, b)
    >>> round(found.lam, 9), abs(found.excess) < 1e-6
    (2.0, True)
    """

    times: Array
    distances: Array
    lam: float
    moduli: Array

    @property
    def bound(self) -> Array:
        """``e^{-lam t} d(mu_0, nu_0)``, (T,)."""
        return np.exp(-self.lam * (self.times - self.times[0])) * self.distances[0]

    @property
    def of_steps(self) -> Array:
        """``d(mu_0, nu_0) / prod_k (1 + lam tau_k)``, (T,): of steps in a Hilbert space; inf for tau >= -1/lam."""
        factors = 1 + self.lam * np.diff(self.times)
        growth = np.where(factors > 0, 1 / np.where(factors > 0, factors, 1.0), np.inf)
        return self.distances[0] * np.concatenate([[1.0], np.cumprod(growth)])

    @property
    def excess(self) -> float:
        """The largest of ``d / bound - 1``: not positive where the flows contract as they should."""
        return float((self.distances / self.bound).max()) - 1

    @property
    def rates(self) -> Array:
        """``-d/dt log d`` between the times, (T - 1,): the lam with which the distance fell."""
        return -np.diff(np.log(self.distances)) / np.diff(self.times)

    def _facts(self) -> dict[str, object]:
        first, last = self.distances[[0, -1]].tolist()
        slowest = float(self.rates.min())
        return {
            "excess": self.excess,
            "lam": self.lam,
            "slowest": slowest,
            "from": first,
            "to": last,
        }


@on_numbers
def contraction(
    energy: Energy, first: Trajectory, second: Trajectory, *, lam: float | None = None
) -> Contraction:
    """Hold the distance of two flows of one energy against ``d(mu_t, nu_t) <= e^{-lam t} d(mu_0, nu_0)``.

    Parameters
    ----------
    energy : Energy
        That of both.
    first, second : Trajectory
        With the same kept times.
    lam : float, optional
        The modulus to hold them against.  Default: the least modulus of E along the geodesics between mu_t and nu_t, at
        the kept times.

    Raises
    ------
    ValueError
        Other times, or flows that meet; without ``lam`` also states along whose geodesics E is not known.

    Notes
    -----
    For limit flows it is a theorem, with any lam that bounds the modulus along the geodesics between the two flows:
    ``-d/dt log d = int d2E/ds2 ds / d^2`` along them.  The default looks at the kept times alone.  Steps are another
    matter: in a Hilbert space they contract by ``1 / (1 + lam tau)`` each (``of_steps``), in W2 and D this is not
    proved, and the picture shows what is measured.

    Source: Ambrosio, Gigli and Savare (2008), theorem 4.0.4 iv) and 11.1.4.

    Examples
    --------
    >>> import jko
    >>> E = jko.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2)  # modulus -4
    >>> a, b = (
    ...     jko.limits.wasserstein(E, jko.Particles([[x]]), t1=1.0, times=[0.0, 0.2, 0.4, 1.0])
    ...     for x in (0.1, -0.2)
    ... )
    >>> found = jko.diagnostics.contraction(E, a, b, lam=-4.0)
    >>> found.excess <= 0, bool(found.distances[-1] > found.distances[0])
    (True, True)
    """
    checks.kind("energy", energy, Energy, hint="that of the runs")
    for name, run in (("first", first), ("second", second)):
        checks.kind(name, run, Trajectory, hint="what jko.flow or jko.limits gave back")
    times, others = (run.times[run.kept] for run in (first, second))
    if times.shape != others.shape or not np.allclose(times, others, rtol=1e-12, atol=0):
        raise ValueError(
            "first and second keep states at other times; give both the same tau and save, or the same times="
        )
    pairs = list(zip(first.states, second.states, strict=True))
    distances = np.array([distance(a, b).value for a, b in pairs])
    if not (distances > 0).all():
        raise ValueError(f"the flows meet at t = {times[distances.argmin()]:g}; there is no rate")
    if lam is not None:
        return Contraction(times, distances, checks.number("lam", lam), np.empty(0))
    moduli = np.array([along(path(energy, a, b), NODES).least for a, b in pairs])
    return Contraction(times, distances, float(moduli.min()), moduli)
