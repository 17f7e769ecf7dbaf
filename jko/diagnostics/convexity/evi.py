"""``evi``: the evolution variational inequality along a run, and the constant with which it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.convexity.approach import approach
from jko.energies import Energy, value_of
from jko.measures import State
from jko.measures.tensors import on_numbers
from jko.shown import Shown
from jko.trajectory import Trajectory

Array = NDArray[np.float64]

NEAR = 1e-12  # of the largest squared distance: states that are mu_t itself


@dataclass(frozen=True, eq=False)
class EVI(Shown):
    """``1/2 d/dt d^2(mu_t, nu) + lam/2 d^2(mu_t, nu) + E(mu_t) - E(nu) <= 0``, over T times and n states nu.

    Attributes
    ----------
    times : (T,)
        Of the kept states.
    rates, squared, gaps : (T, n)
        ``1/2 d/dt d^2``, ``d^2`` and ``E(mu_t) - E(nu)``.

    Examples
    --------
    >>> import jko
    >>> E = 2 * jko.SquaredNorm()
    >>> run = jko.flow(E, jko.Particles([[1.0], [3.0]]), tau=0.1, steps=2)
    >>> found = jko.diagnostics.evi(E, run, [jko.Particles([[0.0], [5.0]])])
    >>> round(found.constant, 9), round(found.residual(2.0), 9)
    (2.0, 0.0)
    """

    times: Array
    rates: Array
    squared: Array
    gaps: Array

    @cached_property
    def constants(self) -> Array:
        """The largest lam with which it holds at each time for each nu, (T, n); nan where nu is mu_t."""
        near = self.squared <= NEAR * self.squared.max()
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(near, np.nan, -2 * (self.rates + self.gaps) / self.squared)

    @property
    def constant(self) -> float:
        """The least of them: the largest lam with which all of them hold."""
        return float(np.nanmin(self.constants))

    @property
    def worst(self) -> tuple[int, int]:
        """Where: the index of the time, and of nu."""
        t, nu = np.unravel_index(int(np.nanargmin(self.constants)), self.constants.shape)
        return int(t), int(nu)

    def residual(self, lam: float) -> float:
        """The largest of the left sides for a lam; not positive where the inequality holds."""
        return float((self.rates + 0.5 * lam * self.squared + self.gaps).max())

    def _facts(self) -> dict[str, object]:
        t, nu = self.worst
        where = f"t = {self.times[t]:.4g}, nu = {nu}"
        return {
            "constant": self.constant,
            "at": where,
            "times": len(self.times),
            "states": self.gaps.shape[1],
        }


@on_numbers
def evi(energy: Energy, run: Trajectory, others: Sequence[State]) -> EVI:
    """The evolution variational inequality of a gradient flow, against given states nu.

    ``1/2 d/dt d^2(mu_t, nu) + lam/2 d^2(mu_t, nu) + E(mu_t) - E(nu) <= 0``

    For all nu it characterises the gradient flow of an energy with modulus lam, and gives uniqueness, the contraction
    ``e^{-lam t}`` (:func:`contraction`) and errors in tau (:func:`error_bounds`).

    Parameters
    ----------
    energy : Energy
        That of the run.
    run : Trajectory
        Of the limit, or of steps: at each kept state the derivative is that along the gradient flow through it.
    others : sequence of states
        The nu: of the kind of the run's states.  Other states of the run are nearest to what matters.

    Returns
    -------
    EVI
        The least ``constant`` that was seen; no finite number of nu proves that it is least.

    Raises
    ------
    TypeError
        Kinds of state whose velocity is not known here.
    ValueError
        No nu, or all of them the run's own states.

    Notes
    -----
    The derivative is that along the optimal plan, ``int v(x) . (x - y) dplan`` with ``v = -grad phi``; on a grid
    ``1/2 int alpha d_t rho`` with the potential alpha.  For atoms the constant at (t, nu) is the mean
    ``2 int (1 - s) d2E/ds2 ds / d^2`` along the geodesic from mu_t to nu, so it is at least the modulus of
    :func:`convexity` there.

    Source: Ambrosio, Gigli and Savare (2008), theorem 4.0.4 and 11.2.1; survey Remark 3.4.

    Examples
    --------
    >>> import jko
    >>> E = jko.Potential(lambda x: x[:, 0] ** 4)  # convex: lam = 0
    >>> run = jko.limits.wasserstein(E, jko.Particles([[1.0], [3.0]]), t1=1.0)
    >>> nus = [jko.Particles([[x], [x + 1.0]]) for x in (-2.0, 0.0, 2.0)]
    >>> jko.diagnostics.evi(E, run, nus).constant > 0
    True
    """
    checks.kind("energy", energy, Energy, hint="that of the run")
    checks.kind("the run", run, Trajectory, hint="what jko.flow or jko.limits gave back")
    others = checks.items("others", others)
    for nu in others:
        checks.kind("each of others", nu, State)
    if not others:
        raise ValueError("others is empty; give states nu to hold the flow against")
    energy = energy.detach()
    values = np.array([value_of(energy, nu) for nu in others])
    pairs = [[approach(state, nu, energy) for nu in others] for state in run.states]
    rates, squared = np.moveaxis(np.array(pairs), -1, 0)
    if not squared.any():
        raise ValueError("all of others are the run's own states; give some at a distance")
    energies = np.array([value_of(energy, state) for state in run.states])
    return EVI(run.times[run.kept], rates, squared, energies[:, None] - values)
