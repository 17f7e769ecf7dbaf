"""An upper bound of W2^2 between densities that are constant on the cells of two grids: one axis after another.

With ``M_k`` the law of ``(y_1 .. y_k, x_{k+1} .. x_d)`` under a coupling, mass goes from ``M_0 = a`` to ``M_d = b`` in
d steps, each along lines of one axis, and

``W2^2 = min over M_1 .. M_{d-1} of sum_k sum over lines of axis k of W2^2(M_{k-1}, M_k on the line)``

(Auricchio, Bassetti, Gualandi and Veneroni, NeurIPS 2018, for histograms).  Any densities between, constant on cells
and with equal masses on lines, give an upper bound, since on a line W2 of such densities is exact; it errs by the
square of what they err by.  Here they follow the maps of a potential.
"""

from __future__ import annotations

import numpy as np

from jko.metrics.c_transform import along
from jko.metrics.couplings import Array
from jko.metrics.masses import Masses
from jko.numerics.compiled import njit

FITS = 30  # of masses on lines, in turn
CLOSE = 1e-12  # of all mass: what is left to the last fit


def by_axes(a: Masses, b: Masses, beta: Array) -> float:
    """The bound whose densities follow the maps of beta, a potential at the centres of b."""
    maps = _maps(a, b, beta)
    density, total = a.masses, 0.0
    for k, move in enumerate(maps):
        target = b.masses.reshape(*b.masses.shape[: k + 1], -1).sum(-1)
        last = k == b.masses.ndim - 1
        new = b.masses if last else _fitted(_pushed(density, move, b.edges[k], k), target)
        lines = [np.ascontiguousarray(np.moveaxis(m, k, -1)) for m in (density, new)]
        total += _on_lines(*(m.reshape(-1, m.shape[-1]) for m in lines), a.edges[k], b.edges[k])
        density = new
    return total


def _maps(a: Masses, b: Masses, beta: Array) -> list[Array]:
    """Where the map along axis k sends the ends of cells, at ``(y_1 .. y_{k-1}, x_k, x_{k+1} .. x_d)``, for all k."""
    maps, values = [], -beta
    for k in reversed(range(beta.ndim)):
        values = along(a.axes[k], b.axes[k], values, k, between=True)
        lines, edges = np.moveaxis(values, k, -1), a.edges[k]
        move = np.empty((*lines.shape[:-1], len(edges)))
        move[..., 1:-1] = edges[1:-1] - 0.5 * np.diff(lines, axis=-1) / a.spacing[k]
        move[..., 0], move[..., -1] = b.edges[k][0], b.edges[k][-1]
        if len(edges) > 3:
            move[..., 0] = 2 * move[..., 1] - move[..., 2]
            move[..., -1] = 2 * move[..., -2] - move[..., -3]
        move = np.clip(np.maximum.accumulate(move, axis=-1), b.edges[k][0], b.edges[k][-1])
        maps.append(move)
    return maps[::-1]


def _pushed(density: Array, move: Array, edges: Array, axis: int) -> Array:
    """Each cell spread over where its ends go along an axis."""
    lines = np.ascontiguousarray(np.moveaxis(density, axis, -1))
    new = np.zeros((*lines.shape[:-1], len(edges) - 1))
    flat = (t.reshape(-1, t.shape[-1]) for t in (lines, move, new))
    _push(*flat, edges)
    return np.moveaxis(new, -1, axis)


def _fitted(density: Array, target: Array) -> Array:
    """Near a density, with the same mass on each line of the last axis of ``target`` and given sums over later axes."""
    shape = density.shape
    M = density.reshape(*target.shape, -1)
    M = M.reshape(-1, *M.shape[-2:])
    sums, columns = M.sum(1), target.reshape(-1, target.shape[-1])
    for _ in range(FITS):
        M = M * _ratio(columns, M.sum(2))[:, :, None]
        found = M.sum(1)
        if np.abs(found - sums).sum() <= CLOSE:
            break
        M = M * _ratio(sums, found)[:, None, :]
    M = M * np.minimum(1, _ratio(columns, M.sum(2)))[:, :, None]
    M = M * np.minimum(1, _ratio(sums, M.sum(1)))[:, None, :]
    left, below = columns - M.sum(2), sums - M.sum(1)
    total = left.sum(1)
    share = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    M = M + (left * share[:, None])[:, :, None] * below[:, None, :]
    return np.asarray(np.maximum(M, 0).reshape(shape))


def _ratio(wanted: Array, found: Array) -> Array:
    return np.divide(wanted, found, out=np.zeros_like(found), where=found > 0)


@njit(cache=True)
def _push(masses: Array, move: Array, result: Array, edges: Array) -> None:  # pragma: no cover
    """Masses of cells, spread evenly between ``move[i]`` and ``move[i + 1]``, in the cells between edges."""
    n, m = masses.shape[1], len(edges) - 1
    for line in range(len(masses)):
        j = 0
        for i in range(n):
            mass, start, end = masses[line, i], move[line, i], move[line, i + 1]
            if mass == 0:
                continue
            while j < m - 1 and edges[j + 1] <= start:
                j += 1
            if end <= edges[j + 1] or j == m - 1:
                result[line, j] += mass
                continue
            left = mass
            while j < m - 1 and edges[j + 1] < end:
                part = min(left, mass * (edges[j + 1] - max(start, edges[j])) / (end - start))
                result[line, j] += part
                left -= part
                j += 1
            result[line, j] += left


@njit(cache=True)
def _on_lines(u: Array, v: Array, x: Array, y: Array) -> float:  # pragma: no cover
    """The sum of W2^2 over lines: masses u of the cells between x, and v of those between y, of one total."""
    square = 0.0
    for line in range(len(u)):
        p, q = u[line], v[line]
        total = p.sum()
        other = q.sum()
        if not (total > 0 and other > 0):
            continue
        i, j = 0, 0
        while p[i] == 0:
            i += 1
        while q[j] == 0:
            j += 1
        scale = total / other
        pi, qj = p[i], q[j] * scale  # what is left of the cells
        left, right = x[i], y[j]
        while True:
            part = min(pi, qj)
            new_left = x[i + 1] if pi <= part else left + (x[i + 1] - left) * (part / pi)
            new_right = y[j + 1] if qj <= part else right + (y[j + 1] - right) * (part / qj)
            first, last = left - right, new_left - new_right
            square += part * (first * first + first * last + last * last) / 3
            pi, qj, left, right = pi - part, qj - part, new_left, new_right
            if pi <= 0:
                i += 1
                while i < len(p) and p[i] == 0:
                    i += 1
                if i == len(p):
                    break
                pi, left = p[i], x[i]
            if qj <= 0:
                j += 1
                while j < len(q) and q[j] == 0:
                    j += 1
                if j == len(q):
                    break
                qj, right = q[j] * scale, y[j]
    return square
