"""Sums over pairs of atoms with a Gaussian kernel ``k(z) = exp(-|z|^2 / (2 bandwidth^2))``, in blocks.

Distances come from coordinate differences: with ``|x|^2 + |y|^2 - 2 x.y`` a small bandwidth would amplify the rounding
of the large terms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from jko.measures import Particles
from jko.spaces import refuse_wrapped

BLOCK = 2**17  # pairs at a time: 1 MiB, so that the passes over a block stay in cache
KEEP = 2**26  # kernel values kept between passes: 512 MiB; beyond, they are computed again
DROPPED = 40.0  # pairs beyond the reach change no sum by more than e^-40 of it


class PairKernel:
    """The kernel between all atoms of a measure.

    Atoms are sorted along their widest axis, so that a block of rows meets only a window of columns.  What is left out
    is below e^-40 of an atom's own mass.
    """

    def __init__(self, mu: Particles, bandwidth: float) -> None:
        mu.refuse_part("a sum over pairs of atoms")
        refuse_wrapped("a Gaussian kernel", mu.domain)
        points, m = mu.points.detach(), mu.weights
        axis = int((points.amax(0) - points.amin(0)).argmax())
        self.order = points[:, axis].argsort()
        self.x = points[self.order].T.contiguous()  # (dim, N)
        self.dim, self.N = self.x.shape
        self.scale = exponent(bandwidth, points.dtype)
        least = float(torch.where(m > 0, m, 1.0).min())
        reach = bandwidth * math.sqrt(2 * (DROPPED - math.log(least)))
        line, own = self.x[axis].contiguous(), torch.arange(self.N, device=m.device)
        # an atom that is not finite has no window, but itself: then the sums say so
        self.first = torch.searchsorted(line, line - reach).minimum(own).tolist()
        self.last = torch.searchsorted(line, line + reach, right=True).clamp(min=own + 1).tolist()
        self.windows = list(self._windows())
        sizes = [(b - a) * (d - c) for a, b, c, d in self.windows]
        self.kept: list[Tensor] | None = [] if sum(sizes) <= KEEP else None
        self.work = [self.x.new_empty(max(sizes)) for _ in range(3)]

    def _windows(self) -> Iterator[tuple[int, int, int, int]]:
        """Rows [a, b) and the columns [c, d) within their reach."""
        start = 0
        while start < self.N:
            width = self.last[start] - self.first[start]
            rows = min(max(1, BLOCK // width), max(16, width), self.N - start)
            width = self.last[start + rows - 1] - self.first[start]
            rows = min(rows, max(1, BLOCK // width))
            yield start, start + rows, self.first[start], self.last[start + rows - 1]
            start += rows

    def _blocks(self) -> Iterator[tuple[slice, slice, Tensor, Tensor, Tensor]]:
        """Rows, columns, the kernel, and two work spaces of its shape."""
        ready = bool(self.kept)
        for number, (a, b, c, d) in enumerate(self.windows):
            shape, size = (b - a, d - c), (b - a) * (d - c)
            free = [w[:size].view(shape) for w in self.work]
            rows, cols = slice(a, b), slice(c, d)
            if ready:
                assert self.kept is not None
                k = self.kept[number]
            else:
                k = free[0] if self.kept is None else self.x.new_empty(shape)
                self._kernel(rows, cols, k, free[1])
            yield rows, cols, k, free[1], free[2]
            if self.kept is not None and not ready:
                self.kept.append(k)

    def _kernel(self, rows: slice, cols: slice, k: Tensor, z: Tensor) -> None:
        self._difference(0, rows, cols, k)
        k.mul_(k)
        for axis in range(1, self.dim):
            self._difference(axis, rows, cols, z)
            k.addcmul_(z, z)
        k.mul_(self.scale).exp_()

    def _difference(self, axis: int, rows: slice, cols: slice, out: Tensor) -> None:
        torch.sub(self.x[axis, rows, None], self.x[axis, cols], out=out)

    def _back(self, values: Tensor) -> Tensor:
        """Results of sorted atoms, in the order of the measure."""
        result = torch.empty_like(values)
        result[self.order] = values
        return result

    def sums(self, w: Tensor) -> Tensor:
        """``sum_j w_j k_ij``, shape (N,)."""
        w, total = w[self.order], self.x.new_empty(self.N)
        for rows, cols, k, _, _ in self._blocks():
            torch.mv(k, w[cols], out=total[rows])
        return self._back(total)

    def moments(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """``sum_j w_jc k_ij`` and ``sum_j w_jc k_ij (x_i - x_j)`` for w (N, C): shapes (N, C), (N, dim, C)."""
        w, C = w[self.order], w.shape[1]
        total, moment = self.x.new_empty(self.N, C), self.x.new_empty(self.N, self.dim, C)
        for rows, cols, k, z, _ in self._blocks():
            total[rows] = k @ w[cols]
            for axis in range(self.dim):
                self._difference(axis, rows, cols, z)
                moment[rows, axis] = z.mul_(k) @ w[cols]
        return self._back(total), self._back(moment)

    def second_moments(self, a: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """``sum_j c_ij`` and ``sum_j c_ij z z^T`` with ``c_ij = m_j (a_i + a_j) k_ij``, ``z = x_i - x_j``."""
        a, m = a[self.order], m[self.order]
        total = self.x.new_empty(self.N)
        spread = self.x.new_empty(self.N, self.dim, self.dim)
        for rows, cols, k, z, c in self._blocks():
            torch.add(a[rows, None], a[cols], out=c)
            c.mul_(m[cols]).mul_(k)
            total[rows] = c.sum(1)
            for i in range(self.dim):
                self._difference(i, rows, cols, z)
                weighted = c * z
                for j in range(i + 1):
                    self._difference(j, rows, cols, z)
                    spread[rows, i, j] = spread[rows, j, i] = torch.linalg.vecdot(weighted, z)
        return self._back(total), self._back(spread)

    def along(self, v: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums with ``t_ij = (x_i - x_j) . v_j``, for a field v (N, dim) and weights w (N, C).

        ``sum_j w_j0 k_ij t_ij`` (N,), ``sum_j w_jc k_ij v_j`` and ``sum_j w_jc k_ij t_ij (x_i - x_j)``, (N, dim, C).
        """
        v, w = v[self.order], w[self.order]
        plain = self.x.new_empty(self.N)
        shape = (self.N, self.dim, w.shape[1])
        linear, along = self.x.new_empty(shape), self.x.new_empty(shape)
        weighted = v[:, :, None] * w[:, None, :]
        for rows, cols, k, z, t in self._blocks():
            linear[rows] = (k @ weighted[cols].flatten(1)).view(-1, *shape[1:])
            t.zero_()
            for axis in range(self.dim):
                self._difference(axis, rows, cols, z)
                t.addcmul_(z, v[cols, axis])
            t.mul_(k)
            torch.mv(t, w[cols, 0], out=plain[rows])
            for axis in range(self.dim):
                self._difference(axis, rows, cols, z)
                along[rows, axis] = z.mul_(t) @ w[cols]
        return self._back(plain), self._back(linear), self._back(along)


