"""States in a notebook: what is said of them, and small pictures of atoms, distribution functions and densities."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from jko.shown import svg
from jko.spaces import Grid


def facts(state: Any) -> dict[str, Any]:
    """How many atoms, of which dimension, whether they weigh the same, and where they live."""
    dim = {"d": state.d} if hasattr(state, "d") else {"dim": state.dim}
    weights = "equal" if state.has_equal_weights else "unequal"
    return {"N": state.N} | dim | {"weights": weights} | where(state)


def where(state: Any) -> dict[str, Any]:
    """The domain, if there is one."""
    domain = getattr(state, "domain", None)
    return {} if domain is None else {"domain": domain}


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
