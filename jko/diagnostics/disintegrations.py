"""The disintegration ``mu(dxi) = nu_theta(dw) rho(dtheta)`` of section 2.3, of atoms and of densities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko import checks
from jko.measures import (
    ChargedDensity,
    ChargedParticles,
    GridDensity,
    OnCells,
    Pair,
    Particles,
    State,
    YoungMeasure,
)
from jko.measures.tensors import on_numbers
from jko.shown import Shown
from jko.spaces import Grid, base_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Disintegration(Shown):
    """A measure of (w, theta) by its fibres: rho, and nu_theta at each of n places theta.

    Attributes
    ----------
    rho : Particles or GridDensity
        The marginal in theta: atoms at n places, or the density on all cells of a grid of Theta.
    fibres : YoungMeasure
        The measure, each atom with the fibre it is in: of a density an atom at the centre of each cell with mass.
    theta, masses : (n, d), (n,)
        Where the fibres are, and their masses: the place, the mean of theta in a cell, or the centre of a column.
    H, variance : (n,)
        Mean and variance of w in each fibre.
    expected_variance : float
        ``E Var(w | theta)``: zero of a graph.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[1.0, 0.0], [3.0, 0.0], [5.0, 1.0]], [0.25, 0.25, 0.5])
    >>> found = jko.diagnostics.disintegration(mu)
    >>> found.H.tolist(), found.variance.tolist(), found.expected_variance
    ([2.0, 5.0], [1.0, 0.0], 0.5)
    """

    rho: Particles | GridDensity
    fibres: YoungMeasure

    @property
    def theta(self) -> Array:
        """Where the fibres are, (n, d)."""
        return _array(self.fibres.theta)

    @property
    def masses(self) -> Array:
        """Their masses, (n,)."""
        return _array(self.fibres.masses)

    @property
    def H(self) -> Array:
        """The mean of w in each, (n,)."""
        return _array(self.fibres.H)

    @property
    def variance(self) -> Array:
        """The variance of w in each, (n,)."""
        return _array(self.fibres.variance)

    @property
    def expected_variance(self) -> float:
        """``E Var(w | theta)``."""
        return self.fibres.expected_variance

    def moments(self, k: int) -> Array:
        """``H_i = int w^i nu_theta(dw)``, i = 1 ... k, shape (k, n). Source: survey Lemma 3.2."""
        return _array(self.fibres.moments(k))

    @cached_property
    def pair(self) -> ChargedParticles | ChargedDensity:
        """(rho, H), on the grid of rho if it has one: H is NaN where there is no mass."""
        if isinstance(self.rho, Particles):
            return self.fibres.means()
        H = torch.full_like(self.rho.weights, torch.nan)
        H[self.rho.weights > 0] = self.fibres.H[_places(self.rho, self.fibres)]
        return ChargedDensity(self.rho.grid, self.rho.values, H.reshape(self.rho.values.shape))

    def nu(self, i: int) -> tuple[Array, Array]:
        """The fibre i: its values of w in order, and their probabilities."""
        rows = self.fibres.label == checks.count("i", i, least=0, most=self.fibres.fibres - 1)
        w, m = _array(self.fibres.points[rows, 0]), _array(self.fibres.weights[rows])
        order = w.argsort(kind="stable")
        return w[order], m[order] / m.sum()

    def _facts(self) -> dict[str, Any]:
        return {
            "fibres": self.fibres.fibres,
            "E Var(w | theta)": self.expected_variance,
            "parted": self.fibres.parted,
            "rho": self.rho,
        }

    def __str__(self) -> str:
        heads = ["theta", "mass", "H", "Var(w | theta)"]
        shown = np.unique(np.linspace(0, len(self.masses) - 1, ROWS).round().astype(int))
        rows = [
            [", ".join(f"{t:.4g}" for t in self.theta[i])]
            + [f"{column[i]:.4g}" for column in (self.masses, self.H, self.variance)]
            for i in shown
        ]
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        lines = [
            "  ".join(c.rjust(n) for c, n in zip(row, widths, strict=True))
            for row in [heads, *rows]
        ]
        return "\n".join(
            [*lines, f"{len(self.masses)} fibres, E Var(w | theta) = {self.expected_variance:.6g}"]
        )


ROWS = 8  # fibres in the table


@on_numbers
def disintegration(state: State, cells: Grid | float | None = None) -> Disintegration:
    """Write a measure of (w, theta) as ``nu_theta(dw) rho(dtheta)``.

    Parameters
    ----------
    state : Particles, YoungMeasure, a pair, or GridDensity
        Of points (w, theta); a density on a grid whose first axis is w.
    cells : Grid or float, optional
        Where the fibres are: default at equal theta, which is exact, and the columns of a density.  With a grid of
        Theta, atoms in one of its cells are one fibre; with a width, those whose theta rounds to one multiple of it.

    Raises
    ------
    ValueError
        Points of one coordinate; a grid of another dimension, or atoms outside; cells for a density; periodic w.

    Notes
    -----
    By equal theta this is the disintegration of the measure that is given, whatever labels a Young measure has: a flow
    of atoms tears fibres apart, and N atoms at N places are a graph.  What *tends* to a measure with fibres, as N
    grows, shows them by cells, whose width h tends to zero more slowly.  Then mean, moments and variance are those of
    w given the cell: ``Var(w | cell) = E[Var(w | theta) | cell] + Var(H(theta) | cell)``, where the last is
    ``|grad H|^2 h^2 / 12`` for small h.  Compare two widths.

    A density is read as atoms at the centres of its cells, of w-width h; constant on cells, its variances are larger by
    ``h^2 / 12``.

    Source: survey section 2.3.

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid(((-1.0, 1.0), (0.0, 1.0)), (2, 2))
    >>> mu = jko.GridDensity(grid, [[0.25, 1.0], [0.75, 0.0]])
    >>> found = jko.diagnostics.disintegration(mu)
    >>> found.rho.values.tolist(), found.pair.H.tolist()
    ([1.0, 1.0], [0.25, -0.5])
    """
    checks.kind("state", state, State)
    state.refuse_part("a disintegration")
    if isinstance(state, GridDensity):
        return _by_columns(state, cells)
    if isinstance(state, OnCells) and not isinstance(state, Pair):
        raise ValueError(
            f"a {type(state).__name__} has one coordinate; a measure of (w, theta) has at least two"
        )
    mu = YoungMeasure.of_state(state)
    if cells is not None:
        label = _in_cells(mu, cells)
        mu = YoungMeasure(mu.points, label, mu.weights, mu.domain)
    if isinstance(cells, Grid):
        return Disintegration(_deposited(cells, mu), mu)
    return Disintegration(Particles(mu.theta, mu.masses / mu.mass, base_of(mu.domain)), mu)


def _by_columns(state: GridDensity, cells: Grid | float | None) -> Disintegration:
    if cells is not None:
        raise ValueError("a density has its own columns of cells; leave cells out")
    grid = state.grid
    if grid.dim < 2:
        raise ValueError(
            "the grid has one axis; a measure of (w, theta) has at least two, the first of them w"
        )
    if grid.periodic[0]:
        raise ValueError("the first axis of the grid, w, is periodic; moments of w need a line")
    base = Grid(grid.bounds[1:], grid.shape[1:], grid.periodic[1:])
    columns = torch.arange(base.N).expand(grid.shape[0], -1).reshape(-1)
    full = state.weights.cpu() > 0
    mass = state.weights[full] / state.mass
    mu = YoungMeasure(state.support[full], columns[full], mass, state.domain)
    rho = state.values.sum(0) * grid.spacing[0]
    return Disintegration(GridDensity.of(base, rho / (rho.sum() * base.cell)), mu)


def _in_cells(mu: YoungMeasure, cells: Grid | float) -> Tensor:
    """The number of the cell of each atom."""
    theta = mu.points[:, 1:]
    if not isinstance(cells, Grid):
        width = checks.number("cells", cells, above=0)
        multiples = torch.round(theta / width)
        return torch.unique(multiples, dim=0, return_inverse=True)[1]
    if cells.dim != mu.d:
        raise ValueError(f"the grid has {cells.dim} axes, but theta has d = {mu.d}")
    cells.box.check("theta", theta)
    number = torch.zeros(len(theta), dtype=torch.int64)
    for k, (edges, n) in enumerate(zip(cells.faces, cells.shape, strict=True)):
        inside = torch.searchsorted(edges.to(theta), theta[:, k].contiguous(), right=True) - 1
        number = number * n + inside.clamp(0, n - 1).cpu()
    return number


def _deposited(grid: Grid, mu: YoungMeasure) -> GridDensity:
    masses = mu.masses.new_zeros(grid.N).index_add(0, _in_cells(mu, grid), mu.weights)
    return GridDensity.of(grid, (masses / (masses.sum() * grid.cell)).reshape(grid.shape))


def _places(rho: GridDensity, fibres: YoungMeasure) -> Tensor:
    """The fibre in each full cell, in the order of cells."""
    first = torch.zeros(fibres.fibres, dtype=torch.int64)
    cell = _in_cells(fibres, rho.grid)
    first[fibres.label.cpu()] = cell
    return first.argsort()


def _array(values: Tensor) -> Array:
    return values.detach().cpu().double().numpy()