def exponent(bandwidth: float, dtype: torch.dtype) -> float:
    """``-1 / (2 bandwidth^2)``, if that is a number of the dtype."""
    most = torch.finfo(dtype).max ** 0.49
    if not 1 / most <= bandwidth <= most:
        raise ValueError(
            f"bandwidth = {bandwidth:g}; in {dtype} its square must be a number, so between {1 / most:.0e} and "
            f"{most:.0e}: scale the points and the bandwidth by one factor"
        )
    return -0.5 / bandwidth**2


def log_sums(at: Tensor, mu: Particles, bandwidth: float) -> Tensor:
    """``log sum_j m_j k(x - x_j)`` at the points, shape (n,); differentiable by torch, and finite everywhere."""
    log_m = mu.weights.log()
    parts = [torch.logsumexp(log_m + exponent, dim=1) for exponent in _exponents(at, mu, bandwidth)]
    return torch.cat(parts)


def sums(at: Tensor, mu: Particles, w: Tensor, bandwidth: float) -> Tensor:
    """``sum_j w_j k(x - x_j)`` at the points, shape (n,); differentiable by torch."""
    return torch.cat([exponent.exp() @ w for exponent in _exponents(at, mu, bandwidth)])


def _exponents(at: Tensor, mu: Particles, bandwidth: float) -> Iterator[Tensor]:
    mu.refuse_part("a sum over pairs of atoms")
    rows = max(1, BLOCK // (mu.N * mu.dim))
    for part in at.split(rows):
        square = (part[:, None, :] - mu.points).square().sum(-1)
        yield square * exponent(bandwidth, at.dtype)
