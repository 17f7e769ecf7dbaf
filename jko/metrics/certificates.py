"""Proofs that the index coupling x_i <-> y_i is optimal, cheapest first.

A step moves the atoms y_i of mu_k to x_i and pays ``cost = sum_i m_i |x_i - y_i|^2``.  The cost is W2^2 if and only if
no other coupling is cheaper (cyclic monotonicity).  Proofs that need no transport solver come first: each hands back a
``bound`` with ``cost - W2^2 <= bound``, its rounding included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from jko.metrics.base import EXACT
from jko.metrics.couplings import Array, Plan, all_costs
from jko.metrics.expansions import EPS
from jko.metrics.pricing import costs_for
from jko.metrics.repair import repaired
from jko.metrics.screening import SPARE, screened
from jko.metrics.transport import TREE_DIM, nearest_partners, transport, unit_of
from jko.shown import Shown, call

ASSIGNMENT = 1500  # atoms up to which an assignment is cheaper than the simplex
MULTIPLES = (
    0.75,
    1.0,
    0.5,
    0.0,
)  # of the step's potential: an inexact step moves less or more than it says
TOLERANCE = 1e-10  # of the cost


class Proof(Enum):
    """What a certificate rests on."""

    NEAREST = "no atom has a partner nearer than its own"
    POTENTIAL = (
        "the step's own potential, or a part of it, satisfies the dual constraint of every pair"
    )
    LINE = "the exact plan of sorted atoms"
    ASSIGNMENT = "an exact assignment"
    SIMPLEX = "an exact plan with potentials, priced over all pairs"
    MONOTONE = "a monotone map of the line"
    COMPONENTS = "an exact plan between the components of mixtures, whose cost is at least W2^2"
    AFFINE = "the gradient of a convex quadratic function, between normal laws"
    ACTION = "none: the cost is the one-step dynamic action, W2^2 to third order; the gap certifies the step"
    ENTROPIC = "none: the cost is that of an entropic plan, above W2^2"
    OWN_COST = "none: the penalty is the metric's own cost, not that of a coupling"
    NOT_EXAMINED = "not examined: the cost is that of the step's own coupling, at least W2^2"
    NONE = "nothing was proved"


@dataclass(frozen=True, eq=False)
class Certificate(Shown):
    """How far a coupling can be from optimal.

    Parameters
    ----------
    proof
        What it rests on.
    bound
        ``cost - W2^2 <= bound``, with all rounding counted.
    cost
        The coupling's cost.
    plan
        A cheaper plan, when the coupling is proved not to be optimal.
    optimal
        Whether ``cost - W2^2 <= 1e-10 cost`` was proved, with all rounding counted.
    """

    proof: Proof
    bound: float
    cost: float
    plan: Plan | None
    optimal: bool

    def _facts(self) -> dict[str, object]:
        known = self.known
        names = ("proof", "cost", "bound", "optimal")
        return {name: getattr(known, name) for name in names} | {"by": known.proof.value}

    def _line(self) -> str:
        facts = self._facts()
        return call("Certificate", {name: facts[name] for name in ("proof", "cost", "bound")})

    @property
    def known(self) -> Certificate:
        """What it says without any work: itself; of one that is still to be worked out, that it was not examined."""
        return self

    def __str__(self) -> str:
        verdict = "optimal"
        if not self.optimal:
            verdict = "not proved optimal" if self.plan is None else "not optimal"
        return f"{verdict}: cost {self.cost:.6g}, at most {self.bound:.2g} above W2^2 ({self.proof.value})"


NO_PROOF = Certificate(Proof.NONE, np.inf, np.nan, None, False)
MONOTONE = Certificate(Proof.MONOTONE, 0.0, np.nan, None, True)
ACTION = Certificate(Proof.ACTION, np.inf, np.nan, None, False)
ENTROPIC = Certificate(Proof.ENTROPIC, np.inf, np.nan, None, False)
OWN_COST = Certificate(Proof.OWN_COST, np.inf, np.nan, None, False)


def certify(x: Array, y: Array, m: Array, potential: Array | None = None) -> Certificate:
    """Prove the index coupling optimal, or find a cheaper plan.

    Parameters
    ----------
    x, y : (N, dim)
        New atoms and the old atoms they came from.
    m : (N,)
        Masses, positive, sum one.
    potential : (N,), optional
        ``tau phi(x_j)`` with phi the first variation at the new measure: a step ``x = y - tau grad phi(x)`` has its
        proof in it.

    Returns
    -------
    Certificate
        From the first proof that succeeds; the last one decides.  The bound is the least that was met.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[0.0, 0.0], [1.0, 0.0]])
    >>> print(certify(0.9 * y, y, np.array([0.5, 0.5])))
    optimal: cost 0.005, at most 2.2e-17 above W2^2 (no atom has a partner nearer than its own)
    """
    unit = unit_of(x, y)
    if unit != 1:
        with np.errstate(over="ignore", under="ignore"):
            scaled = None if potential is None else potential / unit / unit
        if scaled is not None and not np.isfinite(scaled).all():
            scaled = None  # far from this scale, it proves nothing
        found = certify(x / unit, y / unit, m, scaled)
        with np.errstate(over="ignore", under="ignore"):
            bound, cost = np.multiply((found.bound, found.cost), unit) * unit
        return replace(found, bound=float(bound), cost=float(cost))
    least = math.inf
    for found in _proofs(x, y, m, potential):
        least = min(least, found.bound)
        if found.optimal:
            break
    return replace(found, bound=least)


def _proofs(x: Array, y: Array, m: Array, potential: Array | None) -> Iterator[Certificate]:
    """Attempts, the cheapest first; the last one decides."""
    if x.shape[1] <= TREE_DIM:
        yield by_nearest(x, y, m)
    if x.shape[1] == 1:  # sorting decides
        yield certify_plan(x, y, m, Plan.identity(m))
        return
    p = np.zeros(len(m)) if potential is None else potential
    best, limit = (math.inf, p), TOLERANCE * _cost(x, y, m)
    for s in MULTIPLES if potential is not None else MULTIPLES[-1:]:
        bound, seen = screened(x, y, m, s * p, limit)
        yield _judged(Proof.POTENTIAL if s else Proof.NEAREST, x, y, m, bound)
        if seen < best[0]:
            best = seen, s * p
    if len(m) <= ASSIGNMENT:
        costs, error = costs_for(x, y, limit)
        if potential is not None and (better := repaired(costs, best[1])) is not None:
            yield _judged(Proof.POTENTIAL, x, y, m, screened(x, y, m, better, limit).bound)
        if _equal(m):
            yield by_assignment(x, y, m, costs, error)
            return
    yield certify_plan(x, y, m, Plan.identity(m))


def small_displacement(x: Array, y: Array) -> bool:
    """Whether no atom has a partner nearer than its own, on one of the two sides.

    So it is when no displacement exceeds half the smallest gap between old atoms.  It proves the index coupling
    optimal for all weights.
    """
    return nearest_partners(x, y) is not None


def by_nearest(x: Array, y: Array, m: Array) -> Certificate:
    """The proof by nearest partners, which a tree finds in low dimension."""
    rounding = 2 * (x.shape[1] + SPARE) * EPS * _cost(x, y, m)  # of squares that are compared
    return _judged(Proof.NEAREST, x, y, m, rounding if small_displacement(x, y) else math.inf)


def by_potential(x: Array, y: Array, m: Array, potential: Array) -> Certificate:
    """The proof by a potential ``u = |x|^2/2 + potential`` on the new atoms: :mod:`jko.metrics.screening`.

    ``violation_ij = |x_i - y_i|^2/2 + p_i - p_j - |x_j - y_i|^2/2 <= 0`` for all i, j proves the coupling optimal, and
    ``cost - W2^2 <= 2 sum_i m_i max(0, max_j violation_ij)`` in any case: it is the duality gap of
    ``alpha_j = -2 p_j, beta_i = |x_i - y_i|^2 + 2 p_i - 2 max_j violation_ij``.
    """
    return _judged(Proof.POTENTIAL, x, y, m, screened(x, y, m, potential).bound)


def by_assignment(
    x: Array, y: Array, m: Array, costs: Array | None = None, error: float = 0.0
) -> Certificate:
    """The proof by ``scipy.optimize.linear_sum_assignment``, for equal weights.

    Parameters
    ----------
    x, y, m
        As in :func:`certify`.
    costs, error : (N, N), float
        ``|y_i - x_j|^2``, wrong by at most ``error``.  Default: from coordinate differences.

    Raises
    ------
    ValueError
        Unequal weights, for which a plan may split atoms: use :func:`certify_plan`.

    Notes
    -----
    Where rounding of the costs hides the answer, that is :func:`certify_plan`'s.
    """
    from scipy.optimize import linear_sum_assignment

    if not _equal(m):
        raise ValueError(
            f"weights range from {m.min():g} to {m.max():g}; an assignment needs equal ones: use certify_plan"
        )
    costs = all_costs(y, x) if costs is None else costs
    sums = 4 * EPS * math.sqrt(len(m)) * float(costs.max())  # along paths
    unsure = sums + 2 * error
    if unsure <= TOLERANCE * _cost(x, y, m):
        # with the old atoms in turn it takes five times as long
        new, old = linear_sum_assignment(costs.T)
        best = Plan(new, old, m[new], (len(m), len(m)))
        if unsure <= TOLERANCE * best.cost(x, y):
            return _compared(Proof.ASSIGNMENT, x, y, m, Plan.identity(m), best, unsure)
    return certify_plan(x, y, m, Plan.identity(m))


def certify_plan(x: Array, y: Array, m: Array, plan: Plan) -> Certificate:
    """Compare a plan between ``sum m_i delta_{x_i}`` and ``sum m_i delta_{y_i}`` with an optimal one.

    Parameters
    ----------
    x, y : (N, dim)
        Atoms.
    m : (N,)
        Their masses, on both sides.
    plan
        The coupling in question.
    """
    best = transport(x, m, y, m)
    if x.shape[1] == 1:  # sorting is exact
        return _compared(Proof.LINE, x, y, m, plan, best.plan, 0.0)
    return _compared(Proof.SIMPLEX, x, y, m, plan, best.plan, best.gap, bool(best.exact))


def _compared(
    proof: Proof,
    x: Array,
    y: Array,
    m: Array,
    plan: Plan,
    best: Plan,
    gap: float,
    exact: bool = True,
) -> Certificate:
    """What a plan that is within ``gap`` of the best, or proved ``exact`` by transport, says of another."""
    cost, least = plan.cost(x, y), best.cost(x, y)
    above = max(0.0, cost - least) + gap
    optimal = cost == 0 or (exact and _proved(above, cost))
    rounding = (len(m) + x.shape[1]) * EPS * (cost + least)  # of the costs
    if proof is Proof.SIMPLEX:
        rounding += EXACT * least  # what "exact" leaves open
    return Certificate(
        proof, _at_most(cost, above + rounding, m), cost, None if optimal else best, optimal
    )


def _judged(proof: Proof, x: Array, y: Array, m: Array, bound: float) -> Certificate:
    cost = _cost(x, y, m)
    return Certificate(proof, _at_most(cost, bound, m), cost, None, _proved(bound, cost))


def _at_most(cost: float, bound: float, m: Array) -> float:
    """The bound, or the cost itself where that is smaller, with its rounding."""
    return min(bound, cost * (1 + len(m) * EPS))


def _proved(bound: float, cost: float) -> bool:
    return bool(bound <= TOLERANCE * cost or cost == 0)


def _cost(x: Array, y: Array, m: Array) -> float:
    return Plan.identity(m).cost(x, y)


def _equal(m: Array) -> bool:
    return bool(np.all(m == m[0]))
