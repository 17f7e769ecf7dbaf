"""Entropic transport between clouds of weighted points: the kernel in blocks, so that memory stays bounded.

The optimal value is stationary in the potentials, so its derivative in a point is that of the cost alone:
``d OT / d x_i = 2 a_i (x_i - ybar_i)`` with ybar_i the mean of y under the plan, given x_i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.measures import Particles
from jko.metrics.entropic.scaling import Entropic

BLOCK = 2**18  # pairs at a time: what fits in the cache
LARGE = 2**22  # pairs above which the way to the last epsilon is made on part of the points
PART = 1000  # points of each side in that part
PASSES = 50  # on that part, at the last epsilon
COARSE = 0.01  # of the squared diameter: the epsilon where Newton's method starts, halved on the way down
LOOSE = 1e-2  # residual at which the next, smaller epsilon begins


@dataclass(frozen=True, eq=False)
class CloudKernel:
    """The kernel between the points x (N, dim) and y (M, dim); costs from differences of coordinates."""

    x: Tensor
    y: Tensor

    @cached_property
    def square(self) -> float:
        """Squared diagonal of the box around all points."""
        both = torch.cat([self.x, self.y])
        return float((both.amax(0) - both.amin(0)).square().sum())

    def rows(self, u: Tensor, epsilon: float) -> Tensor:
        """``log sum_j exp(u_j - |x_i - y_j|^2 / epsilon)``, (N,)."""
        return _sums(self.x, self.y, u, epsilon)[0]

    def columns(self, u: Tensor, epsilon: float) -> Tensor:
        """``log sum_i exp(u_i - |x_i - y_j|^2 / epsilon)``, (M,)."""
        return _sums(self.y, self.x, u, epsilon)[0]

    def start(self, a: Tensor, b: Tensor, epsilon: float) -> tuple[Tensor, Tensor] | None:
        """For large clouds: the potentials of some of the points, extended to all by their own formula."""
        if len(a) * len(b) <= LARGE:
            return None
        i, j = _part(a), _part(b)
        some = CloudKernel(self.x[i], self.y[j])
        coarse = Entropic(some, a[i] / a[i].sum(), b[j] / b[j].sum(), epsilon, same=False)
        coarse.descend()
        coarse.iterate(epsilon, PASSES)
        f, g = (p / epsilon + q.log() for p, q in ((coarse.f, coarse.a), (coarse.g, coarse.b)))
        onto_x, onto_y = CloudKernel(self.x, some.y), CloudKernel(some.x, self.y)
        return -epsilon * onto_x.rows(g, epsilon), -epsilon * onto_y.columns(f, epsilon)

    def finish(self, problem: Entropic, tol: float) -> bool:
        """Newton's method on g, with f eliminated by its formula."""
        from jko.metrics.entropic.newton import maximised

        full_a, full_b = problem.a > 0, problem.b > 0
        a, b, epsilon = problem.a[full_a], problem.b[full_b], problem.epsilon
        x, y = self.x[full_a], self.y[full_b]
        g, count = problem.g[full_b], 0
        levels = math.ceil(math.log2(max(COARSE * self.square / epsilon, 1)))
        for level in range(levels, -1, -1):
            enough = 0.5 * tol if level == 0 else LOOSE
            g, more = maximised(x, y, a, b, g, epsilon * 2**level, enough)
            count += more
        onto_x = CloudKernel(self.x, y)
        problem.f = -epsilon * onto_x.rows(b.log() + g / epsilon, epsilon)
        problem.g = -epsilon * self.columns(problem.a.log() + problem.f / epsilon, epsilon)
        problem.iterations += count
        if problem.same:
            problem.f = problem.g = 0.5 * (problem.f + problem.g)
        return problem.iterate(epsilon, 1, tol)


def with_slopes(
    value: Tensor, a: Particles, b: Particles, pairs: tuple[Entropic, Entropic, Entropic]
) -> Tensor:
    """The value, with its derivative in the points of both sides where they carry one.

    ``dS / d x_i = 2 a_i (xbar_i - ybar_i)``, the means under the plans of (a, a) and (a, b).
    """
    across, own_a, own_b = pairs
    for state, own, log_weights, other in (
        (a, own_a, across.b.log() + across.g / across.epsilon, b),
        (b, own_b, across.a.log() + across.f / across.epsilon, a),
    ):
        x = state.points
        if x.requires_grad:
            z, y, epsilon = x.detach().double(), other.points.detach().double(), across.epsilon
            there = _sums(z, y, log_weights, epsilon, means=True)[1]
            u = own.b.log() + own.g / epsilon
            here = _sums(z, z, u, epsilon, means=True)[1]
            slope = 2 * own.a[:, None] * (here - there)
            value = value + (slope * (x - x.detach())).sum()
    return value


@torch.no_grad()
def _sums(
    x: Tensor, y: Tensor, u: Tensor, epsilon: float, means: bool = False
) -> tuple[Tensor, Tensor]:
    """``log sum_j exp(u_j - |x_i - y_j|^2 / epsilon)``, and if asked for the mean of y under these weights."""
    scale = epsilon**-0.5
    columns = (scale * y).T.contiguous()
    rows = max(1, min(len(x), BLOCK // len(y)))
    exponent, difference = x.new_empty(rows, len(y)), x.new_empty(rows, len(y))
    log, mean = x.new_empty(len(x)), torch.empty_like(x) if means else x
    for first in range(0, len(x), rows):
        part = slice(first, min(first + rows, len(x)))
        e, t = exponent[: part.stop - first], difference[: part.stop - first]
        e.copy_(u.expand_as(e))
        for k, column in enumerate(columns):
            torch.sub(scale * x[part, k, None], column, out=t)
            e.addcmul_(t, t, value=-1)
        top = e.amax(-1, keepdim=True)
        total = e.sub_(top).exp_().sum(-1)
        log[part] = total.log() + top[:, 0]
        if means:
            mean[part] = (e @ y) / total[:, None]
    return log, mean


def _part(masses: Tensor) -> Tensor:
    """Indices of at most PART points that carry mass, spread evenly over their order."""
    full = torch.nonzero(masses > 0)[:, 0]
    return full[:: -(-len(full) // PART)]
