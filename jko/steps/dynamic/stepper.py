"""One step on one grid as arrays: the dual J, its gradient, its Hessian and the solution of the Newton equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from jko.steps.dynamic.conjugates import Kind
from jko.steps.dynamic.kernels import evaluate, imbalance, prices, slopes
from jko.steps.dynamic.layout import Array, Layout, layout
from jko.steps.dynamic.multigrid import precondition, solve, workspace
from jko.steps.dynamic.stencil import assemble, coarsen

CG_LIMIT = 100  # iterations for one Newton step
# added to the diagonal of the Hessian / the smallest eigenvalue of the Laplacian of the vacuum
SHIFT = 1e-3


class GridStep(NamedTuple):
    """What a step on a grid is given: grid fields of one shape, numbers."""

    kind: Kind | None  # None where only the tensor path knows the energy
    rho0: Array  # >= 0, per unit volume
    V: Array  # +inf in obstacle cells
    spacing: tuple[float, ...]
    tau: float
    eps: float  # vacuum mobility
    periodic: tuple[bool, ...] = ()  # by axis; (): walls all around


class StepDual(Protocol):
    """What Newton's method and its starts need of a step on one grid; fields are arrays or tensors of its own."""

    data: GridStep
    mass: float

    @property
    def rho(self) -> Any:
        """The density at the last phi."""

    @property
    def F(self) -> Any:
        """The gradient of J there."""

    def pad(self, values: Array, fill: float = 0.0) -> Any:
        """A grid field as one of its own."""

    def crop(self, values: Any) -> Array:
        """And back."""

    def slope(self, rho: Array) -> Array:
        """U' of a grid field of densities."""

    def action(self) -> float:
        """Int M |grad phi|^2 per unit cell volume."""

    def evaluate(self, phi: Any) -> float:
        """J(phi) per unit cell volume."""

    def imbalance(self) -> float:
        """|F|_1 relative to the mass."""

    def prepare(self) -> None:
        """Assemble the Hessian."""

    def solve(self, rhs: Any, target: float) -> tuple[Any, int]:
        """H x = rhs: x, and the iterations."""


@dataclass(eq=False)
class Stepper:
    """Working arrays of one step on one grid; all flat with ghosts, see :class:`Layout`.

    After ``evaluate(phi)``: ``g`` slopes on faces (d, total; level 0 first), ``rho`` the density, ``M`` the face
    mobilities (d, size), ``w`` the corner weights (U*)''(p_c) / 2^d (2^d, size); corners count with the last axis
    fastest, lower face first.  After ``imbalance()``: ``F`` the gradient of J per unit cell volume.  After
    ``prepare()``: the Hessian's off-diagonals ``A`` (S, total), diagonal ``D`` and reciprocal ``R`` on all levels.
    """

    data: GridStep

    def __post_init__(self) -> None:
        _, rho0, V, spacing, tau, eps = self.data
        L: Layout = layout(rho0.shape, spacing, np.isfinite(V))
        d, n = L.dim, L.size
        self.layout, self.dim = L, d
        self.strides = [tuple(int(s) for s in row) for row in L.strides]
        self.levels = [int(q) for q in L.start]
        self.inverse_h = tuple(1.0 / h for h in spacing)
        self.rho0, self.V = L.pad(rho0), L.pad(V, np.inf)
        self.mass = float(self.rho0.sum())
        self.M0 = np.zeros((d, n))
        for a, s in enumerate(self.strides[0]):
            self.M0[a, : n - s] = 0.25 * (self.rho0[: n - s] + self.rho0[s:]) + eps
        self.M0 *= L.inverse[:, :n] > 0
        longest = max(h * m for h, m in zip(spacing, L.shape, strict=True))
        self.shift = SHIFT * tau * eps * (np.pi / longest) ** 2
        self.g, self.K = np.zeros((d, L.total)), np.zeros((d, L.total))
        self.M, self.w = np.zeros((d, n)), np.zeros((1 << d, n))
        self.coarse_w = np.zeros((1, L.total))
        self.rho, self.F, self.step = np.zeros(n), np.zeros(n), np.zeros(n)
        self.A = np.zeros((L.offsets.shape[1], L.total))
        self.D, self.R, self.work = np.zeros(L.total), np.zeros(L.total), workspace(L.total)

    def pad(self, values: Array, fill: float = 0.0) -> Array:
        """A grid field as the stepper's own."""
        return self.layout.pad(values, fill)

    def crop(self, values: Array) -> Array:
        """The stepper's field as a grid field."""
        return self.layout.crop(values)

    def slope(self, rho: Array) -> Array:
        """U' of a grid field of densities."""
        return prices(self.data.kind, rho.ravel()).reshape(rho.shape)

    def action(self) -> float:
        """Int M |grad phi|^2 per unit cell volume."""
        return float((self.M * self.g[:, : self.layout.size] ** 2).sum())

    def evaluate(self, phi: Array) -> float:
        """J(phi) per unit cell volume; writes g, rho, M and w."""
        slopes(phi, self.strides[0], self.layout.inverse, self.g)
        return evaluate(
            self.data.kind,
            self.strides[0],
            self.layout.rows[0],
            self.data.tau,
            phi,
            self.V,
            self.rho0,
            self.M0,
            self.g,
            self.rho,
            self.M,
            self.w,
        )

    def imbalance(self) -> float:
        """Write F = rho - rho0 - tau div(M grad phi) and return |F|_1 relative to the mass."""
        norm = imbalance(
            self.strides[0],
            self.layout.rows[0],
            self.data.tau,
            self.inverse_h,
            self.rho0,
            self.rho,
            self.M,
            self.g,
            self.F,
        )
        return norm / self.mass

    def prepare(self, weights: Array | None = None, mobility: Array | None = None) -> None:
        """Assemble the Hessian on all levels, from w and M; ``weights`` zero leaves the mobility's Laplacian."""
        L, n = self.layout, self.layout.size
        w = self.w if weights is None else weights
        np.multiply(self.M if mobility is None else mobility, L.inverse[:, :n], out=self.K[:, :n])
        for k, strides in enumerate(self.strides):
            here = w if k == 0 else self.coarse_w
            begin, end = self.levels[k], self.levels[k + 1]
            level = (strides, L.rows[k], begin, end, self.data.tau)
            out = (self.A, self.D, self.R)
            assemble(*level, here, self.K, self.g, L.inverse, self.shift, *out)
            if k + 1 < len(self.strides):
                fields = (here, self.coarse_w, self.K, self.g)
                coarsen(strides, begin, end, self.levels[k + 2], L.parent, L.share, *fields)

    def precondition(self, r: Array) -> Array:
        """A V-cycle for ``H x = r``."""
        L, n = self.layout, self.layout.size
        b, x, t = self.work[:3]
        b[:n] = r
        precondition(self.A, self.D, self.R, L.start, L.offsets, L.rows, L.parent, b, x, t)
        return x[:n].copy()

    def solve(self, rhs: Array, target: float, limit: int = CG_LIMIT) -> tuple[Array, int]:
        """H x = rhs up to an L1 residual ``target`` (relative to the mass): x (a work array) and the CG iterations."""
        L, n = self.layout, self.layout.size
        self.work[0, :n] = rhs
        level = (L.start, L.offsets, L.rows, L.parent)
        count = solve(
            self.A, self.D, self.R, *level, target * self.mass, limit, self.step, self.work
        )
        return self.step, count
