"""The restricted problem: the best plan from each base atom to finitely many candidates.

``minimise |A p - b|^2 / 2 + cost . p    over p >= 0 with sum_{a in block i} p_a = m_i``

A column of A is the feature of a candidate z_a, its cost is V(z_a) + |z_a - y_i|^2 / (2 tau); block i is the base atom
whose mass may go there.  Its value bounds the minimum of the step from above; its residual A p - b is a g to try.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

ROUNDS = 2000
RIDGE = 1e-13  # of a scaled Gram matrix; every solve starts again from the true gradient, so it biases nothing


def best_plan(
    A: np.ndarray,
    b: np.ndarray,
    cost: np.ndarray,
    block: np.ndarray,
    masses: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """Solve by the primal active-set method: exact Newton steps on the support, cut at p = 0.

    Parameters
    ----------
    A : (M, C)
        Columns.
    b : (M,)
        Target.
    cost : (C,)
        Costs.
    block : (C,)
        Block of each column, 0 .. N - 1; every block has one.
    masses : (N,)
        Masses of the blocks.
    start : (C,)
        A feasible plan.

    Returns
    -------
    ndarray (C,)
        The plan.
    """
    p, support = start.copy(), start > 0
    refused = np.zeros_like(support)
    scale = np.abs(cost).max() + np.abs(A).max(initial=0.0) * np.abs(b).max(initial=0.0) + 1e-300
    tol, settled = 1e-14 * scale, False
    for _ in range(ROUNDS):
        gradient = A.T @ (A @ p - b) + cost
        heavy = _lightest(-p, block, len(masses))
        # zero on the support, nowhere negative: optimal
        reduced = gradient - gradient[heavy[block]]
        on = _others(support, heavy)
        if settled or np.abs(reduced[on]).max(initial=0.0) <= tol:
            entering = _lightest(np.where(support | refused, np.inf, reduced), block, len(masses))
            entering = entering[(reduced < -tol)[entering] & ~(support | refused)[entering]]
            if not len(entering):
                return p
            support[entering] = True
            on, settled = _others(support, heavy), False
        d = _newton(A[:, on] - A[:, heavy[block[on]]], reduced[on])
        stuck = on[(p[on] == 0) & (d <= 0)]
        if len(stuck):  # they would leave at once
            support[stuck], refused[stuck] = False, True
            continue
        change = np.zeros_like(p)
        change[on] = d
        np.subtract.at(change, heavy[block[on]], d)
        falling = np.flatnonzero(change < 0)
        ratios = p[falling] / -change[falling]
        t = min(1.0, ratios.min(initial=np.inf))
        p = p + t * change
        gone = falling[ratios <= t]
        p[gone], support[gone], refused[:] = 0.0, False, False
        p *= (masses / np.bincount(block, p, len(masses)))[block]  # undo the rounding of the sums
        settled = t == 1.0 and abs(reduced[on] @ d) <= 1e-18 * scale
    return p


def _newton(D: np.ndarray, reduced: np.ndarray) -> np.ndarray:
    """Minimise ``|D d|^2 / 2 + reduced . d``; columns are scaled first, far candidates have long ones."""
    units = np.sqrt(np.square(D).sum(0))
    units[units == 0] = 1.0
    gram = D.T @ D / units / units[:, None]
    right = -reduced / units
    gram[np.diag_indices_from(gram)] += RIDGE * (1 + np.abs(right).max(initial=0.0))
    _, d, failed = lapack.dposv(gram, right)
    return (np.linalg.lstsq(gram, right, rcond=None)[0] if failed else d) / units


def _lightest(values: np.ndarray, block: np.ndarray, N: int) -> np.ndarray:
    """The column of each block with the lowest value."""
    order = np.lexsort((values, block))
    return order[np.searchsorted(block[order], np.arange(N))]


def _others(support: np.ndarray, heavy: np.ndarray) -> np.ndarray:
    """The support, less the column that balances each block."""
    rest = support.copy()
    rest[heavy] = False
    return np.flatnonzero(rest)
