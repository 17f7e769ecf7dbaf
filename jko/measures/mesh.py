"""A density on the line in Lagrangian coordinates: cells that keep their masses while their ends move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures import looks
from jko.measures.density import GridDensity, OnCells, OnGrid
from jko.measures.state import Particles
from jko.spaces import Box, Domain, Grid, cached, refuse_wrapped

GAUSS = 0.5 / 3**0.5  # the two Gauss points of a cell, from its middle, in its width


@dataclass(frozen=True, eq=False)
class LineMesh(OnCells):
    """The density ``masses[i] / (edges[i + 1] - edges[i])`` between the edges i and i + 1, on the line.

    Optimal transport on the line keeps the order of mass, so a step moves the edges and leaves the masses alone.

    Parameters
    ----------
    edges : (N + 1,)
        Increasing.
    masses : (N,)
        Positive, with sum one.
    domain : Box of one dimension, optional
        An interval that holds the edges; steps keep them there.

    Notes
    -----
    As a quadrature the measure is read as two atoms a cell, at its Gauss points, with half the mass each: exact for
    cubic functions on each cell.

    Examples
    --------
    >>> import jko
    >>> mesh = jko.LineMesh([0.0, 0.5, 2.0], [0.5, 0.5])
    >>> [round(v, 12) for v in mesh.values.tolist()]
    [1.0, 0.333333333333]
    """

    edges: Tensor
    masses: Tensor
    domain: Domain | None

    def __init__(self, edges: Any, masses: Any, domain: Domain | None = None) -> None:
        edges = checks.shape("edges", checks.owned("edges", edges), ("N + 1",))
        if len(edges) < 2:
            raise ValueError("edges has one entry; a mesh has at least one cell, between two edges")
        masses = checks.weights("masses", masses, len(edges) - 1, edges)
        check_cells("edges", edges, masses, domain, "edges must increase")
        self._fill(edges=edges, masses=masses, domain=domain)

    @classmethod
    def from_density(cls, density: GridDensity) -> LineMesh:
        """The cells of a density in d = 1 from the first to the last that holds mass; the box becomes the domain.

        Raises
        ------
        ValueError
            Another dimension, or an empty cell between two that hold mass: a mesh has no holes.
        """
        checks.kind("density", density, GridDensity)
        if density.dim != 1:
            raise ValueError(f"the density has dimension {density.dim}; a LineMesh has dimension 1")
        full, edges = filled(density)
        if not bool((density.weights[full] > 0).all()):
            raise ValueError(
                "the density has empty cells between cells that hold mass; a LineMesh has no holes: "
                "use the grid solver jko.Dynamic(), or particles"
            )
        return cls(edges, density.weights[full] / density.mass, density.domain)

    def _facts(self) -> dict[str, Any]:
        ends = f"{self.edges[0]:g} .. {self.edges[-1]:g}"
        return {"cells": len(self.masses), "on": ends, "max": float(self.values.detach().max())}

    def _picture(self) -> str:
        return looks.of_line(self.values, self.edges[1:] - 0.5 * self.volumes)

    @cached
    def volumes(self) -> Tensor:
        """Widths of the cells, (N,)."""
        return self.edges.diff()

    @cached
    def values(self) -> Tensor:
        """The density in the cells, (N,)."""
        return self.masses / self.volumes

    @cached
    def weights(self) -> Tensor:
        """Masses of the Gauss points, (2 N,)."""
        return self.spread(0.5 * self.masses)

    @cached
    def support(self) -> Tensor:
        """The Gauss points, (2 N, 1)."""
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        pair = torch.stack([middle - GAUSS * self.volumes, middle + GAUSS * self.volumes], dim=1)
        return pair.reshape(-1, 1)

    @cached
    def atoms(self) -> Particles:
        """The Gauss points with their masses."""
        return Particles.of(self.support, self.weights, self.domain)

    @property
    def is_finite(self) -> bool:
        """Whether all edges are: a Gauss point beside an infinite edge may be NaN or not."""
        return bool(torch.isfinite(self.edges).all())

    def spread(self, values: Tensor) -> Tensor:
        """Numbers per cell (N,) as numbers per Gauss point (2 N,)."""
        return values.repeat_interleave(2)

    def moved(self, edges: Tensor) -> LineMesh:
        """The same masses between new edges; trusted, not checked: for use inside loops."""
        return self._with(edges=edges)

    def to_density(self, grid: Grid) -> GridDensity:
        """The mass of each cell of ``grid`` (d = 1), which must hold the mesh; conservative."""
        checks.kind("grid", grid, Grid)
        refuse_wrapped("a mesh of the line", grid.domain)
        (lower, upper), *more = grid.bounds
        slip = 1e-12 * (upper - lower)
        first, last = self.edges.detach()[[0, -1]].tolist()
        if more or first < lower - slip or last > upper + slip:
            raise ValueError(
                f"the mesh lives on [{first:g}, {last:g}]; the grid, {grid.box!r}, must hold it"
            )
        faces = grid.faces[0].to(self.edges)
        below = torch.cat([self.masses.new_zeros(1), self.masses.cumsum(0)])
        cell = (torch.searchsorted(self.edges, faces, right=True) - 1).clamp(
            0, len(self.masses) - 1
        )
        share = ((faces - self.edges[cell]) / self.volumes[cell]).clamp(0, 1)
        return GridDensity(grid, (below[cell] + share * self.masses[cell]).diff() / grid.cell)


def check_cells(
    name: str, ends: Tensor, masses: Tensor, domain: Domain | None, remedy: str
) -> None:
    """Refuse ends of cells that do not increase, or leave their interval, and densities out of range."""
    ends, masses = ends.detach(), masses.detach()
    widths = ends.diff()
    if not bool((widths > 0).all()):
        i = int(widths.argmin())
        raise ValueError(
            f"{name}[{i}] = {ends[i]:g} and {name}[{i + 1}] = {ends[i + 1]:g}; {remedy}"
        )
    if domain is not None:
        refuse_wrapped("a mesh of the line", domain)
        checks.kind("domain", domain, Box, hint="an interval: jko.Box(lower, upper)")
        domain.check(name, ends[:, None])
    checks.floats("the density masses / width", masses / widths)


def filled(density: OnGrid) -> tuple[slice, Tensor]:
    """The cells of the line from the first to the last that holds mass, and their ends."""
    refuse_wrapped("a mesh of the line", density.domain)
    full = density.weights.nonzero()[:, 0]
    first, last = int(full[0]), int(full[-1]) + 1
    return slice(first, last), density.grid.faces[0].to(density.values)[first : last + 1]
