"""Densities on a grid: the measure with ``values[K]`` per unit volume in cell K.

Section 4 of the survey regularises F by entropy or by int mu^2; then the measure has a density.  For a network on
Omega = R x Theta the first axis of the grid is w.  As a quadrature the measure is read as atoms at the centres.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from jko import checks
from jko.measures import looks, sampling
from jko.measures.state import Particles, State
from jko.spaces import Box, Grid, Torus, cached


class OnCells(State):
    """A state that has a density, constant on cells: internal energies are of these.

    Examples
    --------
    >>> import jko
    >>> cells = jko.GridDensity.from_function(jko.Grid((0.0, 1.0), 4), lambda x: 1 + x[:, 0])
    >>> isinstance(cells, jko.measures.OnCells), round(float(cells.weights.sum()), 12)
    (True, 1.0)
    """

    volumes: Tensor  #: of the cells
    values: Tensor  #: the density in the cells

    @abstractmethod
    def spread(self, values: Tensor) -> Tensor:
        """Numbers per cell as numbers per atom of :attr:`atoms`."""


G = TypeVar("G", bound="OnGrid")


class OnGrid(OnCells):
    """One on the cells of a grid, as atoms at their centres; empty cells stay, with weight zero."""

    grid: Grid

    def _facts(self) -> dict[str, Any]:
        return self.grid._facts() | {"max": float(self.values.detach().max())}

    def _picture(self) -> str:
        return looks.of_grid(self.values, self.grid)

    @cached
    def volumes(self) -> Tensor:
        """Volumes of the cells, (N,)."""
        return torch.full_like(self.weights, self.grid.cell)

    @cached
    def weights(self) -> Tensor:
        """Masses of the cells, (N,)."""
        return self.values.reshape(-1) * self.grid.cell

    @cached
    def support(self) -> Tensor:
        """Centres of the cells, (N, d)."""
        return self.grid.centres.to(self.values)

    @property
    def domain(self) -> Box | Torus:  # type: ignore[override]
        """The box: no mass leaves it; with periodic axes the torus."""
        return self.grid.domain

    def integrate(self, values: Tensor) -> Tensor:
        """The integral of numbers on the cells, shape (N, ...) or (*grid.shape, ...); empty cells do not count.

        Where there is no mass, values may be infinite.
        """
        axes = self.grid.dim
        axes = axes if tuple(values.shape[:axes]) == self.grid.shape else 1
        return self.atoms.integrate(values.reshape(self.grid.N, *values.shape[axes:]))

    def spread(self, values: Tensor) -> Tensor:
        """Numbers per cell as numbers per atom of :attr:`atoms`, (N,)."""
        return values.reshape(-1)

    def _normalised(self: G) -> G:
        """The same of mass one, checked."""
        return type(self)(**self._attributes() | {"values": self.values / self.mass})


@dataclass(frozen=True, eq=False, repr=False)
class GridDensity(OnGrid):
    """A probability density, constant on the cells of a grid.

    Parameters
    ----------
    grid : Grid
        The cells.
    values : grid.shape
        Mass per unit volume, not negative, with ``values.sum() * grid.cell == 1``.

    Raises
    ------
    ValueError
        A wrong shape, negative values, numbers that are not finite, a mass that is not one.

    Examples
    --------
    >>> import jko, torch
    >>> rho = jko.GridDensity(jko.Grid((0.0, 2.0), 4), [1.0, 1.0, 0.0, 0.0])
    >>> float(rho.integrate(rho.grid.centres[:, 0]))
    0.5
    """

    grid: Grid
    values: Tensor

    def __init__(self, grid: Grid, values: Any) -> None:
        checks.kind("grid", grid, Grid)
        values = checks.density("values", checks.owned("values", values), grid.shape, grid.cell)
        self._fill(grid=grid, values=values)

    @classmethod
    def of(cls, grid: Grid, values: Tensor) -> GridDensity:
        """The same without checks: for solvers, which answer for what they return."""
        return cls._made(grid=grid, values=values)

    @classmethod
    def from_function(cls, grid: Grid, function: Callable[[Tensor], Tensor]) -> GridDensity:
        """The density proportional to ``function``: centres (N, d) to numbers (N,), not negative.

        Examples
        --------
        >>> import jko
        >>> rho = jko.GridDensity.from_function(
        ...     jko.Grid((-3, 3), 60), lambda x: (-(x**2).sum(-1)).exp()
        ... )
        >>> round(float(rho.mass), 12)
        1.0
        """
        checks.kind("grid", grid, Grid)
        checks.function("function", function, hint="it maps the centres (N, d) to numbers (N,)")
        what = "the density function"
        values = checks.unit(what, checks.values(what, function, grid.centres))
        return cls(grid, (values / (values.sum() * grid.cell)).reshape(grid.shape))

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.grid.dim

    @property
    def is_finite(self) -> bool:
        """Yes: the cells are somewhere."""
        return True

    @cached
    def atoms(self) -> Particles:
        """The masses of all cells at their centres; empty cells stay, with weight zero."""
        return Particles.of(self.support, self.weights, self.domain)

    def weighed(self, masses: Tensor) -> GridDensity:
        """The same cells with other masses."""
        values = (masses / self.grid.cell).reshape(self.grid.shape)
        return self._with(values=values.to(self.values))

    def sample(self, N: int, *, generator: torch.Generator) -> Particles:
        """N independent atoms, uniform inside the cells they fall into."""
        points = sampling.in_cells(N, self.grid, self.weights, generator)
        return Particles(points, domain=self.domain)
