"""The moment hierarchy (3.27) up to the order k, closed, by finite volumes.

For ``dF/dmu = w N(theta) + lam/2 w^2 + U(theta)``, the risk with a potential that is quadratic in w, and m_i = rho H_i,

    d_t m_i + div(-m_{i+1} grad N - m_i grad U) = -i (m_{i-1} N + lam m_i),   i = 0 ... k,   m_0 = rho,

where m_{k+1} comes from a closure.  Any other potential V adds ``-div(rho V_i^theta)`` on the left and
``-i rho V_{i-1}^w`` on the right, integrals against nu_theta (:mod:`jko.limits.fibres`).  No face of the boundary
carries a flux of any m_i: (3.28) for all i >= 1, whose condition number i belongs to equation number i - 1, and this is
one for each of the k + 1 equations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jko import checks, deprecation, derivatives
from jko.energies import Energy
from jko.limits.course import Array, Times, kept_times
from jko.limits.hierarchy_volumes import HierarchyVolumes, primitive
from jko.limits.moments import Closure, Moments, delta
from jko.limits.rungekutta import March
from jko.limits.stopped import LimitStopped
from jko.measures import ChargedDensity, State
from jko.measures.tensors import on_numbers
from jko.shown import Shown
from jko.spaces import Grid

EVALUATIONS = 300_000  # of the right side, unless told otherwise


@dataclass(frozen=True, eq=False)
class Hierarchy(Shown):
    """A solution of the moment hierarchy.

    Attributes
    ----------
    times : (T,)
        The kept times.
    states : tuple of T Moments
        rho and H_1 ... H_k at these times.
    steps : int
        Time steps that it took.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedDensity(jko.Grid((0.0, 1.0), 4), [1.0] * 4, [1.0] * 4)
    >>> run = jko.limits.hierarchy(jko.SquaredNorm(), pair, t1=0.1)
    >>> float(run.times[-1])
    0.1
    """

    times: Array
    states: tuple[Moments, ...]
    steps: int

    def _facts(self) -> dict[str, object]:
        return {"k": self.final.k, "t": f"0 .. {self.times[-1]:g}", "steps": self.steps}

    def _picture(self) -> str:
        return self.final._picture()

    @property
    def grid(self) -> Grid:
        """The cells."""
        return self.final.grid

    @property
    def rho(self) -> Tensor:
        """The densities, (T, *grid.shape)."""
        return torch.stack([state.values for state in self.states])

    @property
    def moments(self) -> Tensor:
        """H_1 ... H_k, (T, k, *grid.shape)."""
        return torch.stack([state.H for state in self.states])

    @property
    def final(self) -> Moments:
        """The last state."""
        return self.states[-1]


@np.errstate(all="ignore")
@on_numbers
def hierarchy(
    energy: Energy,
    start: Moments | ChargedDensity,
    *,
    t1: float,
    times: Times | None = None,
    closure: Closure = delta,
    max_evaluations: int = EVALUATIONS,
) -> Hierarchy:
    """Solve (3.27) for i <= k by second-order finite volumes, closed by ``closure``.

    Parameters
    ----------
    energy : Energy
        A sum of multiples of :class:`Risk` with an activation and any loss, potentials of any kind, and
        :class:`OnTheta` of any smooth energy.  Where V is ``lam/2 w^2 + U(theta)``, by :class:`SquaredNorm` and
        ``OnTheta``, ``V_i^w = lam H_{i+1}`` and ``V_i^theta = H_i grad U`` need no closure.  Of another V,
        ``V_i^w = int w^i d_w V dnu`` and ``V_i^theta = int w^i grad_theta V dnu`` are integrals against the law with
        the moments H_1 ... H_{k+1}, normal but for them: exact on a graph, and for polynomials in w of which the
        moments are known.
    start : Moments or ChargedDensity
        H_1 ... H_k at time zero; a pair (rho, H) is k = 1.
    t1 : float
        End time, > 0.
    times : (K,), optional
        Increasing times in [0, t1] to keep, besides 0 and t1.
    closure
        H_{k+1} as a function of the time, the points (n, d) and H_1 ... H_k (k, n), shape (n,):
        :func:`delta`, exact as long as mu lives on a graph, or :class:`Measured`.

    max_evaluations : int
        A bound on the work: how often the right side may be evaluated.

    Raises
    ------
    ValueError
        Other terms in the energy; times out of order or range.
    LimitStopped
        A RuntimeError, whose ``trajectory`` is the :class:`Hierarchy` computed before: if the moments stop being finite
        (the closure lost the hierarchy's hyperbolicity, or blows up), or ``max_evaluations`` are used up.

    Notes
    -----
    Source: survey, Lemma 3.2.  MUSCL with the limiter MC, fluxes of Rusanov, three-stage Runge-Kutta of Shu and Osher
    with steps of 0.4 cells: order two in dx.  rho stays positive, its mass is kept to rounding.  What is reconstructed
    are rho and the cumulants of nu_theta: a limiter that acts on H_1, H_2, H_3 one by one excites waves that grow.
    As printed, (3.28) pairs H_i with V_{i-1}: read it for all i >= 1, as the condition of equation i - 1.

    Examples
    --------
    >>> import jko, torch
    >>> grid = jko.Grid((-1.0, 1.0), 20)
    >>> pair = jko.ChargedDensity.from_function(
    ...     grid, lambda x: 1 - x[:, 0] ** 2, lambda x: x[:, 0] + 1
    ... )
    >>> run = jko.limits.hierarchy(jko.SquaredNorm(), pair, t1=1.0)
    >>> round(float(run.final.pair.integrate(run.final.H[0])), 4)  # e^-1
    0.3679
    """
    checks.kind("energy", energy, Energy)
    checks.kind("start", start, Moments, ChargedDensity)
    if isinstance(start, ChargedDensity):
        start = Moments.of_pair(start)
    t1 = checks.number("t1", t1, above=0)
    kept = np.array([0.0, t1]) if times is None else kept_times(times, t1)
    cells = HierarchyVolumes(energy, start.grid, start.k, closure)
    march = March(cells, t1, checks.count("max_evaluations", max_evaluations))
    solution = march.solve(torch.cat([start.values[None], start.values * start.H]), kept)
    states = (Moments(start.grid, *primitive(U)) for U in solution.rows[1:])
    run = Hierarchy(solution.times, (start, *states), march.steps)
    if solution.failure is not None:
        raise LimitStopped(solution.failure, run)
    return run


@deprecation.renamed(mu="state")
@on_numbers
def moment_rate(energy: Energy, state: State, i: int, psi: Callable[[Tensor], Tensor]) -> float:
    """``d/dt int psi(theta) w^i dmu`` along (3.7): equation i of (3.27), tested with psi. For any potential.

    ``-int [w^i grad psi . grad_theta phi + i w^{i-1} psi d_w phi] dmu`` with phi = dF/dmu; psi takes (n, d) to (n,).

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[2.0, 1.0]])
    >>> jko.limits.moment_rate(
    ...     jko.SquaredNorm(), mu, 2, lambda x: x[:, 0]
    ... )  # d/dt theta w^2 = -3 theta w^2
    -12.0
    """
    checks.kind("energy", energy, Energy)
    checks.kind("state", state, State)
    checks.function("psi", psi, hint="it maps points (n, d) to numbers (n,)")
    checks.count("i", i, 0)
    atoms = state.atoms
    w, theta = atoms.points[:, 0], atoms.points[:, 1:]
    value, slope = derivatives.gradient(
        "psi", derivatives.Differentiable("the function psi", psi), theta
    )
    gradient = energy.gradient(atoms)
    rate = w**i * (slope * gradient[:, 1:]).sum(1)
    if i > 0:
        rate = rate + i * w ** (i - 1) * value * gradient[:, 0]
    return -float(atoms.integrate(rate))
