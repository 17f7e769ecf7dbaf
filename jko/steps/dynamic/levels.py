"""The levels of the multigrid hierarchy: each one's cells, faces, and how they merge into those of the next."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jko.steps.dynamic.seams import Seams, around

Array = NDArray[np.float64]

COARSEST = 6  # cells along the longest axis of the coarsest level
ISOTROPIC = 1.5  # axes with cells up to so many times the shortest are merged


class Level:
    """One grid with cells of given widths along each axis."""

    def __init__(
        self, free: NDArray[np.bool_], widths: list[Array], periodic: tuple[bool, ...]
    ) -> None:
        self.free, self.widths, self.dim, self.periodic = free, widths, free.ndim, periodic
        pairs = zip(free.shape, periodic, strict=True)
        self.wraps = [round_ and n > 1 for n, round_ in pairs]  # one cell is its own neighbour
        self.padded = tuple(n + 2 for n in free.shape)
        self.size = int(np.prod(self.padded))
        self.strides = [int(np.prod(self.padded[a + 1 :])) for a in range(self.dim)]
        self.parent = np.zeros(self.size, dtype=np.int64)
        self.factors = self._factors()
        if self.factors is not None:
            self._find_parents()

    @property
    def rows(self) -> tuple[int, int, int, int]:
        """First cell of the first row, number of rows, distance of rows, cells in a row."""
        first = sum(self.strides)
        last = sum(n * s for n, s in zip(self.free.shape, self.strides, strict=True))
        long = self.padded[-1] if self.dim > 1 else self.size
        return first, (last - first) // long + 1, long, self.free.shape[-1]

    @property
    def fold(self) -> list[int]:
        """Rows in a plane, those that are no ghosts, and the cells that merge along each of three axes."""
        plane, real = (self.padded[1], self.free.shape[1]) if self.dim == 3 else (self.rows[1],) * 2
        factors = self.factors or [1] * self.dim
        return [plane, real] + [1] * (3 - self.dim) + factors

    @property
    def offsets(self) -> list[int]:
        """Distances to the neighbours that follow in memory."""
        s = self.strides
        pairs = [(a, b) for a in range(self.dim) for b in range(a + 1, self.dim)]
        return sorted(s + [s[a] + s[b] for a, b in pairs] + [s[a] - s[b] for a, b in pairs])

    @property
    def inverse(self) -> Array:
        """1 / distance of centres across the open forward faces, (d, size)."""
        free, out = self._padded(self.free).ravel(), np.zeros((self.dim, *self.padded))
        ghosts, cells = around(self.free.shape, self.wraps)
        free[ghosts] = free[cells]
        free = free.reshape(self.padded)
        for a, width in enumerate(self.widths):
            wide = np.concatenate([width[-1:], width, width[:1]])
            along = [1] * self.dim
            along[a] = -1
            faces = [slice(None)] * self.dim
            faces[a] = slice(-1)
            out[a][tuple(faces)] = 1.0 / (0.5 * (wide[:-1] + wide[1:])).reshape(along)
            out[a] *= free & np.roll(free, -1, axis=a)
        return out.reshape(self.dim, -1)

    def coarser(self) -> Level | None:
        """The grid of the parents, or None on the coarsest."""
        if self.factors is None:
            return None
        free = np.zeros(
            tuple(-(-n // f) for n, f in zip(self.free.shape, self.factors, strict=True)), bool
        )
        for corner in product(*(range(f) for f in self.factors)):
            part = self.free[
                tuple(slice(c, None, f) for c, f in zip(corner, self.factors, strict=True))
            ]
            here = tuple(slice(n) for n in part.shape)
            free[here] |= part
        widths = [
            np.add.reduceat(w, np.arange(0, len(w), f))
            for w, f in zip(self.widths, self.factors, strict=True)
        ]
        return Level(free, widths, self.periodic)

    def alone(self) -> NDArray[np.int64]:
        """Faces of a seam that merge with no other, where an odd cell stays alone: axis, cell, its parent; (E, 3)."""
        found = [np.zeros((0, 3), np.int64)]
        place = np.arange(self.size).reshape(self.padded)
        for a, (round_, n) in enumerate(zip(self.wraps, self.free.shape, strict=True)):
            if round_ and self.factors is not None and self.factors[a] == 2 and n % 2:
                inner: list[Any] = [slice(1, -1)] * self.dim
                inner[a] = slice(n, n + 1)
                cells = place[tuple(inner)].ravel()
                cells = cells[self.parent[cells] > 0]
                found.append(np.stack([np.full_like(cells, a), cells, self.parent[cells]], 1))
        return np.concatenate(found)

    def _factors(self) -> list[int] | None:
        if self.dim == 1 or max(self.free.shape) <= COARSEST:
            return None
        typical = [
            w[0] if n > 1 else np.inf for w, n in zip(self.widths, self.free.shape, strict=True)
        ]
        merged = [
            h <= ISOTROPIC * min(typical) and n > 1
            for h, n in zip(typical, self.free.shape, strict=True)
        ]
        return [2 if m else 1 for m in merged]

    def _find_parents(self) -> None:
        assert self.factors is not None
        coarse = [-(-n // f) + 2 for n, f in zip(self.free.shape, self.factors, strict=True)]
        index = np.zeros((1,) * self.dim, dtype=np.int64)
        for a, (n, f) in enumerate(zip(self.free.shape, self.factors, strict=True)):
            along = [1] * self.dim
            along[a] = -1
            index = index * coarse[a] + (1 + np.arange(n) // f).reshape(along)
        self.parent = (self._padded(index * self.free)).ravel()

    def _padded(self, values: NDArray) -> NDArray:
        out = np.zeros(self.padded, dtype=values.dtype)
        out[(slice(1, -1),) * self.dim] = values
        return out


def seams_of(levels: list[Level], start: NDArray[np.int64]) -> Seams:
    """Those of all levels: the coarser ones come round as well."""
    pairs = [around(level.free.shape, level.wraps) for level in levels]
    alone = [level.alone() for level in levels]
    for k, rows in enumerate(alone):
        rows += np.array([0, start[k], start[k + 1]])
    ghosts, sources = (
        np.concatenate([p[side] + s for p, s in zip(pairs, start, strict=False)]) for side in (0, 1)
    )
    return Seams(
        ghosts,
        sources,
        np.cumsum([0] + [len(there) for there, _ in pairs]),
        np.concatenate(alone),
        np.cumsum([0] + [len(rows) for rows in alone]),
    )


def shares(fine: Level | None, coarse: Level) -> Array:
    """1 / (number of open fine faces in every coarse face), (d, size)."""
    count = np.zeros((coarse.dim, coarse.size))
    if fine is not None:
        for a, (open_, stride) in enumerate(zip(fine.inverse, fine.strides, strict=True)):
            here = np.flatnonzero(open_)
            across = here[fine.parent[here] != fine.parent[here + stride]]
            np.add.at(count[a], fine.parent[across], 1.0)
    return np.divide(1.0, count, out=np.zeros_like(count), where=count > 0)
