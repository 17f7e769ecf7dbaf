"""Internal energies of cells that move: each keeps its mass, and its volume is multiplied by a Jacobian.

With T the map of the centres, ``F = I + grad (T - id)`` and ``J = det F``,

``int U(rho') = sum over corners (K, s) of  |K| / 2^d  J U(rho_s / J)``

A cell has 2^d corners.  Along each axis F takes the difference to the neighbour that shares the corner, at a wall to
the mirror image, which moves the other way.  ``rho_s`` is the harmonic mean of the cells around the corner: it is of
second order, and however steep rho falls, the force on a cell stays below a multiple of its mass.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import torch
from torch import Tensor

from jko.derivatives import leaf, recording
from jko.energies import Energy, Evaluation, Mixture
from jko.measures import ChargedDensity, Particles, State

LEAST = 0.1  # of its volume: below it the energy of a cell goes on as a parabola in J, so that none is infinite
FAINT = 1e-4  # of the largest density: well below it a pressure is that before the step


@dataclass(frozen=True, eq=False)
class CellCorners:
    """Those of the cells with mass, Q of them.

    Attributes
    ----------
    rho : (Q,)
        Densities.
    here : (Q,)
        The atom of the cell.
    start, end : d tensors (Q,)
        Atoms whose difference, over the width, is the column of F - I for an axis.
    walls : d tensors (Q,)
        -1 and 1 at the lower and the upper wall, else 0.
    """

    rho: Tensor
    here: Tensor
    start: list[Tensor]
    end: list[Tensor]
    walls: list[Tensor]

    @cached_property
    def share(self) -> Tensor:
        """How much of a pressure follows J: 1, but where the density is faint."""
        return self.rho / (self.rho + FAINT * self.rho.max())

    @classmethod
    def of(cls, pair: ChargedDensity) -> CellCorners:
        """Those of a pair on a grid."""
        shape, full = pair.grid.shape, pair.values > 0
        around = _mirrored(pair.values)
        for k, n in enumerate(shape):
            around = 2 / (1 / around.narrow(k, 0, n + 1) + 1 / around.narrow(k, 1, n + 1))
        number = (torch.cumsum(full.reshape(-1), 0) - 1).reshape(shape)
        cells, found = _mirrored(number), []
        for corner in itertools.product((0, 1), repeat=len(shape)):
            rho = _part(around, corner, shape)
            kept = full & (rho > 0)
            here = number[kept]
            columns = [rho[kept], here]
            for k, upper in enumerate(corner):
                there = _part(cells, [2 * upper if j == k else 1 for j in range(len(shape))], shape)
                ends = (here, there[kept]) if upper else (there[kept], here)
                columns += [*ends, _wall(shape, k, upper).to(rho)[kept]]
            found.append(columns)
        rho, here, *rest = (torch.cat(column) for column in zip(*found, strict=True))
        return cls(rho, here, rest[0::3], rest[1::3], rest[2::3])


def _mirrored(values: Tensor) -> Tensor:
    """With one more cell at each end of each axis, equal to the one beside it."""
    for k, n in enumerate(values.shape):
        first, last = values.narrow(k, 0, 1), values.narrow(k, n - 1, 1)
        values = torch.cat([first, values, last], dim=k)
    return values


def _part(values: Tensor, first: Sequence[int], shape: Sequence[int]) -> Tensor:
    for k, (start, n) in enumerate(zip(first, shape, strict=True)):
        values = values.narrow(k, start, n)
    return values


def _wall(shape: Sequence[int], axis: int, upper: int) -> Tensor:
    """-1 or 1 in the cells at one end of an axis, else 0."""
    ends = torch.zeros(shape)
    ends.select(axis, -upper).fill_(2 * upper - 1)
    return ends


@dataclass(frozen=True, eq=False)
class Stretched(Energy):
    """``c_1 int U_1(rho) + ...`` of a pair whose cells are carried by atoms (w, theta), one for each cell with mass.

    Parameters
    ----------
    internal
        The energies.
    pair
        The cells before they moved.
    """

    internal: Mixture
    pair: ChargedDensity

    def __call__(self, state: State) -> Tensor:
        """The value, which is that of the pair where no cell has moved; differentiable in the atoms."""
        return self._change(state.atoms.points) + self._before

    def _change(self, points: Tensor) -> Tensor:
        F, rho, share = self.stretches(points), self._corners.rho, self._corners.share
        spread = reduce(add, (F[k][k] - 1 for k in range(self.pair.d)))
        work = share * _energy(self.internal, rho, determinant(F)) - self._still
        total = work - (1 - share) * self.internal.pressure(rho) * spread
        return self._part * total.sum()

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """Zero: the energy is one of cells, and its slope in the atoms is known by :meth:`evaluate` alone."""
        return torch.zeros_like(state.atoms.weights)

    def evaluate(self, mu: Particles) -> Evaluation:
        """By one pass of torch."""
        with recording():
            points = leaf(mu.points)
            value = self(mu.moved(points))
            (slope,) = torch.autograd.grad(value, points)
        return Evaluation(value.detach(), self.variation(mu), slope / mu.weights[:, None])

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """The blocks of its Hessian where no cell has moved, near those elsewhere; (n, 1 + d, 1 + d)."""
        c, widths = self._corners, self.pair.grid.spacing
        bend = self._part * c.share * c.rho.square() * self.internal.stiffness(c.rho)
        blocks = mu.points.new_zeros(mu.N, 1 + len(widths), 1 + len(widths))
        own = []
        for k, h in enumerate(widths):
            upper, inside = c.start[k] == c.here, c.walls[k] == 0
            beside = torch.where(upper, c.end[k], c.start[k])[inside]
            blocks[:, 1 + k, 1 + k].index_add_(0, beside, bend[inside] / h**2)
            own.append(torch.where(inside, 1.0 - 2.0 * upper, -2 * c.walls[k]) / h)
        for j, p in enumerate(own):
            for k, q in enumerate(own):
                blocks[:, 1 + j, 1 + k].index_add_(0, c.here, bend * p * q)
        return blocks / mu.weights[:, None, None]

    def stretches(self, points: Tensor) -> list[list[Tensor]]:
        """F at the corners: its d columns, each of d tensors (Q,)."""
        u, c, columns = (points - self._lift.points)[:, 1:], self._corners, []
        for k, h in enumerate(self.pair.grid.spacing):
            column = list(((u[c.end[k]] - u[c.start[k]]) / h).T)
            column[k] = column[k] + 1 - c.walls[k] * u[c.here, k] * (2 / h)
            columns.append(column)
        return columns

    @cached_property
    def _before(self) -> Tensor:
        return self.internal(self.pair).detach()

    @cached_property
    def _still(self) -> Tensor:
        return self._corners.share * self.internal.U(self._corners.rho)

    @property
    def _part(self) -> float:
        return self.pair.grid.cell / 2**self.pair.d

    @cached_property
    def _lift(self) -> Particles:
        return self.pair.lift()

    @cached_property
    def _corners(self) -> CellCorners:
        return CellCorners.of(self.pair)


def _energy(internal: Mixture, rho: Tensor, J: Tensor) -> Tensor:
    """``J U(rho / J)``, below ``J = LEAST`` its parabola."""
    tame = J.clamp(min=LEAST)
    there, short = rho / tame, J - tame
    with torch.no_grad():
        first = internal.pressure(there)
        second = torch.where(short < 0, there.square() * internal.stiffness(there) / tame, 0.0)
    return tame * internal.U(there) - first * short + 0.5 * second * short.square()


def determinant(a: Sequence[Sequence[Tensor]]) -> Tensor:
    """Of d x d matrices, d at most 3, given by their entries."""
    if len(a) == 1:
        return a[0][0]
    if len(a) == 2:
        return a[0][0] * a[1][1] - a[0][1] * a[1][0]
    b, c = a[1], a[2]
    minors = (b[i] * c[j] - b[j] * c[i] for i, j in ((1, 2), (2, 0), (0, 1)))
    return reduce(add, (x * minor for x, minor in zip(a[0], minors, strict=True)))
