"""Newton's method for entropic transport between clouds: few iterations where scaling needs thousands.

The dual with f eliminated, ``J(g) = <b, g> - epsilon sum_i a_i log sum_j b_j exp((g_j - |x_i - y_j|^2) / epsilon)``, is
concave.  With ``W_ij`` the share of y_j in the mass of x_i and ``q = W^T a`` the column sums of the plan,
``J' = b - q`` and ``-epsilon J'' = diag(q) - W^T diag(a) W``.  The equation is solved by elimination for few points, by
conjugate gradients for many: W is kept where it is small, made again in blocks of rows where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

BLOCK = 2**18  # pairs at a time: what fits in the cache
KEEP = 2**23  # pairs up to which W is kept: 64 MiB
SMALL = 500  # points up to which the equation is solved by elimination
NEWTONS = 100
CG = 500  # products of one direction
RIDGE = 1e-13  # relative: rounding may leave the smallest eigenvalue below zero
LONGEST = 20.0  # a step, in epsilons
SHORTEST = 1e-6


class EntropicDual:
    """J at one g: ``value``, the column sums ``q`` (M,), the ``slope`` b - q, and its L1 norm ``residual``."""

    def __init__(
        self, x: Tensor, y: Tensor, a: Tensor, b: Tensor, g: Tensor, epsilon: float
    ) -> None:
        self.x, self.y, self.a, self.b, self.g, self.epsilon = x, y, a, b, g, epsilon
        self.kept: list[tuple[Tensor, Tensor, Tensor]] | None = None
        blocks, self.q, logs = [], torch.zeros_like(b), g.new_zeros(())
        small = len(a) * len(b) <= KEEP
        for weights, log, W in self.shares():
            self.q += weights @ W
            logs = logs + weights @ log
            if small:
                blocks.append((weights, log, W))
        self.kept = blocks if small else None
        self.value = float(b @ g - epsilon * logs)
        self.slope = b - self.q
        self.residual = float(self.slope.abs().sum())

    def at(self, g: Tensor) -> EntropicDual:
        """The same at another g."""
        return EntropicDual(self.x, self.y, self.a, self.b, g, self.epsilon)

    def shares(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Weights a_i, logarithms of the sums, and W_ij, for some rows i at a time."""
        if self.kept is not None:
            yield from self.kept
            return
        u, rows = self.b.log() + self.g / self.epsilon, max(1, BLOCK // len(self.b))
        for x, weights in zip(self.x.split(rows), self.a.split(rows), strict=True):
            exponent = u.repeat(len(x), 1)
            for p, q in zip(x.T, self.y.T, strict=True):
                exponent -= (p[:, None] - q).square_() / self.epsilon
            log = exponent.logsumexp(-1)
            yield weights, log, exponent.sub_(log[:, None]).exp_()

    def direction(self, tol: float) -> Tensor:
        """Newton's step."""
        if max(len(self.a), len(self.b)) <= SMALL:
            pair = sum(W.T @ (weights[:, None] * W) for weights, _, W in self.shares())
            matrix = (self.q + RIDGE * self.b).diag() - pair + torch.outer(self.b, self.b)
            found, info = torch.linalg.solve_ex(matrix, self.slope)
            if not int(info):
                return self.epsilon * found

        def product(v: Tensor) -> Tensor:
            back = sum(W.T @ (weights * (W @ v)) for weights, _, W in self.shares())
            return (self.q + RIDGE * self.b) * v - back

        enough = max(min(0.1, self.residual) * self.residual, 0.1 * tol)
        right = self.slope - self.slope.sum() * self.q / self.q.sum()
        inverse = torch.where(self.q > 0, 1 / self.q, 0)
        return self.epsilon * conjugate_gradients(product, right, inverse, enough, CG)


def maximised(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, g: Tensor, epsilon: float, tol: float
) -> tuple[Tensor, int]:
    """The g (M,) at which the column sums are b within ``tol`` in L1, or the best found, and the iterations it took."""
    here = EntropicDual(x, y, a, b, g, epsilon)
    for iteration in range(NEWTONS):
        if here.residual <= tol:
            return here.g, iteration
        there = _searched(here, here.direction(tol))
        if there is None:
            return here.g, iteration
        here = there
    return here.g, NEWTONS


def _searched(here: EntropicDual, step: Tensor) -> EntropicDual | None:
    """A point along the step where J has risen enough, or its slope has fallen; none if there is none."""
    rise = float(here.slope @ step)
    t = min(1.0, LONGEST * here.epsilon / max(float(step.abs().max()), 1e-300))
    while t > SHORTEST:
        there = here.at(here.g + t * step)
        if there.value - here.value >= 1e-4 * t * rise:
            return there
        if there.residual < (1 - 0.5 * t) * here.residual:
            return there
        t *= 0.5
    return None


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Tensor, inverse: Tensor, enough: float, most: int
) -> Tensor:
    """Solve ``product(d) = right`` to an L1 residual of ``enough``, by at most ``most`` products.

    ``inverse`` is the preconditioner, a diagonal.  Where the curvature is not positive it ends with what it has.
    """
    d, r, z = torch.zeros_like(right), right, inverse * right
    p, rz = z, torch.dot(r, z)
    for _ in range(most):
        Hp = product(p)
        curved = torch.dot(p, Hp)
        if not float(curved) > 0:
            break
        length = rz / curved
        d, r = d + length * p, r - length * Hp
        if float(r.abs().sum()) <= enough:
            break
        z = inverse * r
        rz, old = torch.dot(r, z), rz
        p = z + rz / old * p
    return d
