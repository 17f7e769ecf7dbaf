"""A potential that nearly proves the index coupling optimal, raised to one that does."""

from __future__ import annotations

import numpy as np

from jko.metrics.couplings import Array, Index
from jko.metrics.expansions import EPS

WORK = 8  # times N atoms from which paths went on: then an assignment is cheaper
AT_ONCE = 64  # atoms from which they go on together


def repaired(costs: Array, potential: Array) -> Array | None:
    """A potential above the given one that satisfies every constraint, the least.

    ``p_j = max_i p_i + (|x_i - y_i|^2 - |x_j - y_i|^2) / 2``, by the longest paths that start at the potential (Bellman
    and Ford), the largest rise first.  It exists if and only if the index coupling is optimal: paths that close to a
    cycle tell a cheaper one.

    Parameters
    ----------
    costs : (N, N)
        ``|y_i - x_j|^2``.
    potential : (N,)
        p to begin with.

    Returns
    -------
    Array or None
        None where there is a cycle, or the paths do not end soon.
    """
    N, every, work = len(costs), np.arange(len(costs)), 0
    arcs = 0.5 * (costs.diagonal()[:, None] - costs)
    p, rise, before = potential - np.median(potential), np.full(N, np.inf), every.copy()
    while work <= WORK * N and not _cyclic(before):
        raised = np.flatnonzero(rise)
        if len(raised) == 0:
            return p
        raised = raised[np.argsort(-rise[raised], kind="stable")]
        for start in range(0, len(raised), AT_ONCE):
            some = raised[start : start + AT_ONCE]
            reached = arcs[some] + p[some, None]
            best = reached.argmax(0)
            highest = reached[best, every]
            new = np.flatnonzero(highest > p + 4 * EPS * np.abs(p))
            rise[some] = 0.0
            rise[new] += highest[new] - p[new]
            p[new], before[new] = highest[new], some[best[new]]
        work += len(raised)
    return None


def _cyclic(before: Index) -> bool:
    """Whether going from node to node comes back to one, other than by standing still."""
    there = before
    for _ in range(len(before).bit_length()):
        there = there[there]
    return not np.array_equal(before[there], there)
