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

from jko.energies import Energy, Mixture, Parts, positive, sorted_terms
from jko.measures import GridDensity, LineMesh
from jko.numerics.search import armijo
from jko.shown import shown

RANK = 1e-8  # relative singular values of A that the curvature sees; values and gradients see all
NOISE = 1e-13  # relative differences of D that are rounding
LEVELS = 200  # of the safeguarded Newton method for l; it takes about six
MASS, ROUNDING = 1e-13, 2e-15  # an error of the mass that is small, and one that is rounding


@shown
class CellBound(NamedTuple):
    """D at one g: value, best level l, pressure and density on the cells, and the gradient ``A m - b - g``."""

    value: float
    g: Tensor
    level: float
    p: Tensor
    rho: Tensor
    gradient: Tensor


class _Below(NamedTuple):
    """A point of -D, which is minimised."""

    bound: CellBound

    @property
    def value(self) -> float:
        """-D."""
        return -self.bound.value


class Ascent(NamedTuple):
    """What the maximisation found."""

    best: CellBound
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class Cells:
    """The problem on the cells that mass may enter, n of them.

    Attributes
    ----------
    open : (N,)
        Which cells of the state these are: those without obstacle.
    potential, volumes : (n,)
        V, finite; volumes.
    internal : Mixture
        U.
    features, targets : (M, n), (M,)
        A and b; M = 0 without a risk.
    """

    open: Tensor
    potential: Tensor
    volumes: Tensor
    internal: Mixture
    features: Tensor
    targets: Tensor

    @classmethod
    def of(cls, terms: Parts) -> Cells:
        """The problem of an energy without rest; on a mesh, cells have the mean of their Gauss points."""
        terms = terms.on_cells()
        V, volumes = terms.potential, terms.volumes
        assert volumes is not None
        inside = V.isfinite()
        A = terms.A[:, inside].contiguous()
        return cls(inside, V[inside], volumes[inside], terms.mixture, A, terms.b)

    def at(self, g: Tensor, guess: float = -math.inf) -> CellBound:
        """D(g), with its gradient and the minimising density; ``guess`` is where the search for l begins."""
        phi = self.potential + g @ self.features
        level, star, rho = self._filled(phi, guess)
        value = level - float(self.volumes @ star) - float(0.5 * g @ g + g @ self.targets)
        gradient = self.residual(self.volumes * rho) - g
        return CellBound(value, g, level, level - phi, rho, gradient)

    def residual(self, m: Tensor) -> Tensor:
        """``A m - b``."""
        return self.features @ m - self.targets

    def gap(self, m: Tensor, bound: CellBound) -> float:
        """The value of the masses m (n,) less ``bound.value``, without cancellation."""
        rho = m / self.volumes
        waste = self.internal.U(rho) + self.internal.conjugate(bound.p).value - bound.p * rho
        mismatch = self.residual(m) - bound.g
        return float(self.volumes @ waste + 0.5 * mismatch @ mismatch + bound.level * (m.sum() - 1))

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

    def _direction(self, bound: CellBound) -> Tensor:
        """``(I + A C A^T)^{-1}`` gradient, C the derivative of the masses in -phi at mass one."""
        W, A = self._range
        weight = self.volumes * self.internal.density_slope(bound.p)
        mean = A @ (weight / weight.sum())
        spread = A - mean[:, None]
        curvature = (weight * spread) @ spread.T
        curvature.diagonal().add_(1)
        L, failed = torch.linalg.cholesky_ex(curvature)
        if int(failed) or not bool(L.isfinite().all()):  # a density with infinite slope at a front
            return bound.gradient
        inside = W.T @ bound.gradient
        solved = torch.cholesky_solve(inside[:, None], L)[:, 0]
        return bound.gradient + W @ (solved - inside)

    @cached_property
    def _range(self) -> tuple[Tensor, Tensor]:
        """W and W^T A, for an orthonormal W that spans what A reaches."""
        square, W = torch.linalg.eigh(self.features @ self.features.T)
        W = W[:, square > RANK**2 * square.amax()] if len(square) else W
        return W, W.T @ self.features

    def _line_search(self, best: CellBound, direction: Tensor) -> CellBound | None:
        """Backtracking on D, and on its slope where differences of D are rounding."""
        slope = float(best.gradient @ direction)

        def along(s: float) -> _Below:
            return _Below(self.at(best.g + s * direction, best.level))

        def flatter(trial: _Below) -> bool:
            return abs(float(trial.bound.gradient @ direction)) <= 0.5 * slope

        noise = NOISE * (1 + abs(best.value))
        found = armijo(along, -best.value, -slope, noise=noise, drowned=flatter).point
        return None if found is None else found.bound

    def _filled(self, phi: Tensor, guess: float) -> tuple[float, Tensor, Tensor]:
        """The level l, ``U*(l - phi)`` and the density of mass one: Newton for the log of the mass, with bounds.

        Where no number l gives mass one (at the front of a porous medium with large m), the density is between those of
        two neighbouring numbers.
        """
        low, high = self._levels(phi)
        level = min(max(low, guess), high)
        for _ in range(LEVELS):
            star, rho, slope = self.internal.conjugate(level - phi)
            mass, rate = float(self.volumes @ rho), float(self.volumes @ slope)
            step = -math.log(mass) * mass / rate if mass > 0 and 0 < rate < math.inf else math.nan
            new = level + step
            if abs(mass - 1) <= MASS and (new == level or abs(mass - 1) <= ROUNDING):
                return level, star, rho
            low, high = (level, high) if mass < 1 else (low, level)
            if not low < new < high and not low < (new := 0.5 * (low + high)) < high:
                break
            level = new
        star, below, _ = self.internal.conjugate(low - phi)
        above = self.internal.density(high - phi)
        less, more = (float(self.volumes @ rho) for rho in (below, above))
        share = min(max((1 - less) / (more - less), 0.0), 1.0) if more > less else 0.0
        return low, star, below + share * (above - below)

    def _levels(self, phi: Tensor) -> tuple[float, float]:
        """Numbers that enclose l: all mass spread evenly in the lowest cell, or in it alone; below a ceiling, all full.

        Raises
        ------
        ValueError
            The cells cannot hold the mass.
        """
        total, top = self.volumes.sum(), self.internal.ceiling
        lowest, cell = phi.min(dim=0)
        one = torch.stack([1 / total, 1 / self.volumes[cell]])
        low, high = (float(lowest) + self.internal.slope(one)).tolist()
        if top < math.inf:
            if float(total) * top < 1:
                raise ValueError(
                    f"cells of volume {float(total):.6g} hold {float(total) * top:.6g} of the mass 1 at most where "
                    f"densities end at {top:g}; take a larger box or a higher limit"
                )
            full = float(phi.max()) + float(self.internal.slope(total.new_tensor(top)))
            high = min(high, math.nextafter(full, math.inf))
        return low, high


def masses(state: GridDensity | LineMesh) -> Tensor:
    """Masses of the cells, (N,)."""
    return state.masses if isinstance(state, LineMesh) else state.weights


def row_scale(energy: Energy, like: Tensor) -> Tensor:
    """sqrt(c q_m) of all data of all risks, (M,): prices of the rows of A are this times prices of the data."""
    weights = [c * E.data.quadrature for c, E in positive(sorted_terms(energy).quadratic)]
    return torch.cat([like.new_zeros(0), *weights]).sqrt()
