"""A cloud in cells: halved at medians of its widest coordinate, again and again, down to single atoms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jko.metrics.couplings import Array, Index


class Halving(NamedTuple):
    """Nested cells: ``order`` (N,) lists the atoms, and cell k after l halvings has those between two ``bounds[l]``."""

    order: Index
    bounds: list[Index]

    @classmethod
    def of(cls, x: Array, leaf: int = 1) -> Halving:
        """Halve all cells while each half has at least ``leaf`` atoms, or, with single atoms, until no cell has two.

        Examples
        --------
        >>> Halving.of(np.array([[3.0], [0.0], [1.0]])).order.tolist()
        [1, 2, 0]
        """
        order, bounds = np.arange(len(x)), [np.array([0, len(x)])]
        while (leaf == 1 and len(bounds[-1]) <= len(x)) or len(x) >> len(bounds) >= leaf > 1:
            start, stop = bounds[-1][:-1], bounds[-1][1:]
            points, label = x[order], np.repeat(np.arange(len(start)), stop - start)
            spread = np.maximum.reduceat(points, start) - np.minimum.reduceat(points, start)
            along = points[np.arange(len(x)), spread.argmax(1)[label]]
            order = order[np.lexsort((along, label))]
            bounds.append(np.unique(np.concatenate([bounds[-1], (start + stop) // 2])))
        return cls(order, bounds)

    def barycentres(self, level: int, x: Array, masses: Array) -> tuple[Array, Array]:
        """Barycentres and masses of the cells after ``level`` halvings, or of the atoms where there are no more."""
        start = self.bounds[min(level, len(self.bounds) - 1)][:-1]
        mass = np.add.reduceat(masses[self.order], start)
        if len(start) == len(x):
            return x[self.order], mass
        moment = np.add.reduceat((masses[:, None] * x)[self.order], start)
        return moment / mass[:, None], mass
