"""Negative cycles of a matrix of gains, by shortest ways."""

from __future__ import annotations

import numpy as np

from jko.metrics.couplings import Array, Index

ROUNDING = 1e-13  # of the largest gain: what counts as one


def negative_cycles(gains: Array) -> tuple[list[Index], Array]:
    """Disjoint cycles of negative sum, by shortest ways (Bellman and Ford), and the ways; no cycles if none is left.

    Each node remembers the one before it on its way; a circle among these is a negative cycle.
    """
    P, least = len(gains), ROUNDING * float(np.abs(gains).max(initial=0.0))
    ways, before = np.zeros(P), np.full(P, -1)
    while True:
        through = ways[:, None] + gains
        best = through.argmin(0)
        shorter = through[best, np.arange(P)]
        better = shorter < ways - least
        if not better.any():
            return [], ways
        ways[better], before[better] = shorter[better], best[better]
        cycles = [c for c in _circles(before) if gains[c, np.roll(c, -1)].sum() < -least]
        if cycles:
            return cycles, ways


def _circles(before: Index) -> list[Index]:
    """The circles of a map of 0 ... P - 1 (or -1, none), each in the order of the ways."""
    P = len(before)
    far = np.append(np.where(before < 0, P, before), P)  # P stands for none
    for _ in range(P.bit_length()):
        far = far[far]
    seen, found = np.zeros(P, dtype=np.int64), []
    for start in np.unique(far[far < P]):  # after P steps a way is on its circle or has ended
        node, way = start, []
        while node >= 0 and not seen[node]:
            seen[node] = start + 1
            way.append(node)
            node = before[node]
        if node >= 0 and seen[node] == start + 1 and way:
            circle = way[way.index(node) :]
            found.append(np.array(circle[::-1]))
    return found
