"""``error_bounds``: how far steps are from their limit flow, from a modulus of convexity alone.

Let U_n be steps with moves ``d_n = d(U_n, U_{n-1})`` and falls ``A_n = E(U_{n-1}) - E(U_n)``, u the limit flow, and
``delta^2(t) = (1 - l) d^2(U_{n-1}, u(t)) + l d^2(U_n, u(t))`` for ``t = t_{n-1} + l tau``.  The EVI of u, and that of
steps, ``(d^2(U_n, V) - d^2(U_{n-1}, V)) / 2 tau + lam/2 d^2(U_n, V) + d_n^2 / 2 tau <= E(V) - E(U_n)``, add up to

``d/dt delta^2 + lam (delta^2 + d^2(U_n, u)) <= 2 (1 - l) A_n - d_n^2 / tau``.

For ``lam >= 0`` the second lam term is left out and the rest integrated.  For ``lam = -k < 0`` one has
``d(U_n, u) <= delta + sqrt(1 - l) d_n``, and Gronwall's lemma for ``y = e^{-k t} delta``, Y its largest value, gives
``Y^2 <= a Y + b``, ``a = int 2 k sqrt(1 - l) d_n e^{-k t} dt`` and b the largest running integral of
``e^{-2 k t} ((1 - l)(k d_n^2 + 2 A_n) - d_n^2 / tau)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.slope.proximal import proximal
from jko.diagnostics.slope.sums import refuse_others
from jko.energies import Energy
from jko.measures.tensors import on_numbers
from jko.shown import Shown
from jko.trajectory import Trajectory

Array = NDArray[np.float64]

EQUAL = 1e-6  # relative: steps of one length


@dataclass(frozen=True, eq=False)
class ErrorBounds(Shown):
    """Bounds on ``d(mu_k, mu(t_k))``, the error of steps; prints as a table.

    Attributes
    ----------
    times : (K + 1,)
        Flow times.
    lam
        The modulus they rest on.
    prior : (K + 1,)
        From ``|dE|(mu_0)`` and the time steps alone, of order one in tau.  For lam < 0 it is infinite where steps are
        of different lengths, or ``tau >= -1 / lam``.
    posterior : (K + 1,)
        From what each step moved and lowered.

    Examples
    --------
    >>> import jko
    >>> E = jko.SquaredNorm()
    >>> run = jko.flow(E, jko.Particles([[1.0]]), tau=0.1, t1=1.0, solver=jko.BlockNewton())
    >>> found = jko.diagnostics.error_bounds(E, run, lam=1.0)
    >>> error = 1.1**-10 - 2.718281828**-1.0
    >>> bool(error < found.posterior[-1] < found.prior[-1] < 0.071)
    True
    """

    times: Array
    lam: float
    prior: Array
    posterior: Array

    def _facts(self) -> dict[str, object]:
        names = ("posterior", "prior")
        last: dict[str, object] = {name: float(getattr(self, name)[-1]) for name in names}
        return last | {"lam": self.lam, "steps": len(self.times) - 1}

    def __str__(self) -> str:
        head = f"{'t':>10}  {'a posteriori':>13}  {'a priori':>13}"
        columns = zip(self.times, self.posterior, self.prior, strict=True)
        return "\n".join([head, *(f"{t:10.4g}  {a:13.4e}  {b:13.4e}" for t, a, b in columns)])


@on_numbers
def error_bounds(energy: Energy, run: Trajectory, *, lam: float) -> ErrorBounds:
    """Bounds on the error of JKO steps against their limit flow, for an energy with modulus lam.

    Parameters
    ----------
    energy : Energy
        That of the run.
    run : Trajectory
        Of :func:`jko.flow` with the implicit scheme and the natural metric.
    lam : float
        The modulus of convexity along generalised geodesics, of any sign.

    Raises
    ------
    TypeError, ValueError
        A run that is none of JKO steps, or in another metric; a state whose slope is not known here.

    Notes
    -----
    What is proved: if E is lam-convex along generalised geodesics, so that ``E + d^2(., mu_k) / 2 tau`` is
    ``(lam + 1/tau)``-convex along curves that join any two states (assumption 4.0.1 of Ambrosio, Gigli and Savare), and
    the steps are minimisers, both bounds hold at every t_k.  For ``lam >= 0`` the prior is theirs,
    ``tau |dE|(mu_0) / sqrt(2)`` (theorem 4.0.4 v); for ``lam < 0`` both are by the estimate in the head of
    :mod:`jko.diagnostics.convexity.errors`, with the constants as they stand there.

    What is not: that a lam read off geodesics or eigenvalues (:func:`convexity`, :func:`modulus`, :func:`evi`) is a
    modulus everywhere, and along *generalised* geodesics.  ``V`` with ``Hess V >= lam`` is; an interaction with an even
    kernel ``Hess W >= k`` has ``min(k, 0)``, internal energies have 0 (McCann), and a risk with ``Hess phi_mu >= lam``
    for all mu on the way has that lam.  Steps of a solver are minimisers up to their residuals.

    Source: Ambrosio, Gigli and Savare (2008), theorems 4.0.4 and 4.1.2; Nochetto, Savare and Verdi (2000).

    Examples
    --------
    >>> import jko
    >>> E = jko.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2)  # V'' >= -4
    >>> run = jko.flow(E, jko.Particles([[0.5]]), tau=0.01, steps=20, solver=jko.BlockNewton())
    >>> found = jko.diagnostics.error_bounds(E, run, lam=-4.0)
    >>> bool(found.posterior[-1] < found.prior[-1] < 0.2)
    True
    """
    checks.kind("energy", energy, Energy, hint="that of the run")
    checks.kind("the run", run, Trajectory, hint="what jko.flow gave back")
    lam, costs, taus = checks.number("lam", lam), run.costs, np.diff(run.times)
    refuse_others(run)
    slope = proximal(energy, run.states[0]).slope(run.states[0])
    moves, falls = np.sqrt(np.maximum(costs, 0.0)), -np.diff(run.energies)
    of = (_convex, _convex_prior) if lam >= 0 else (_other, _other_prior)
    return ErrorBounds(run.times, lam, of[1](lam, taus, slope), of[0](lam, taus, moves, falls))


def _convex(lam: float, taus: Array, moves: Array, falls: Array) -> Array:
    """``delta_n^2 <= e^{-lam tau} delta_{n-1}^2 + int_0^tau e^{-lam (tau - s)} (2 (1 - s / tau) A - d^2 / tau) ds``."""
    x = lam * taus
    small = x < 1e-4
    y = np.where(small, 1.0, x)
    whole = np.where(small, 1 - x / 2, -np.expm1(-y) / y)  # over tau
    early = np.where(small, 0.5 - x / 3, (-np.expm1(-y) - y * np.exp(-y)) / y**2)
    squares = [0.0]
    for k, grown in enumerate(2 * taus * falls * early - moves**2 * whole):
        squares.append(max(float(np.exp(-x[k])) * squares[-1] + float(grown), 0.0))
    return np.sqrt(squares)


def _convex_prior(lam: float, taus: Array, slope: float) -> Array:
    """``tau |dE|(mu_0) / sqrt(2)``, with the largest step so far."""
    return np.append(0.0, np.maximum.accumulate(taus)) * slope / np.sqrt(2)


def _other(lam: float, taus: Array, moves: Array, falls: Array) -> Array:
    """``e^{k t} (a/2 + sqrt(a^2/4 + b))``, the positive and the negative part of each step with the worse factor."""
    k, ends = -lam, np.append(0.0, np.cumsum(taus))
    early, late = np.exp(-2 * k * ends[:-1]), np.exp(-2 * k * ends[1:])
    C, moved = k * moves**2 + 2 * falls, moves**2 / taus
    turn = np.clip(1 - np.divide(moved, C, out=np.ones_like(C), where=C > 0), 0.0, 1.0)
    plus = taus * (C * (turn - turn**2 / 2) - moved * turn)
    minus = plus - (taus * C / 2 - moves**2)
    before = np.append(0.0, np.cumsum(early * plus - late * minus))
    a = np.append(0.0, np.cumsum(4 / 3 * k * taus * moves * np.sqrt(early)))
    b = np.maximum.accumulate(np.append(0.0, np.maximum(before[1:], before[:-1] + early * plus)))
    return np.exp(k * ends) * (a / 2 + np.sqrt(a**2 / 4 + b))


def _other_prior(lam: float, taus: Array, slope: float) -> Array:
    """The same from ``d_n <= tau |dE|(mu_0) q^n`` and ``|dE|(U_n) <= |dE|(mu_0) q^n``, ``q = 1 / (1 + lam tau)``.

    With S_n the slopes and ``s_n = d_n / tau`` the integral over a step is at most
    ``tau^2 (k tau s_n^2 + (S_{n-1}^2 - s_n^2) / 2)``, which telescopes; the factors differ by 2 k tau within a step,
    and what a step adds before it turns is at most ``tau^2 (S_{n-1} s_n + k tau s_n^2)``.
    """
    k, tau = -lam, float(taus.max())
    ends = np.append(0.0, np.cumsum(taus))
    if tau * k >= 1 or float(taus.min()) < (1 - EQUAL) * tau:
        return np.append(0.0, np.full(len(taus), np.inf))
    n = np.arange(1, len(taus) + 1)
    q, early = 1 / (1 - k * tau), np.exp(-2 * k * ends[:-1])
    speeds = (slope * q**n) ** 2
    b = 0.5 * (tau * slope) ** 2 + np.cumsum(2 * k * tau**3 * early * speeds)
    b = b + np.maximum.accumulate(tau**2 * early * speeds * (1 / q + k * tau))
    a = np.cumsum(4 / 3 * k * tau**2 * np.sqrt(early * speeds))
    return np.append(0.0, np.exp(k * ends[1:]) * (a / 2 + np.sqrt(a**2 / 4 + b)))
