"""Exact transport by the network simplex on few arcs, and pricing of all pairs.

Solve on a sparse set of arcs, look for pairs with a negative reduced cost among *all* pairs, add the worst of each row
and column, and solve again from the potentials found, until there is none: then the plan is optimal among all plans.
POT's sparse network simplex does the pivots.  The last basis is a spanning tree, whose flow (whole numbers, exact)
and potentials are recomputed directly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jko.metrics.couplings import Array, Index, Plan, all_costs, pair_costs
from jko.metrics.expansions import EPS
from jko.metrics.supplies import Supplies, jittered, plan_of_flow, supplies

ALL_PAIRS = 2**18  # up to here every pair is an arc
REFEREE = 4000 * 4000  # entries of the dense referee's matrix
HIDDEN = 1e-9  # of the cost: a plan that may be dearer by more has no referee
PIVOTS = 10**9


class Basis(NamedTuple):
    """A flow on arcs with potentials ``alpha_i + beta_j <= cost`` on those arcs."""

    rows: Index
    cols: Index
    flow: Array
    alpha: Array
    beta: Array


class NoFlow(RuntimeError):
    """The arcs given carry no flow of the masses given."""


def all_pairs(x: Array, a: Array, y: Array, b: Array) -> tuple[Plan, Array, Array]:
    """An optimal plan and potentials (not yet shifted to exact feasibility), with an arc for every pair."""
    exact, index = supplies(a, b), np.arange(len(x) * len(y))
    start = np.zeros(len(x)), np.zeros(len(y))
    tree = optimal_tree(x, y, exact, index // len(y), index % len(y), *start)
    return plan_of_flow(tree.rows, tree.cols, tree.flow, exact, a, b), tree.alpha, tree.beta


def optimal_tree(
    x: Array, y: Array, exact: Supplies, rows: Index, cols: Index, alpha: Array, beta: Array
) -> Basis:
    """The optimum on the arcs given, for masses without ties where that is an optimum of the exact ones too."""
    problem = rows, cols, alpha, beta
    try:
        tree = _on_tree(x, y, exact, network_simplex(x, y, jittered(exact), *problem))
    except NoFlow:  # parts of the clouds with no arc between them balance without the jitter alone
        tree = None
    if tree is None:  # or weights nearly balance: closer than the jitter can tell
        return network_simplex(x, y, exact, *problem)
    return tree


def network_simplex(
    x: Array, y: Array, masses: Supplies, rows: Index, cols: Index, alpha: Array, beta: Array
) -> Basis:
    """POT's network simplex on the arcs given, for costs reduced by ``alpha`` and ``beta``.

    The start potentials change the pivots, not the problem.  Costs are scaled to one, because POT's artificial arcs
    cost (largest + 1) (N + M): costs much below one would drown in their rounding.
    """
    reduced = pair_costs(x, y, rows, cols) - alpha[rows] - beta[cols]
    scale = float(np.abs(reduced).max()) or 1.0
    basis = cheapest_flow(masses, rows, cols, reduced / scale)
    return basis._replace(alpha=alpha + scale * basis.alpha, beta=beta + scale * basis.beta)


def cheapest_flow(masses: Supplies, rows: Index, cols: Index, costs: Array) -> Basis:
    """POT's network simplex on the arcs given; costs should not be far from one."""
    arcs = rows.astype(np.uint64), cols.astype(np.uint64)
    i, j, flow, _, du, dv, code = _simplex("emd_c_sparse")(*masses, *arcs, costs, PIVOTS)
    _check(int(code), float(flow.sum()), float(masses.a.sum()))
    return Basis(i.astype(np.int64), j.astype(np.int64), flow, du, dv)


