"""Many small minimisations at once: damped Newton in every row, each row with its own step length."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from jko.numerics.blocks import descending
from jko.spaces import Box, Domain, projected

NEWTON, FINE = 60, 30  # iterations; of rows that need not go on to rounding
TRIALS = 12  # halvings along the Newton direction, then as many steps along the gradient
BLUR = 4e-16  # values closer than this, relatively, count as equal


class Landscape(Protocol):
    """A function of one point for each row; ``rows`` says which rows the points belong to."""

    def value(self, z: Tensor, rows: Tensor) -> Tensor:
        """Values, (b,)."""
        ...

    def slope(self, z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients (b, dim), and the norm below which each is rounding, (b,)."""
        ...

    def hessian(self, z: Tensor, rows: Tensor) -> Tensor:
        """Second derivatives, (b, dim, dim)."""
        ...


def descend(
    f: Landscape,
    z: Tensor,
    domain: Domain | None,
    step: float,
    far: float,
    fine: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """A local minimiser for every row.

    Parameters
    ----------
    f : Landscape
        What is minimised.
    z : (b, dim)
        Where the rows start.
    domain : Domain, optional
        Where they stay.
    step : float
        Length of a gradient step, for rows that Newton does not help.
    far : float
        Rows that move further than this from their start are left where they are.
    fine : float
        Rows of which Newton's model promises to fall by less have arrived; 0: they go on to rounding.

    Returns
    -------
    points (b, dim), values (b,)
    """
    start, z = z, projected(z, domain)
    live = torch.arange(len(z), device=z.device)
    values = f.value(z, live)
    z = z.clone()
    for _ in range(FINE if fine else NEWTON):
        gradient, rounding = f.slope(z[live], live)
        natural = gradient
        if domain is not None:
            natural = (z[live] - domain.project(z[live] - step * gradient)) / step
        going = (natural.norm(dim=1) > rounding) & ((z[live] - start[live]).norm(dim=1) < far)
        live, gradient = live[going], gradient[going]
        if not len(live):
            break
        d = newton_directions(f.hessian(z[live], live), gradient, fixed(domain, z[live], gradient))
        if fine:
            worth = (gradient * d).sum(1) < -fine
            live, gradient, d = live[worth], gradient[worth], d[worth]
        before = values[live]
        moved = _search(f, z, values, live, gradient, d, domain, step, fine)
        live = live[moved & (before - values[live] >= fine)]
    return z, values


def newton_directions(H: Tensor, gradient: Tensor, held: Tensor) -> Tensor:
    """``-|H|^{-1} gradient`` in the coordinates that are not held."""
    free = (~held).to(H)
    # at a kink, or above the largest number: the gradient then leads
    H = H.nan_to_num(0.0, 0.0, 0.0)
    H = descending(free[:, :, None] * H * free[:, None, :] + torch.diag_embed(1 - free))
    factor, failed = torch.linalg.cholesky_ex(H)
    d = -torch.cholesky_solve((free * gradient)[:, :, None], factor)[:, :, 0]
    return torch.where((failed > 0)[:, None] | ~torch.isfinite(d), -free * gradient, d)


def fixed(domain: Domain | None, z: Tensor, gradient: Tensor) -> Tensor:
    """Coordinates at a bound of a box, with the gradient pushing outwards; (b, dim), boolean."""
    if not isinstance(domain, Box):
        return torch.zeros_like(z, dtype=torch.bool)
    lower, upper = domain.lower.to(z), domain.upper.to(z)
    return ((z <= lower) & (gradient > 0)) | ((z >= upper) & (gradient < 0))


def _search(
    f: Landscape,
    z: Tensor,
    values: Tensor,
    live: Tensor,
    gradient: Tensor,
    d: Tensor,
    domain: Domain | None,
    step: float,
    fine: float,
) -> Tensor:
    """Move the live rows in place, with sufficient decrease of more than ``fine``; which of them moved."""
    moved = torch.zeros_like(live, dtype=torch.bool)
    hopeless = moved.clone()
    for trial in range(2 * TRIALS):
        rows = torch.nonzero(~(moved | hopeless)).flatten()
        if not len(rows):
            break
        here = live[rows]
        if trial < TRIALS:
            ahead = 0.5**trial * d[rows]
        else:
            ahead = -step * 0.25 ** (trial - TRIALS) * gradient[rows]
        new = projected(z[here] + ahead, domain)
        found = f.value(new, here)
        predicted = (gradient[rows] * (new - z[here])).sum(1)
        better = found <= values[here] + 1e-4 * predicted
        if trial == 0:  # near convergence the values are equal, but the Newton step is right
            better |= found <= values[here] + BLUR * values[here].abs()
        better &= predicted < 0
        z[here[better]], values[here[better]] = new[better], found[better]
        moved[rows[better]] = True
        if fine and trial >= TRIALS:
            hopeless[rows[~better & (predicted > -fine)]] = True
    return moved
