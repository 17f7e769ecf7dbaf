"""Proofs that the index coupling x_i <-> y_i is optimal, cheapest first.

A step moves the atoms y_i of mu_k to x_i and pays ``cost = sum_i m_i |x_i - y_i|^2``.  The cost is W2^2 if and only if
no other coupling is cheaper (cyclic monotonicity).  Proofs that need no transport solver come first: each hands back a
``bound`` with ``cost - W2^2 <= bound``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from jko.metrics.couplings import Array, Plan, all_costs, pair_costs
from jko.metrics.expansions import EPS
from jko.metrics.pricing import price, rounding
from jko.metrics.transport import TREE_DIM, nearest_partners, transport, unit_of

ASSIGNMENT = 1500  # atoms up to which an assignment is cheaper than the simplex
SWEEPS = 50  # of a potential that is repaired
TOLERANCE = 1e-10  # of the cost


class Proof(Enum):
    """What a certificate rests on."""

    NEAREST = "no atom has a partner nearer than its own"
    POTENTIAL = "the step's own potential satisfies the dual constraint of every pair"
    LINE = "the exact plan of sorted atoms"
    ASSIGNMENT = "an exact assignment"
    SIMPLEX = "an exact plan with potentials, priced over all pairs"
    MONOTONE = "a monotone map of the line"
    ACTION = "none: the cost is the one-step dynamic action, W2^2 to third order; the gap certifies the step"
    ENTROPIC = "none: the cost is that of an entropic plan, above W2^2"
    OWN_COST = "none: the penalty is the metric's own cost, not that of a coupling"
    NOT_EXAMINED = "not examined: the cost is that of the step's own coupling, at least W2^2"
    NONE = "nothing was proved"


@dataclass(frozen=True, eq=False)
class Certificate:
    """How far a coupling can be from optimal.

    Parameters
    ----------
    proof
        What it rests on.
    bound
        ``cost - W2^2 <= bound``, up to rounding.
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
        From the first proof that succeeds; the last one decides.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[0.0, 0.0], [1.0, 0.0]])
    >>> print(certify(0.9 * y, y, np.array([0.5, 0.5])))
    optimal: cost 0.005, at most 0 above W2^2 (no atom has a partner nearer than its own)
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
    tree = x.shape[1] <= TREE_DIM  # partners cost N log N; above, as much as a potential's N^2
    if tree and small_displacement(x, y):
        return Certificate(Proof.NEAREST, 0.0, _cost(x, y, m), None, True)
    tried = None if potential is None else by_potential(x, y, m, potential)
    if tried is not None and tried.optimal:
        return tried
    small = len(m) <= ASSIGNMENT and x.shape[1] > 1
    if small and potential is not None and (better := repaired(x, y, potential)) is not None:
        tried = by_potential(x, y, m, better)
        if tried.optimal:
            return tried
    if small and _equal(m):
        return by_assignment(x, y, m)
    return certify_plan(x, y, m, Plan.identity(m))


def small_displacement(x: Array, y: Array) -> bool:
    """Whether no atom has a partner nearer than its own, on one of the two sides.

    So it is when no displacement exceeds half the smallest gap between old atoms.  It proves the index coupling
    optimal for all weights.
    """
    return nearest_partners(x, y) is not None


def by_potential(x: Array, y: Array, m: Array, potential: Array) -> Certificate:
    """The proof by a potential ``u = |x|^2/2 + potential`` on the new atoms.

    ``violation_ij = |x_i - y_i|^2/2 + p_i - p_j - |x_j - y_i|^2/2 <= 0`` for all i, j proves the coupling optimal, and
    ``cost - W2^2 <= 2 sum_i m_i max(0, max_j violation_ij)`` in any case: it is the duality gap of
    ``alpha_j = -2 p_j, beta_i = |x_i - y_i|^2 + 2 p_i - 2 max_j violation_ij``.
    """
    index = np.arange(len(m))
    own = pair_costs(x, y, index, index)
    alpha = -2 * (potential - np.median(potential))  # most stay small where a few are large
    beta = own - alpha
    priced, cost = price(x, y, alpha, beta), float(m @ own)
    gap, unsure = float(m @ priced.deficit), float(m @ priced.unsure)
    unsure += float(m @ rounding(x.shape[1], 0 * own, alpha, beta))  # of alpha + beta = own
    proved = _proved(gap, unsure, cost)
    bound = gap if proved else gap + unsure
    return Certificate(Proof.POTENTIAL, min(bound, cost), cost, None, proved)


def repaired(x: Array, y: Array, potential: Array) -> Array | None:
    """The least potential above the given one that satisfies every constraint; needs an N x N matrix.

    ``p_j = max_i p_i + (|x_i - y_i|^2 - |x_j - y_i|^2) / 2``, by the longest paths that start at the potential (Bellman
    and Ford).  It exists if and only if the index coupling is optimal; None where the paths do not end soon.
    """
    arcs = all_costs(y, x)
    np.subtract(arcs.diagonal()[:, None].copy(), arcs, out=arcs)
    arcs *= 0.5
    p = potential - np.median(potential)
    raised, work = np.arange(len(p)), 0
    for _ in range(SWEEPS):
        reached = (arcs[raised] + p[raised, None]).max(0)
        raised = np.flatnonzero(reached > p + 4 * EPS * np.abs(p))
        work += len(raised)
        if len(raised) == 0 or work > 2 * len(p):
            break
        p[raised] = reached[raised]
    return None if len(raised) else p


def by_assignment(x: Array, y: Array, m: Array) -> Certificate:
    """The proof by ``scipy.optimize.linear_sum_assignment``, for equal weights; needs an N x N matrix.

    Raises
    ------
    ValueError
        Unequal weights, for which a plan may split atoms: use :func:`certify_plan`.
    """
    from scipy.optimize import linear_sum_assignment

    if not _equal(m):
        raise ValueError(
            f"weights range from {m.min():g} to {m.max():g}; an assignment needs equal ones: use certify_plan"
        )
    costs = all_costs(x, y)
    rows, cols = linear_sum_assignment(costs)
    best = Plan(rows, cols, m[rows], (len(m), len(m)))
    unsure = 4 * EPS * math.sqrt(len(m)) * float(costs.max())  # sums along paths of N costs
    if unsure > TOLERANCE * best.cost(x, y):
        return certify_plan(x, y, m, Plan.identity(m))
    return _compared(Proof.ASSIGNMENT, _cost(x, y, m), best, x, y, 0.0, True)


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
    proof = Proof.LINE if x.shape[1] == 1 else Proof.SIMPLEX
    return _compared(proof, plan.cost(x, y), best.plan, x, y, best.gap, bool(best.exact))


def _compared(
    proof: Proof, cost: float, best: Plan, x: Array, y: Array, gap: float, exact: bool
) -> Certificate:
    bound = min(max(0.0, cost - best.cost(x, y) + gap), cost)
    optimal = _proved(bound, 0.0, cost) and (exact or bound == 0)
    return Certificate(proof, bound, cost, None if optimal else best, optimal)


def _proved(bound: float, unsure: float, cost: float) -> bool:
    return bool(bound + unsure <= TOLERANCE * cost or cost == 0)


def _cost(x: Array, y: Array, m: Array) -> float:
    return Plan.identity(m).cost(x, y)


def _equal(m: Array) -> bool:
    return bool(np.all(m == m[0]))
