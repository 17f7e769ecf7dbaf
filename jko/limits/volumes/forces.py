"""What an energy does to (rho, H): the velocity of rho on the faces, and p = d_w (dF/dmu)(H, theta) in the cells.

The cells never move.  So for a risk with an activation, ``phi(w, theta) = w N(theta) + ...`` with
``N(theta) = sum_m g_m h(theta, x_m)``, h and its slopes are tabulated once on cells and faces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from jko.energies import Energy, Risk, joined, sorted_terms
from jko.limits.rule import Rule
from jko.limits.volumes import faces
from jko.measures import ChargedDensity
from jko.spaces import Grid

BLOCK = 2**20  # feature values at a time while tabulating
KEEP = 2**26  # numbers in all tables: 512 MiB; a risk beyond is evaluated again in each stage


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """``c`` times a risk: h in the cells (N, M); for a partial gradient, d_k h on the faces across axis k (F_k, M)."""

    c: float
    risk: Risk
    cells: Tensor
    slopes: tuple[Tensor, ...]

    def dual(self, pair: ChargedDensity) -> Tensor:
        """g with ``N(theta) = sum_m g_m h(theta, x_m)``, (M,)."""
        f = pair.signed_measure().reshape(-1) @ self.cells * pair.grid.cell
        return self.c * self.risk.prices_of(f)


@dataclass(frozen=True, eq=False)
class Forces:
    """The velocity of one of the three systems, without internal energies.

    ``total``: of the gradient of ``theta -> phi(H(theta), theta)``, taken as a difference of cells; else of the
    partial gradient at H, taken at the faces' midpoints.
    """

    total: bool
    grid: Grid
    cells: Tensor
    faces: tuple[Tensor, ...]
    rest: Energy | None
    tables: tuple[FeatureTable, ...] = ()

    @classmethod
    def of(
        cls, rule: Rule, energy: Energy | None, start: ChargedDensity, keep: int = KEEP
    ) -> Forces:
        """Risks with an activation go into tables, as long as these have at most ``keep`` numbers."""
        grid, like = start.grid, start.values
        cells = grid.centres.to(like)
        middles = tuple(faces.places(grid, k).to(like) for k in range(grid.dim))
        tabulated = () if rule.total else middles
        rest: list[tuple[float, Energy]] = []
        tables: list[FeatureTable] = []
        for c, E in () if energy is None else sorted_terms(energy).all:
            rows = len(cells) + sum(len(m) for m in tabulated)
            if isinstance(E, Risk) and E.activation is not None and rows * E.data.M <= keep:
                keep -= rows * E.data.M
                tables.append(_table(c, E, cells, tabulated))
            else:
                rest.append((c, E))
        return cls(rule.total, grid, cells, middles, joined(rest), tuple(tables))

    def __call__(self, pair: ChargedDensity) -> tuple[list[Tensor], Tensor]:
        """The velocities on the faces across each axis, and p in the cells."""
        duals = [table.dual(pair) for table in self.tables]
        N = self._sum(pair.H, (T.cells @ g for T, g in zip(self.tables, duals, strict=True)))
        if self.total:
            phi, p = pair.H * N, N
            if self.rest is not None:
                phi = phi + self.rest.variation(pair).reshape(phi.shape)
                p = p + self.rest.gradient(pair)[:, 0].reshape(p.shape)
            return [-face.diff(phi) / face.width for face in self.grid.across], p
        levels = [face.mean(pair.H) for face in self.grid.across]
        parts = self._partial(pair, levels)
        for k, w in enumerate(levels):
            slope = self._sum(w, (T.slopes[k] @ g for T, g in zip(self.tables, duals, strict=True)))
            parts[k + 1] = parts[k + 1] + w * slope
        return [-v for v in parts[1:]], parts[0] + N

    def _partial(self, pair: ChargedDensity, levels: list[Tensor]) -> list[Tensor]:
        """The gradient of the rest: its w-component in the cells, its k-th theta-component on the faces across k."""
        shapes = [pair.H.shape, *(w.shape for w in levels)]
        if self.rest is None:
            return [pair.H.new_zeros(shape) for shape in shapes]
        w = [pair.H, *levels]
        theta = [self.cells, *self.faces]
        at = [torch.cat([a.reshape(-1, 1), z], dim=1) for a, z in zip(w, theta, strict=True)]
        gradients = self.rest.gradient(pair, torch.cat(at)).split([len(z) for z in theta])
        return [
            g[:, k].reshape(shape)
            for k, (g, shape) in enumerate(zip(gradients, shapes, strict=True))
        ]

    @staticmethod
    def _sum(like: Tensor, columns: Iterable[Tensor]) -> Tensor:
        return sum((c.reshape(like.shape) for c in columns), torch.zeros_like(like))


def _table(c: float, risk: Risk, cells: Tensor, middles: tuple[Tensor, ...]) -> FeatureTable:
    h, x = risk.activation, risk.data.x
    assert h is not None

    def slopes(points: Tensor, k: int) -> Tensor:
        return torch.cat([h.jacobian(part, x)[:, :, k] for part in _blocks(points, len(x))])

    with torch.no_grad():
        values = torch.cat([h(part, x) for part in _blocks(cells, len(x))])
        return FeatureTable(c, risk, values, tuple(slopes(z, k) for k, z in enumerate(middles)))


def _blocks(points: Tensor, M: int) -> tuple[Tensor, ...]:
    return points.split(max(1, BLOCK // M))
