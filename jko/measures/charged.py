"""The pair (rho, H) on a grid: a density of Theta with a function H on its cells.

Everything is read off the graph lift ``(id, H)_# rho`` on R x Theta (survey 2.3), with atoms (H[K], centre of K).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures.density import GridDensity, OnGrid
from jko.measures.deposit import deposited
from jko.measures.state import ChargedParticles, Pair, Particles
from jko.spaces import Grid, cached, cylinder


@dataclass(frozen=True, eq=False, repr=False)
class ChargedDensity(Pair, OnGrid):
    """A density rho on the cells of a grid of Theta, with a function H.

    Parameters
    ----------
    grid : Grid
        The cells, d = 1, 2, 3.
    values : grid.shape
        rho: mass per unit volume, not negative, with ``values.sum() * grid.cell == 1``.
    H : grid.shape
        The charge in each cell, finite where there is mass.  Elsewhere it may be NaN: H is defined rho-a.e. only.

    Raises
    ------
    ValueError
        As for :class:`GridDensity`; also H of another shape, or not finite in a cell that holds mass.

    Notes
    -----
    Source: survey section 2.3 and (2.12)-(2.13): G(rho, H) is F of the lift.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedDensity(jko.Grid((0.0, 2.0), 2), [0.25, 0.75], [1.0, -1.0])
    >>> float(pair.integrate(pair.H))
    -0.5
    """

    grid: Grid
    values: Tensor
    H: Tensor

    def __init__(self, grid: Grid, values: Any, H: Any) -> None:
        rho = GridDensity(grid, values)
        charge = checks.own(checks.tensor("H", H, rho.values, "the density's values"))
        checks.shape("H", charge, grid.shape)
        bad = ~torch.isfinite(charge) & (rho.values > 0)
        if bool(bad.any()):
            mass = float(rho.values.detach()[bad].sum()) * grid.cell
            raise ValueError(
                f"H is not finite in {int(bad.sum())} cells that hold mass {mass:.3g}; it must be a number wherever "
                "rho > 0: give it a value there, or set the density of those cells to zero and normalise"
            )
        checks.floats("H", charge[rho.values > 0])
        self._fill(grid=grid, values=rho.values, H=charge)

    @classmethod
    def of(cls, grid: Grid, values: Tensor, H: Tensor) -> ChargedDensity:
        """The same without checks: for solvers, which answer for what they return."""
        return cls._made(grid=grid, values=values, H=H)

    @classmethod
    def from_function(
        cls,
        grid: Grid,
        density: Callable[[Tensor], Tensor],
        H: Callable[[Tensor], Tensor],
    ) -> ChargedDensity:
        """rho proportional to ``density``, and H, both functions of the centres: (N, d) to (N,).

        Examples
        --------
        >>> import jko
        >>> pair = jko.ChargedDensity.from_function(
        ...     jko.Grid((-3, 3), 60), lambda x: (-(x**2).sum(-1)).exp(), lambda x: x[:, 0]
        ... )
        >>> round(float(pair.integrate(pair.H)), 12) + 0.0
        0.0
        """
        checks.function("H", H, hint="it maps the centres (N, d) to numbers (N,)")
        rho = GridDensity.from_function(grid, density)
        charge = checks.values("the function H", H, rho.support)
        return cls(grid, rho.values, charge.reshape(grid.shape))

    @classmethod
    def from_particles(cls, grid: Grid, state: ChargedParticles | Particles) -> ChargedDensity:
        """Atoms deposited on the cells of a grid: masses shared, H by the conditional mean in each cell.

        Each atom's mass is shared between the centres around it, linearly along each axis: mass is kept, and the mean
        too but for atoms between the last centre and the wall.  H[K] is the mean of the charges by their shares.  So
        ``int H drho`` is kept, and with theta held at the centres, F never rises for a potential convex in w (Jensen):
        for ``lam |xi|^2 / 2`` it falls by ``lam/2 E Var(w | theta)``.  Moving theta to the centres changes F by either
        sign, to second order in the width of the cells for a fixed cloud.

        Parameters
        ----------
        grid : Grid
            The cells.
        state : ChargedParticles, or Particles of (w, theta)
            What to deposit; ``from_particles(pair.grid, pair.to_particles())`` is the pair itself.

        Raises
        ------
        ValueError
            Atoms outside the grid, or of another dimension.

        Notes
        -----
        Source: survey section 2.3.  Empty cells have H = NaN.  Deposited step after step, a flow is smeared out:
        :class:`jko.steps.Remapped` moves cells instead.

        Examples
        --------
        >>> import jko
        >>> pair = jko.ChargedParticles([[0.5], [1.0]], [4.0, 1.0])
        >>> on_cells = jko.ChargedDensity.from_particles(jko.Grid((0.0, 2.0), 2), pair)
        >>> on_cells.values.tolist(), on_cells.H.tolist()
        ([0.75, 0.25], [3.0, 1.0])
        """
        checks.kind("grid", grid, Grid)
        hint = "a pair of atoms, or a measure of (w, theta)"
        checks.kind("the state", state, ChargedParticles, Particles, hint=hint)
        xi = state.atoms.points
        if xi.shape[1] != grid.dim + 1:
            raise ValueError(
                f"the state has theta in d = {xi.shape[1] - 1} but the grid has d = {grid.dim}"
            )
        masses, H = deposited(grid, xi[:, 1:], state.weights, xi[:, 0])
        return cls(grid, (masses / grid.cell).reshape(grid.shape), H.reshape(grid.shape))

    @cached
    def rho(self) -> GridDensity:
        """The density alone."""
        return GridDensity.of(self.grid, self.values)

    @cached
    def atoms(self) -> Particles:
        """The lift with an atom for every cell; empty cells stay, with weight zero and, where H is NaN, at w = 0."""
        w = torch.where((self.values > 0) | torch.isfinite(self.H), self.H, 0.0)
        points = torch.cat([w.reshape(-1, 1), self.support], dim=1)
        return Particles.of(points, self.weights, cylinder(self.domain))

    def signed_measure(self) -> Tensor:
        """The signed density m = H rho, shape ``grid.shape``; zero in empty cells. Source: survey section 2.3."""
        return torch.where(self.values > 0, self.H * self.values, 0.0)
