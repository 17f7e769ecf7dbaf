"""The small pictures of states in a notebook: atoms in a plane, a distribution function, densities as images."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from jko.shown import svg
from jko.spaces import Grid


def of_atoms(points: Tensor) -> str:
    """Atoms (N, dim): w over theta, the first two of more coordinates; on the line the distribution function."""
    xi = points.detach().cpu().numpy()
    if xi.shape[1] == 1:
        return svg.curve(np.sort(xi[:, 0]), np.linspace(0, 1, len(xi)), "distribution function")
    return svg.dots(xi[:, 1], xi[:, 0], "atoms: the first coordinate over the second")


def of_line(values: Tensor, x: Tensor) -> str:
    """A density (N,) at places of a line."""
    return svg.curve(x.detach().cpu(), values.detach().cpu(), "density")


def of_grid(values: Tensor, grid: Grid) -> str:
    """A density on cells; in space its marginal on the first two axes."""
    if grid.dim == 1:
        return of_line(values, grid.axes[0])
    rho = values.detach().cpu().numpy()
    (a, b), (c, d) = grid.bounds[:2]
    return svg.image(rho.sum(axis=2) if rho.ndim == 3 else rho, "density", (b - a) / (d - c))