def _on_tree(x: Array, y: Array, exact: Supplies, basis: Basis) -> Basis | None:
    """The flow of the exact masses and the potentials on the basis, if that is a feasible spanning tree.

    Both solve linear systems with the tree's incidence matrix, which is totally unimodular: sums of whole numbers.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    N, M = len(x), len(y)
    K = len(basis.flow)
    if K != N + M - 1:
        return None
    nodes = np.concatenate([basis.rows, N + basis.cols])
    arcs = np.concatenate([np.arange(K), np.arange(K)])
    inside = nodes > 0  # node 0 is the root: its potential is kept
    incidence = csc_array((np.ones(inside.sum()), (nodes[inside] - 1, arcs[inside])), shape=(K, K))
    try:
        tree = splu(incidence, permc_spec="COLAMD")
    except RuntimeError:  # a cycle: no tree
        return None
    flow = tree.solve(np.concatenate(exact)[1:])
    if not np.array_equal(flow, np.rint(flow)) or flow.min() < 0:
        return None
    root = basis.alpha[0]
    cost = pair_costs(x, y, basis.rows, basis.cols) - root * (basis.rows == 0)
    potentials = np.concatenate([[root], tree.solve(cost, trans="T")])
    return basis._replace(flow=flow, alpha=potentials[:N], beta=potentials[N:])


def referee(x: Array, a: Array, y: Array, b: Array) -> tuple[float, Plan]:
    """Cost and plan by dense ``ot.emd``: the program that everything else here is held against.

    Raises
    ------
    ValueError
        More pairs than a dense matrix should have, or costs on so many scales that rounding of the largest hides the
        answer: a dense simplex in floating-point numbers cannot tell.

    Examples
    --------
    >>> import numpy as np
    >>> from jko import metrics
    >>> x, y, half = np.array([[0.0], [1.0]]), np.array([[2.0], [1.0]]), np.array([0.5, 0.5])
    >>> metrics.referee(x, half, y, half)[0]
    1.0
    """
    if len(x) * len(y) > REFEREE:
        raise ValueError(
            f"the dense referee would need a matrix of {len(x)} x {len(y)}; it takes up to {REFEREE:.3g} entries. "
            "Use jko.distance, which is exact too and needs no matrix"
        )
    cost = all_costs(x, y)
    scale = float(cost.max()) or 1.0
    target = b * (math.fsum(a) / math.fsum(b))
    dense, alpha, beta = dense_simplex(a, target, np.ascontiguousarray(cost / scale))
    rows, cols = np.nonzero(dense)
    plan = Plan(rows, cols, dense[rows, cols], dense.shape)
    found = plan.cost(x, y)
    reduced = cost / scale - alpha[:, None] - beta
    open_ = float(np.vdot(dense, reduced)) + float(target @ np.maximum(0, -reduced.min(0)))
    doubt = (abs(open_) + EPS) * scale
    if doubt > HIDDEN * found > 0:
        raise ValueError(
            f"costs go up to {scale:g}, but the plan costs {found:g} and may be too dear by {doubt:.1g}: the dense "
            "referee is no better than rounding of the largest cost. Use jko.distance, which is"
        )
    return found, plan


def dense_simplex(a: Array, b: Array, costs: Array) -> tuple[Array, Array, Array]:
    """POT's network simplex on all pairs: the masses (N, M), and potentials; costs should not be far from one."""
    dense, _, alpha, beta, code = _simplex("emd_c")(a, b, costs, PIVOTS, 1, None, None)
    _check(int(code), float(dense.sum()), float(a.sum()))
    return dense, alpha, beta


def _simplex(name: str) -> Callable[..., Any]:
    """A function of POT's compiled network simplex; POT calls it by a door that copies costs and checks masses.

    It is no public name of POT, so what is installed may lack it.
    """
    import ot.lp

    found = getattr(ot.lp.emd_wrap, name, None)
    if found is None:
        raise ImportError(
            f"POT {ot.__version__} has no ot.lp.emd_wrap.{name}, which exact transport needs; "
            "install a version that jko knows: pip install 'POT>=0.9.7,<0.10'"
        )
    return found


def _check(code: int, sent: float, mass: float) -> None:
    """POT's result codes, and mass that went nowhere, as sentences."""
    reasons = {
        0: "found no flow on the arcs given",
        2: "found costs unbounded below",
        3: f"stopped after {PIVOTS} pivots",
    }
    if code != 1 or abs(sent - mass) > 1e-9 * mass:
        reason = reasons.get(code, f"sent the mass {sent:g} of {mass:g}")
        kind = NoFlow if code == 0 else RuntimeError
        raise kind(
            f"POT's network simplex {reason}; check that all points and weights are finite and sane"
        )
