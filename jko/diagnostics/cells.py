"""Minima over all densities on fixed cells, by Newton's method on a dual with one number for each data point.

For masses m on cells of given volumes

``min over m >= 0, sum m = 1 of  V . m + sum_K vol_K U(m_K / vol_K) + |A m - b|^2 / 2``
``= max over g of  D(g) = -|g|^2/2 - g . b + max over l of [l - sum_K vol_K U*(l - phi_g)]``,    phi_g = V + A^T g

and the minimiser is ``rho = (U*)'(l - phi_g)`` at the best g, which is its residual A m - b, with l from the mass: for
entropy the Gibbs measure of (4.5), for the porous medium ``(l - phi_g)_+`` of (4.8).  D is concave with curvature at
least one, so Newton's method with a line search finds its maximum from anywhere; every g on the way is a lower bound.
For any m and any (g, l) the distance of the two sides is a sum of terms that are not negative:

``sum_K vol_K [U(rho) + U*(p) - p rho]_K + |A m - b - g|^2 / 2 + l (sum m - 1)``,    p = l - phi_g.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from jko.diagnostics.mixtures import Mixture

RANK = 1e-8  # relative singular values of A that the curvature sees; values and gradients see all
NOISE = 1e-13  # relative differences of D that are rounding
LEVELS = 200  # of the safeguarded Newton method for l; it takes about six
HALVINGS = 40


class Bound(NamedTuple):
    """D at one g: value, best level l, pressure and density on the cells, and the gradient ``A m - b - g``."""

    value: float
    g: Tensor
    level: float
    p: Tensor
    rho: Tensor
    gradient: Tensor


class Ascent(NamedTuple):
    """What the maximisation found."""

    best: Bound
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class Cells:
    """The problem on the cells that mass may enter, n of them.

    Attributes
    ----------
    potential, volumes : (n,)
        V, finite; volumes.
    internal : Mixture
        U, with one term at least.
    features, targets : (M, n), (M,)
        A and b; M = 0 without a risk.
    """

    potential: Tensor
    volumes: Tensor
    internal: Mixture
    features: Tensor
    targets: Tensor

    def at(self, g: Tensor) -> Bound:
        """D(g), with its gradient and the minimising density."""
        phi = self.potential + g @ self.features
        level = self._level(phi)
        p = level - phi
        rho = self.internal.density(p)
        dual = level - float(self.volumes @ self.internal.conjugate(p, rho))
        value = dual - float(0.5 * g @ g + g @ self.targets)
        gradient = self.features @ (self.volumes * rho) - self.targets - g
        return Bound(value, g, level, p, rho, gradient)

    def gap(self, m: Tensor, bound: Bound) -> float:
        """The value of the masses m (n,) less ``bound.value``, without cancellation."""
        rho = m / self.volumes
        conjugate = self.internal.conjugate(bound.p, bound.rho)
        waste = self.internal.U(rho) + conjugate - bound.p * rho
        mismatch = self.features @ m - self.targets - bound.g
        return float(
            self.volumes @ waste + 0.5 * mismatch @ mismatch + bound.level * (m.sum() - 1)
        )

    def maximise(self, start: Tensor, iterations: int, tol: float) -> Ascent:
        """Newton's method on D until ``|gradient| <= tol (1 + |b|)``."""
        best, target = self.at(start), tol * (1 + float(self.targets.norm()))
        for k in range(iterations):
            if float(best.gradient.norm()) <= target:
                return Ascent(best, k, True)
            better = self._line_search(best, self._direction(best))
            if better is None:
                return Ascent(best, k, False)
            best = better
        return Ascent(best, iterations, float(best.gradient.norm()) <= target)

    def _direction(self, bound: Bound) -> Tensor:
        """``(I + A C A^T)^{-1}`` gradient, C the derivative of the masses in -phi at mass one."""
        W, A = self._range
        weight = self.volumes * self.internal.density_slope(bound.p, bound.rho)
        mean = A @ (weight / weight.sum())
        spread = A - mean[:, None]
        curvature = (weight * spread) @ spread.T
        curvature.diagonal().add_(1)
        inside = W.T @ bound.gradient
        solved = torch.cholesky_solve(inside[:, None], torch.linalg.cholesky(curvature))[:, 0]
        return bound.gradient + W @ (solved - inside)

    @cached_property
    def _range(self) -> tuple[Tensor, Tensor]:
        """W and W^T A, for an orthonormal W that spans what A reaches."""
        square, W = torch.linalg.eigh(self.features @ self.features.T)
        W = W[:, square > RANK**2 * square.amax()] if len(square) else W
        return W, W.T @ self.features

    def _line_search(self, best: Bound, direction: Tensor) -> Bound | None:
        """Backtracking on D, and on its slope where differences of D are rounding."""
        slope, s = float(best.gradient @ direction), 1.0
        noise = NOISE * (1 + abs(best.value))
        for _ in range(HALVINGS):
            trial = self.at(best.g + s * direction)
            gain = trial.value - best.value
            if gain >= 1e-4 * s * slope:
                return trial
            if abs(gain) <= noise and abs(float(trial.gradient @ direction)) <= 0.5 * slope:
                return trial
            s *= 0.5
        return None

    def _level(self, phi: Tensor) -> float:
        """The l at which ``sum vol (U*)'(l - phi) = 1``: Newton for the logarithm of the mass, between bounds."""
        lowest, cell = phi.min(dim=0)
        one = torch.stack([1 / self.volumes.sum(), 1 / self.volumes[cell]])
        low, high = (float(lowest) + self.internal.slope(one)).tolist()
        level = low
        for _ in range(LEVELS):
            p = level - phi
            rho = self.internal.density(p)
            mass = float(self.volumes @ rho)
            low, high = (level, high) if mass < 1 else (low, level)
            rate = float(self.volumes @ self.internal.density_slope(p, rho))
            step = -math.log(mass) * mass / rate if mass > 0 and 0 < rate < math.inf else math.nan
            new = level + step
            if not low <= new <= high:
                new = 0.5 * (low + high)
            if abs(new - level) <= 1e-15 * abs(level) or new in (low, high) and new == level:
                break
            level = new
        return level
