"""Linear systems of cells that exchange something with their neighbours on a box, and a multigrid cycle for them.

    ``(M x)_i = s_i x_i + sum over its faces of what leaves it``,    across a face ``up x_before - down x_after``

with s, up, down >= 0: what one cell loses its neighbour gains, so that ``sum M x = sum s x``.  A step in time of any
equation ``d_t x = -div F`` by finite volumes leads to such a matrix, symmetric or not.

The cycle smooths by lines: along each axis in turn all lines are solved exactly, as one tridiagonal system.  So strong
anisotropy is no obstacle in the plane, and on the line a smoothing is the solution.  Cells are joined in blocks of two
along each axis; what crosses a face of a block is the sum over its faces, with the symmetric part halved, as the
distance of the centres has doubled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, lu_factor, lu_solve

Array = NDArray[np.float64]

FEW = 48  # cells that are solved by a dense matrix


class Crossing(NamedTuple):
    """What crosses the faces of one axis: one face less than cells along it, or as many where it wraps.

    ``up`` multiplies the cell on the lower side of a face, ``down`` that on the upper side.  The face that closes an
    axis that wraps is the last.
    """

    up: Array
    down: Array
    wraps: bool = False


@dataclass(frozen=True, eq=False)
class Exchange:
    """The matrix M, by s > 0 in the cells and what crosses the faces of each axis.

    Examples
    --------
    >>> import numpy as np
    >>> heat = Exchange(np.ones(4), (Crossing(np.full(3, 2.0), np.full(3, 2.0)),))
    >>> x = heat.cycle(np.array([1.0, 0.0, 0.0, 0.0]))
    >>> bool(np.abs(heat(x) - [1, 0, 0, 0]).max() < 1e-14)  # on the line a cycle is exact
    True
    """

    s: Array
    crossings: tuple[Crossing, ...]

    def __call__(self, x: Array) -> Array:
        """M x."""
        y: Array = self.diagonal * x
        for k in range(x.ndim):
            self._receive(k, -x, y)
        return y

    def scaled(self, w: Array) -> Exchange:
        """The matrix of the unknowns x / w."""
        crossings = []
        for k, (up, down, wraps) in enumerate(self.crossings):
            lower = w if wraps else w[_part(k, None, -1)]
            upper = np.roll(w, -1, k) if wraps else w[_part(k, 1, None)]
            crossings.append(Crossing(up * lower, down * upper, wraps))
        return Exchange(self.s * w, tuple(crossings))

    def cycle(self, r: Array) -> Array:
        """One V-cycle for ``M x = r`` from zero: lines along the axes, the blocks, lines in reverse order."""
        x: Array
        if r.size <= FEW:
            x = lu_solve(self._dense, r.ravel(), check_finite=False).reshape(r.shape)
            return x
        axes = [k for k in range(r.ndim) if r.shape[k] > 1]
        x, rest = self._smoothed(r, axes)
        if len(axes) == 1 and not self.crossings[axes[0]].wraps:
            return x
        x += _spread(self._blocks.cycle(_gathered(rest)), r.shape)
        return x + self._smoothed(r - self(x), axes[::-1])[0]

    def _smoothed(self, r: Array, axes: list[int]) -> tuple[Array, Array]:
        """The solutions along each axis in turn added up, and the residual that they leave."""
        x = np.zeros_like(r)
        for k in axes:
            d = self._lines[k].solve(r)
            x, r = x + d, np.zeros_like(r)
            for j, crossing in enumerate(self.crossings):
                if j != k or crossing.wraps:
                    self._receive(j, d, r, closing=j == k)
        return x, r

    def _receive(self, k: int, x: Array, y: Array, closing: bool = False) -> None:
        """Add to y what the cells get through the faces across axis k; ``closing`` through the last faces alone."""
        up, down, wraps = self.crossings[k]
        first, last = _part(k, 0, 1), _part(k, -1, None)
        lower, upper = _part(k, None, -1), _part(k, 1, None)
        if not closing:
            inner = lower if wraps else ...
            y[upper] += up[inner] * x[lower]
            y[lower] += down[inner] * x[upper]
        if wraps:
            y[first] += up[last] * x[last]
            y[last] += down[last] * x[first]

    @cached_property
    def diagonal(self) -> Array:
        """The diagonal of M."""
        total = self.s.copy()
        for k, (up, down, wraps) in enumerate(self.crossings):
            lower, upper = _part(k, None, -1), _part(k, 1, None)
            if wraps:
                total += up
                total += np.roll(down, 1, k)
            else:
                total[lower] += up
                total[upper] += down
        return total

    @cached_property
    def _lines(self) -> list[_Lines]:
        return [_Lines.of(self.diagonal, *crossing, k) for k, crossing in enumerate(self.crossings)]

    @cached_property
    def _blocks(self) -> Exchange:
        """The matrix of the blocks."""
        crossings = []
        for k, (up, down, wraps) in enumerate(self.crossings):
            both = 0.5 * np.minimum(up, down)
            outer = [_outer(a - both, k, self.s.shape[k], wraps) for a in (up, down)]
            crossings.append(Crossing(outer[0], outer[1], wraps))
        return Exchange(_gathered(self.s), tuple(crossings))

    @cached_property
    def _dense(self) -> tuple[Array, Array]:
        N = self.s.size
        columns = [self(e.reshape(self.s.shape)).ravel() for e in np.eye(N)]
        found: tuple[Array, Array] = lu_factor(np.array(columns).T, check_finite=False)
        return found


def _part(k: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    """A slice along axis k."""
    return (*(slice(None),) * k, slice(start, stop))


def _gathered(x: Array, skip: int | None = None) -> Array:
    """Sums over blocks of two along each axis but ``skip``; a cell that is left over is a block of its own."""
    for k, n in enumerate(x.shape):
        if k != skip and n > 1:
            x = np.add.reduceat(x, np.arange(0, n, 2), axis=k)
    return x


def _spread(x: Array, shape: tuple[int, ...]) -> Array:
    """The value of its block in every cell."""
    for k, n in enumerate(shape):
        if n > 1:
            x = np.repeat(x, 2, axis=k)[_part(k, 0, n)]
    return x


def _outer(a: Array, k: int, n: int, wraps: bool) -> Array:
    """Sums of the faces of blocks of two: every second across axis k, and the last where it wraps."""
    chosen = a[_part(k, 1, n - 1 if wraps else n)]
    faces = chosen[(*(slice(None),) * k, slice(None, None, 2))]
    if wraps and n > 1:
        faces = np.concatenate([faces, a[_part(k, -1, None)]], axis=k)
    return _gathered(faces, skip=k)


@dataclass(frozen=True, eq=False)
class _Lines:
    """All lines along an axis as one tridiagonal system, factorised."""

    k: int
    factors: tuple[Array, ...]

    @classmethod
    def of(cls, diagonal: Array, up: Array, down: Array, wraps: bool, k: int) -> _Lines:
        inner = _part(k, None, -1) if wraps else ...
        beside = []
        for a in (up[inner], down[inner]):
            padded = np.zeros(np.moveaxis(diagonal, k, -1).shape)
            padded[..., :-1] = -np.moveaxis(a, k, -1)
            beside.append(padded.ravel()[:-1])
        centre = np.ascontiguousarray(np.moveaxis(diagonal, k, -1)).ravel()
        return cls(k, lapack.dgttrf(beside[0], centre, beside[1])[:5])

    def solve(self, r: Array) -> Array:
        """The solution of all of them."""
        along = np.moveaxis(r, self.k, -1)
        x = lapack.dgttrs(*self.factors, along.ravel())[0]
        return np.moveaxis(x.reshape(along.shape), -1, self.k)
