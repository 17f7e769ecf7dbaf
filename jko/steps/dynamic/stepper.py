"""One step on one grid as arrays: the dual J, its gradient, its Hessian and the solution of the Newton equation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from jko.steps.dynamic.conjugates import Kind
from jko.steps.dynamic.kernels import evaluate, imbalance, mobilities, prices, slopes
from jko.steps.dynamic.layout import Array, Layout, layout
from jko.steps.dynamic.multigrid import apply, line, precondition, solve
from jko.steps.dynamic.seams import clear, echo, fold
from jko.steps.dynamic.stencil import hessian
from jko.steps.dynamic.workspace import Workspaces

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
    V: Any

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
    spaces: Workspaces = field(default_factory=Workspaces, repr=False)

    def __post_init__(self) -> None:
        _, rho0, V, spacing, tau, eps, periodic = self.data
        L: Layout = layout(rho0.shape, spacing, np.isfinite(V), periodic)
        self.layout, self.dim = L, L.dim
        self.strides = [tuple(int(s) for s in row) for row in L.strides]
        self.inverse_h = tuple(1.0 / h for h in spacing)
        longest = max(h * m for h, m in zip(spacing, L.shape, strict=True))
        self.shift = SHIFT * tau * eps * (np.pi / longest) ** 2
        self.scale = 1.0 / (tau * (float(rho0.max()) + eps) * sum(q * q for q in self.inverse_h))
        space = self.spaces.lend(L)
        self.rho0, self.V, self.M0 = space.rho0, space.V, space.M0
        L.crop(self.rho0)[...] = rho0
        L.crop(self.V)[...] = V
        self.comes_round = len(L.seams.ghosts) > 0
        self.echo(self.rho0)
        mobilities(L.strides[0], L.rows[0], L.inverse, self.rho0, eps, self.M0)
        self._clear(self.rho0, *self.M0)
        self.mass = float(rho0.sum())
        self.g, self.rho, self.F, self.M, self.w = space.g, space.rho, space.F, space.M, space.w
        self.coarse_w, self.K, self.A, self.D = space.coarse_w, space.K, space.A, space.D
        self.single, self.R, self.short = space.single, space.R, space.short
        self.step, self.residual, self.work = space.step, space.residual, space.work

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
        self.echo(phi)
        J = evaluate(
            self.data.kind,
            self.layout.strides[0],
            self.layout.rows[0],
            self.data.tau,
            self.layout.inverse,
            phi,
            self.V,
            self.rho0,
            self.M0,
            self.g,
            self.rho,
            self.M,
            self.w,
        )
        self.fold(self.M)
        return J

    def slopes(self, phi: Array) -> None:
        """Write g alone."""
        self.echo(phi)
        slopes(phi, self.strides[0], self.layout.inverse, self.g)

    def echo(self, x: Array) -> Array:
        """A field with copies beyond the seams, where it is read."""
        if self.comes_round:
            echo(x, self.layout.seams, 0)
        return x

    def fold(self, fields: Iterable[Array]) -> None:
        """Take home what was added beyond the seams."""
        for x in fields if self.comes_round else ():
            fold(x, self.layout.seams, 0)

    def _clear(self, *fields: Array) -> None:
        for x in fields if self.comes_round else ():
            clear(x, self.layout.seams, 0)

    def product(self, x: Array, out: Array) -> None:
        """Write H x."""
        L = self.layout
        apply(self.A, self.D, L.offsets[0], L.rows[0], L.folds[0], self.echo(x), out)

    def imbalance(self, rho: Array | None = None, M: Array | None = None) -> float:
        """Write F = rho - rho0 - tau div(M grad phi), by default at the last phi; |F|_1 relative to the mass."""
        rho, M = self.rho if rho is None else rho, self.M if M is None else M
        for along in M if self.comes_round else ():
            self.echo(along)
        norm = imbalance(
            self.layout.strides[0],
            self.layout.rows[0],
            self.data.tau,
            self.inverse_h,
            self.rho0,
            rho,
            M,
            self.g,
            self.F,
        )
        if self.comes_round:
            self._clear(self.F, *M)
            norm = float(np.abs(self.F).sum())
        return norm / self.mass

    def prepare(self, weights: Array | None = None, mobility: Array | None = None) -> None:
        """Assemble the Hessian on all levels, from w and M; ``weights`` zero leaves the mobility's Laplacian."""
        L, w = self.layout, self.w if weights is None else weights
        M = self.M if mobility is None else mobility
        level = (L.start, L.strides, L.offsets, L.rows, L.folds, L.seams, L.inverse, L.share)
        fields = (w, M, self.g, self.coarse_w, self.K)
        out = (self.A, self.D, self.single, self.R)
        total = float(
            w.sum()
        )  # the least that v . H v is for a constant v, beside which a shift must be small
        shift = min(self.shift, SHIFT * total / int(L.free.sum())) if total > 0 else self.shift
        hessian(*level, self.data.tau, shift, self.scale, *fields, *out)

    def precondition(self, r: Array) -> Array:
        """A V-cycle for ``H x = r``."""
        L, n = self.layout, self.layout.size
        if self.dim == 1:
            x = np.zeros(n)
            line(self.A, self.D, L.rows[0], L.seams, r, x, self.work[0])
            return x
        b, x, t, beyond = self.short
        unit = float(np.abs(r).sum()) / n or 1.0
        np.divide(r, unit, out=b[:n], casting="same_kind")
        level = (L.start, L.offsets, L.rows, L.folds, L.seams)
        precondition(self.single, self.R, *level, b, x, t, beyond)
        return x[:n] * (self.scale * unit)

    def solve(self, rhs: Array, target: float, limit: int = CG_LIMIT) -> tuple[Array, int]:
        """H x = rhs up to an L1 residual ``target`` (relative to the mass): x (a work array) and the CG iterations."""
        L = self.layout
        self.residual[:] = rhs
        level = (L.start, L.offsets, L.rows, L.folds, L.seams)
        matrices = (self.A, self.D, self.single, self.R)
        out = (self.residual, self.step, self.work, self.short)
        return self.step, solve(*matrices, *level, target * self.mass, limit, *out)
