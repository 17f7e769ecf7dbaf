"""A path of n slabs of time as arrays: the dual J, its gradient, its Hessian and the Newton equation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jko.numerics.krylov import conjugate_gradients
from jko.steps.dynamic.coupling import couple
from jko.steps.dynamic.inner.transport import carried, diffused, returned
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.seams import clear
from jko.steps.dynamic.stepper import GridStep, Stepper
from jko.steps.dynamic.workspace import Workspaces

CG_LIMIT = 60
STEEP = 2.0  # p / delta above which exp is continued by its second-order expansion
VACUUM = 1e-5  # least proximal centre / those of its neighbours


@dataclass(eq=False)
class SlabPath:
    """Working arrays of a step in n slabs of time on one grid; fields are padded, (n, size) or (n - 1, size).

    After ``evaluate``: the slabs' slopes g and mobilities M, prices p, densities r and curvatures w between them, the
    last density in ``end``.  After ``imbalance``: F (n, size), the gradient of J.  After ``prepare``: the Hessian.

    Parameters
    ----------
    data
        The step.
    near : (n - 1, *shape)
        Centres of the proximal term.
    delta
        Its strength.
    """

    data: GridStep
    near: Array
    delta: float
    spaces: Workspaces = field(default_factory=Workspaces, repr=False)

    def __post_init__(self) -> None:
        self.n = len(self.near) + 1
        slab = self.data._replace(tau=self.data.tau / self.n)
        self.slabs = [Stepper(slab, self.spaces) for _ in range(self.n)]
        self.end, self.side = Stepper(slab, self.spaces), Stepper(slab, self.spaces)
        first = self.slabs[0]
        self.layout, self.rows = first.layout, first.layout.rows[0]
        self.steps, self.strides = first.strides[0], first.layout.strides[0]
        self.rho0, self.mass, self.tau = first.rho0.copy(), first.mass, slab.tau
        self.open, self.free = self.layout.inverse[:, : self.layout.size] > 0, np.isfinite(first.V)
        for faces in self.open:
            clear(faces, self.layout.seams, 0)
        self.M0 = [first.M0] + [self.open * slab.eps] * (self.n - 1)
        self.end.M0[:] = 0.0
        self.end.rho0[:] = 0.0
        self.side.shift = self.end.shift = 0.0
        size, d = self.layout.size, self.layout.dim
        self.share, self.none = np.full((1 << d, size), 0.5**d), np.zeros((d, size))
        self.F, self.y = np.zeros((self.n, size)), np.zeros(size)
        self.forth, self.back = (np.zeros((self.n, 1 + 2 * d, size)) for _ in range(2))
        self.moved_to(self.pad(self.near))

    def pad(self, values: Array) -> Array:
        """Grid fields as padded ones."""
        return np.stack([self.layout.pad(v) for v in values])

    def crop(self, fields: Array) -> Array:
        """And back."""
        return np.stack([self.layout.crop(f) for f in fields])

    def moved_to(self, near: Array) -> None:
        """Set the proximal centres; a cell beside mass gets a little, so that a front may enter it."""
        beside = np.stack([self.end.echo(np.maximum(r, 0.0)) for r in near])
        for s in self.steps:
            along = beside.copy()
            np.maximum(along[:, s:], beside[:, :-s], out=along[:, s:])
            np.maximum(along[:, :-s], beside[:, s:], out=along[:, :-s])
            beside = along
        self.near = np.maximum(near, VACUUM * beside) * self.free

    def turned(self, data: GridStep) -> None:
        """The same under another potential, from the densities that are known."""
        self.data = data
        self.end.V[:] = self.layout.pad(data.V, np.inf)
        self.moved_to(self.r)

    def unrolled(self, middle: Array) -> Array:
        """Potentials of all slabs from the one in the middle of the step: ``d_t phi = |grad phi|^2 / 2``."""
        self.side.slopes(middle)
        kinetic = self._kinetic(self.side.g)
        return np.stack([middle + (2 * k + 1 - self.n) * kinetic for k in range(self.n)])

    def evaluate(self, phi: Array) -> float:
        """J(phi) per unit cell volume."""
        self.p = self._prices(phi)
        x = self.p / self.delta
        y = np.maximum(x - STEEP, 0.0)
        top = self.near * np.exp(np.minimum(x, STEEP))
        self.r, self.w = top * (1.0 + y), top / self.delta
        J = self.delta * float((top * (1.0 + y + 0.5 * y * y) - self.near).sum())
        J += self.end.evaluate(phi[-1]) - float(self.rho0 @ phi[0])
        for k, (step, M0) in enumerate(zip(self.slabs, self.M0, strict=True)):
            step.M[:] = M0
            J += 0.5 * self.tau * float((M0 * step.g[:, : self.layout.size] ** 2).sum())
            if k > 0:
                self.mobile(self.r[k - 1], step.M)
            if k < self.n - 1:
                self.mobile(self.r[k], step.M)
        self.slabs[-1].M += self.end.M
        return J

    def imbalance(self) -> float:
        """Write F and return the sum over the slabs of its L1 norms, relative to the mass."""
        total, before = 0.0, self.rho0
        for k, step in enumerate(self.slabs):
            step.rho0, step.rho = before, self.r[k] if k < self.n - 1 else self.end.rho
            total += step.imbalance()
            self.F[k], before = step.F, step.rho
        return total

    def prepare(self) -> None:
        """Assemble the Hessian, its blocks on all levels."""
        self.end.prepare(mobility=self.none)
        for k, step in enumerate(self.slabs):
            mesh = (self.steps, self.rows, self.tau, self.layout.inverse)
            couple(*mesh, step.g, self.share, self.forth[k])
            np.negative(step.g, out=self.side.g)
            couple(*mesh, self.side.g, self.share, self.back[k])
            for row in (*self.forth[k], *self.back[k]):
                step.echo(row)
            step.prepare(weights=self.end.w if k == self.n - 1 else self.share * self.w[k])
            if k > 0:
                self.side.prepare(weights=self.share * self.w[k - 1], mobility=self.none)
                step.A += self.side.A
                step.D += self.side.D
                step.single += self.side.single
                here = step.D > 0
                step.R[here] = 1.0 / (step.scale * step.D[here])
            for row in step.K:
                step.echo(row)

    def solve(self, target: float) -> tuple[Array, int]:
        """Newton's step: phi is to move by minus this; and the iterations of conjugate gradients."""
        right, enough = self.F.ravel(), target * self.mass
        found = conjugate_gradients(self.product, right, self.precondition, enough, CG_LIMIT)
        return found.x.reshape(self.n, -1), found.products

    def product(self, x: Array) -> Array:
        """H x, flat."""
        v = x.reshape(self.n, -1)
        out, image = np.zeros_like(v), np.zeros_like(self.y)
        self.end.product(v[-1], image)
        for k, step in enumerate(self.slabs):
            mesh = (self.strides, self.rows, self.tau, step.K, self.layout.inverse)
            diffused(*mesh, step.echo(v[k]), out[k])
        out[-1] += image
        for k in range(self.n - 1):
            carried(self.strides, self.rows, self.back[k + 1], v[k + 1], self.w[k], image)
            carried(self.strides, self.rows, self.forth[k], v[k], self.w[k], self.y)
            image -= self.y
            returned(self.strides, self.rows, self.forth[k], self.end.echo(image), out[k])
            np.negative(image, out=image)
            returned(self.strides, self.rows, self.back[k + 1], image, out[k + 1])
            image.fill(0.0)
        return self._cleared(out).ravel()

    def precondition(self, x: Array) -> Array:
        """Block Gauss-Seidel forth and back in time, a V-cycle for each block; symmetric."""
        rest = x.reshape(self.n, -1).copy()
        z = np.zeros_like(rest)
        for k, step in enumerate(self.slabs):
            if k > 0:
                np.negative(rest[k], out=rest[k])
                self._earlier(k, z[k - 1], rest[k])
                np.negative(rest[k], out=rest[k])
            z[k] = step.precondition(rest[k])
        for k in range(self.n - 2, -1, -1):
            rest[k] = 0.0
            self._later(k, z[k + 1], rest[k])
            z[k] -= self.slabs[k].precondition(rest[k])
        return self._cleared(z).ravel()

    def action(self) -> float:
        """``1/n sum_k int M |grad phi|^2`` per unit cell volume."""
        return sum(step.action() for step in self.slabs) / self.n

    def _earlier(self, k: int, v: Array, out: Array) -> None:
        """Add what the slab before takes part in the equation of slab k."""
        self._across(self.forth[k - 1], self.back[k], self.w[k - 1], v, out)

    def _later(self, k: int, v: Array, out: Array) -> None:
        """Add what the slab after takes part in it."""
        self._across(self.back[k + 1], self.forth[k], self.w[k], v, out)

    def _across(self, there: Array, here: Array, w: Array, v: Array, out: Array) -> None:
        carried(self.strides, self.rows, there, self.end.echo(v), w, self.y)
        returned(self.strides, self.rows, here, self.end.echo(self.y), out)
        self._cleared(out[None])

    def _cleared(self, fields: Array) -> Array:
        """Zero beyond seams."""
        for x in fields if self.end.comes_round else ():
            clear(x, self.layout.seams, 0)
        return fields

    def _prices(self, phi: Array) -> Array:
        for step, values in zip(self.slabs, phi, strict=True):
            step.slopes(values)
        kinetic = np.stack([self._kinetic(step.g) for step in self.slabs])
        return phi[:-1] - phi[1:] + kinetic[:-1] + kinetic[1:]

    def _kinetic(self, g: Array) -> Array:
        """``tau/4n |grad phi|^2`` on the cells: on each axis the mean of the squares on both faces."""
        total = np.zeros(self.layout.size)
        for a, s in enumerate(self.steps):
            square = (0.125 * self.tau) * g[a, : self.layout.size] ** 2
            total += square
            total[s:] += square[:-s]
        return total

    def mobile(self, r: Array, M: Array) -> None:
        """Add a density's share in a mobility, ``(r_K + r_L) / 4``."""
        r = self.end.echo(r.copy())
        for a, s in enumerate(self.steps):
            M[a, :-s] += 0.25 * (r[:-s] + r[s:]) * self.open[a, :-s]
