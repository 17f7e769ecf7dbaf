"""Gluing: one joint coupling from several plans that start at the same measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jko.metrics.couplings import Array, Index, Plan, sums

SLIVER = 1e-12  # of an atom: pieces below it are rounding


def glued(plans: Sequence[Plan], clouds: Sequence[Array]) -> tuple[Index, Index, Array]:
    """A joint coupling of one measure nu with several, whose pairs are the plans.

    The mass of an atom of nu is laid out once for each plan, as an interval in the order of the partners along the
    axis of their widest spread; the common refinement says which partners go together.

    Returns
    -------
    parents, partners, mass : (n,), (n, K), (n,)
        The atom of nu, its partners in the K clouds, and the mass of each piece.
    """
    N = plans[0].shape[0]
    axis = _widest(plans, clouds, N)
    rows, cols, levels = [], [], []
    for plan, x in zip(plans, clouds, strict=True):
        order = np.lexsort((x[plan.cols, axis[plan.rows]], plan.rows))
        row, mass = plan.rows[order], plan.mass[order]
        rows.append(row)
        cols.append(plan.cols[order])
        levels.append(_levels(row, mass))
    row, level = np.concatenate(rows), np.concatenate(levels)
    which = np.repeat(np.arange(len(plans)), [len(r) for r in rows])
    order = np.lexsort((level, row))
    row, level, which = row[order], level[order], which[order]
    opens = np.append(True, row[1:] != row[:-1])
    share = np.where(opens, level, np.diff(level, prepend=0.0))
    kept = share > SLIVER
    before = [np.cumsum(which == k) - (which == k) for k in range(len(plans))]
    partners = np.stack([c[b[kept]] for c, b in zip(cols, before, strict=True)], axis=1)
    row, share = row[kept], share[kept]
    m = plans[0].marginals()[0]
    return row, partners, m[row] * share / sums(row, share, N)[row]


def _levels(row: Index, mass: Array) -> Array:
    """Where each entry ends in the unit interval of its row; the last one ends at 1.0. Rows are sorted."""
    last = np.append(row[1:] != row[:-1], True)
    total = np.cumsum(mass)
    base = np.repeat(np.append(0.0, total[last][:-1]), np.diff(np.flatnonzero(last), prepend=-1))
    level = (total - base) / np.bincount(row, mass)[row]
    return np.where(last, 1.0, np.minimum(level, 1.0))


def _widest(plans: Sequence[Plan], clouds: Sequence[Array], N: int) -> Index:
    """The axis along which the partners of each atom are spread most, (N,)."""
    dim = clouds[0].shape[1]
    low, high = np.full((N, dim), np.inf), np.full((N, dim), -np.inf)
    for plan, x in zip(plans, clouds, strict=True):
        np.minimum.at(low, plan.rows, x[plan.cols])
        np.maximum.at(high, plan.rows, x[plan.cols])
    return np.asarray((high - low).argmax(1))
