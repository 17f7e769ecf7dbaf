"""Until when the flow (3.23) keeps the graph of H a graph: along a run, and from the start alone.

A unit vector turns at most at half the spread of the eigenvalues of the Hessian A of phi = dG/dmu.  So the angle
``alpha = atan |B|``, B = grad H, between the normal n and the axis of w stays below pi/2, which is a fold, while
``int_0^t sup half_spread ds < pi/2 - |alpha_0|``.  For d = 1 and ``Vbar = lam/2 (H^2 + |theta|^2)`` the half spread is
``sqrt(N'^2 + (H N'')^2 / 4)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import DOP853, cumulative_trapezoid, quad
from scipy.optimize import brentq
from torch import Tensor

from jko import checks
from jko.deprecation import renamed
from jko.diagnostics.graphs.normals import Normals
from jko.diagnostics.graphs.slopes import Pair, slope_of_atoms, smooth
from jko.energies import Energy
from jko.limits.stopped import LimitStopped, out_of_work
from jko.measures import ChargedDensity, ChargedMesh, ChargedParticles, ChargedSpan, Particles
from jko.measures.tensors import on_numbers
from jko.shown import Shown

Array = NDArray[np.float64]

INSIDE = 4  # looks at the graph within each step of the integrator
EVALUATIONS = 10_000  # of the right side, unless told otherwise: seconds


@dataclass(frozen=True, eq=False)
class FoldFree(Shown):
    """How long the graph of H lives under (3.23).

    Attributes
    ----------
    times : (K,)
        Where the graph was looked at, from 0 to the first of: t1, a fold, a wall.
    slopes, angles : (K,)
        The largest ``|B|`` over the labels and its angle ``atan |B|``.
    rates, turned : (K,)
        A bound on the speed of all angles, the largest half spread of the Hessian of phi over the labels, and its
        integral from 0.
    guaranteed : float
        No fold before this time: where ``turned`` reaches ``pi/2 - angles[0]``, or the last of ``times``.
    fold : float
        The first fold seen: the graph is vertical at a label, or (d = 1) two neighbours meet; inf if there is none.
    wall : float
        When a label leaves the domain, where the run ends (there (3.11) decides, not this equation); inf if none does.
    label : int
        Which label is steepest in the end: at a fold, where it is.
    final : Particles
        The lift at the last time, without empty atoms.
    B : (N, d)
        grad H there.
    """

    times: Array = field(repr=False)
    slopes: Array = field(repr=False)
    angles: Array = field(repr=False)
    rates: Array = field(repr=False)
    turned: Array = field(repr=False)
    guaranteed: float
    fold: float
    wall: float
    label: int
    final: Particles = field(repr=False)
    B: Tensor = field(repr=False)

    @property
    def budget(self) -> float:
        """``pi/2 - angles[0]``: what the graph may turn by before it can fold."""
        return 0.5 * math.pi - float(self.angles[0])

    def _facts(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("guaranteed", "fold", "wall", "slopes")}

    def __str__(self) -> str:
        seen = f"first fold at t = {self.fold:.6g}"
        if self.fold == math.inf:
            seen = f"no fold up to t = {self.times[-1]:.6g}"
        if self.wall < math.inf:
            seen += ", where a label reaches the wall"
        return (
            f"guaranteed: no fold before t = {self.guaranteed:.6g}; {seen} (slope {self.slopes[0]:.3g} -> "
            f"{self.slopes[-1]:.3g})"
        )


@on_numbers
def fold_free(
    energy: Energy,
    start: Pair | ChargedParticles,
    *,
    t1: float,
    slope: Any = None,
    rtol: float = 1e-8,
    max_evaluations: int = EVALUATIONS,
) -> FoldFree:
    """Follow the graph of H along (3.23): its slope, how long it is guaranteed to stay a graph, the first fold.

    Parameters
    ----------
    energy : Energy
        G, smooth enough for second derivatives; any potential Vbar(H, theta).
    start : ChargedSpan, ChargedMesh, ChargedDensity or ChargedParticles
        The pair at time zero.  Its atoms are the labels at which the graph is watched: choose them dense, since between
        two of them nothing is looked at, and the suprema are those over labels.
    t1 : float
        Look no further than this.
    slope : (N, d), optional
        grad H_0 at the atoms, needed for :class:`ChargedParticles`; default :func:`graph_slope` of the start.
    rtol
        Relative error allowed in a step of the integrator (explicit Runge-Kutta of order 8).
    max_evaluations : int
        A bound on the work: how often the right side may be evaluated.

    Returns
    -------
    FoldFree
        The run ends at the first fold.  Particles go on after it, as a solution of (3.7) that is no graph:
        :func:`jko.limits.wasserstein`.

    Raises
    ------
    TypeError
        Atoms without ``slope``.
    ValueError
        An internal energy; a slope of another shape, or a cell whose slope is not known.
    jko.limits.LimitStopped
        A RuntimeError, whose ``trajectory`` is the :class:`FoldFree` up to there: if the integrator fails, or
        ``max_evaluations`` are used up.

    Notes
    -----
    Source: survey (3.23) and section 5.1 (i).  The guarantee is for all d: while no normal has turned by
    ``pi/2 - |alpha_0|`` the flow map of Theta is a local diffeomorphism, in d = 1 increasing.  Its integral is taken
    along the computed run, by the trapezoidal rule; :func:`fold_free_time` needs no run.

    Examples
    --------
    >>> import jko, torch
    >>> G = jko.Potential(lambda xi: torch.cos(xi).prod(-1))
    >>> mesh = jko.ChargedMesh.from_function(
    ...     lambda x: 0 * x[:, 0] + 1, lambda x: 2 * x[:, 0], (-1.0, 1.0), 41
    ... )
    >>> found = jko.diagnostics.fold_free(G, mesh, t1=4.0)
    >>> 0 < found.guaranteed < found.fold < 4.0
    True
    """
    smooth(energy, "with it the slope obeys an equation with third derivatives of rho")
    t1 = checks.number("t1", t1, above=0)
    rtol = checks.number("rtol", rtol, above=100 * np.finfo(float).eps)
    allowed = checks.count("max_evaluations", max_evaluations)
    mu, B = _labels(start, slope)
    graph = Normals(energy, mu, B)
    run = DOP853(graph.rates, 0.0, graph.start, t1, rtol=rtol, atol=rtol * graph.scale)
    times, looks, y = [0.0], [graph.look(graph.start)], graph.start
    fold = wall = math.inf
    while run.status == "running" and fold == wall == math.inf:
        message = run.step()
        why = _stopped(run, message, allowed)
        if why:
            so_far = _result(np.array(times), looks, fold, wall, *graph.split(y))
            raise LimitStopped(why, so_far)
        curve = run.dense_output()
        for t in np.linspace(run.t_old, run.t, INSIDE + 1)[1:]:
            if graph.upright(curve(t)) <= 0:
                t = fold = _first_zero(graph, curve, times[-1], t)
            elif graph.outside(curve(t)):
                wall = float(t)
            y = curve(t)
            times.append(float(t))
            looks.append(graph.look(y))
            if min(fold, wall) < math.inf:
                break
    return _result(np.array(times), looks, fold, wall, *graph.split(y))


def _stopped(run: DOP853, message: str | None, allowed: int) -> str:
    """Why a run cannot go on, as a sentence; empty if it can."""
    if run.status == "failed":
        return (
            f"the integration stopped at t = {run.t:g} of {run.t_bound:g}: {message} The second derivatives of the "
            "energy blow up or jump there (ReLU features have jumps): lower t1, loosen rtol, or use a smooth activation"
        )
    if run.status == "running" and run.nfev > allowed:
        return out_of_work(
            allowed, run.t, run.t_bound, "The energy is stiff: lower t1, loosen rtol"
        )
    return ""


def _first_zero(graph: Normals, curve: Callable[[float], Array], a: float, b: float) -> float:
    """When the graph stops being one, between a, where it is one, and b, where it is none."""
    return float(brentq(lambda t: graph.upright(curve(t)), a, b, xtol=1e-14))


def _result(
    times: Array,
    looks: list[tuple[float, float, int]],
    fold: float,
    wall: float,
    final: Particles,
    normal: Tensor,
) -> FoldFree:
    angles, rates = (np.array([look[k] for look in looks]) for k in (0, 1))
    turned = cumulative_trapezoid(rates, times, initial=0.0)
    guaranteed = float(np.interp(0.5 * math.pi - angles[0], turned, times))
    vertical = 0.5 * math.pi - angles <= 1e-12
    slopes = np.where(vertical, np.inf, np.tan(np.where(vertical, 0.0, angles)))
    B, label = -normal[:, 1:] / normal[:, :1], looks[-1][2]
    return FoldFree(times, slopes, angles, rates, turned, guaranteed, fold, wall, label, final, B)


def _labels(start: Any, slope: Any) -> tuple[Particles, Tensor]:
    """The lift without empty atoms, and the slope there (N, d)."""
    kinds = (ChargedSpan, ChargedMesh, ChargedDensity, ChargedParticles)
    checks.kind("start", start, *kinds, hint="the pair (rho, H) at time zero")
    B, atoms = slope_of_atoms(start, slope), start.atoms
    full = atoms.weights > 0
    return Particles.of(atoms.points[full], atoms.weights[full], atoms.domain), B[full]


@renamed(energy="value")
def fold_free_time(
    value: float,
    *,
    slope: float,
    charge: float,
    bounds: tuple[float, float, float],
    lam: float = 0.0,
    d: int = 1,
) -> float:
    """A time before which (3.23) cannot fold, from the start alone: Vbar = lam/2 (H^2 + |theta|^2), lam >= 0.

    G falls and its potential is not negative, so ``|r| <= s = sqrt(2 G_0)`` for all times, hence
    ``|N| <= s D0``, ``|grad N| <= s D1``, ``|Hess N| <= s D2``, and from ``H' = -N - lam H`` along characteristics
    ``|H(t)| <= e^{-lam t} max |H_0| + s D0 (1 - e^{-lam t}) / lam``.  With ``k = |H| s D2`` the half spread of
    ``[[0, grad N], [grad N, H Hess N]]`` is at most ``sqrt((s D1)^2 + k^2/4)`` for d = 1, and its norm
    ``k/2 + sqrt((s D1)^2 + k^2/4)`` for d > 1.  The answer is the time at which the integral of that is
    ``pi/2 - atan max |grad H_0|``.

    Parameters
    ----------
    value : float
        G_0, or any larger number.
    slope, charge : float
        ``max |grad H_0|`` and ``max |H_0|`` over Theta.
    bounds : (D0, D1, D2)
        The suprema over Theta of the norms in L2 of the data, with their weights, of h(theta, .), of its derivative
        in theta in any unit direction, and of its second.
    lam, d
        As above; d is the dimension of Theta.

    Returns
    -------
    float
        inf where nothing turns.

    Examples
    --------
    h = tanh(theta + x) with the mean over data: |h|, |h'| <= 1 and |h''| <= .7698.

    >>> import jko
    >>> round(
    ...     jko.diagnostics.fold_free_time(0.5, slope=1.0, charge=1.0, bounds=(1.0, 1.0, 0.7699)), 4
    ... )
    0.6958
    """
    G0 = _not_negative("value", value)
    s, h0, lam = math.sqrt(2 * G0), _not_negative("charge", charge), _not_negative("lam", lam)
    D0, D1, D2 = (_not_negative("bounds", D) for D in checks.items("bounds", bounds, length=3))
    budget = 0.5 * math.pi - math.atan(_not_negative("slope", slope))
    several = checks.count("d", d) > 1
    if s * D1 == 0:
        return math.inf

    def speed(t: float) -> float:
        grown = -math.expm1(-lam * t) / lam if lam > 0 else t
        k = (math.exp(-lam * t) * h0 + s * D0 * grown) * s * D2
        return math.hypot(s * D1, 0.5 * k) + 0.5 * k * several

    return float(
        brentq(lambda T: quad(speed, 0.0, T, epsabs=1e-13)[0] - budget, 0.0, budget / (s * D1))
    )


def _not_negative(name: str, value: Any) -> float:
    number = checks.number(name, value)
    if number < 0:
        raise ValueError(f"{name} = {number:g}; it must not be negative")
    return number
