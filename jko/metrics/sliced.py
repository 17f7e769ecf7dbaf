"""The sliced Wasserstein distance: W2 of the projections to lines, in the mean over the lines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.measures import Particles, State
from jko.metrics.alike import alike
from jko.metrics.base import Distance, Metric
from jko.metrics.couplings import Array, Plan, as_array
from jko.metrics.transport import in_order


@dataclass(frozen=True, eq=False, init=False)
class SlicedWasserstein(Metric):
    """``SW^2 = mean over directions u of W2^2(u . mu, u . nu)``, exact for the directions that it holds.

    Each W2 on a line is a sort, so a distance costs K N log N for K directions.  In dimension one it is W2.  For small
    moves in dimension d it is about ``W2 / sqrt(d)``, so its flow is about d times as fast as that of W2.

    Parameters
    ----------
    directions : int or (K, dim)
        How many directions, drawn once from the uniform law on the sphere; or the directions, which are made of length
        one.  With fewer than dim of them it cannot tell all measures apart.
    generator : torch.Generator
        For a number of directions: where they are drawn from.

    Notes
    -----
    The cost drives steps of atoms by its own slope.  ``distance(a, b).plan`` is the cheapest of the couplings along the
    directions: a coupling of a and b, for :func:`jko.geodesic`, whose cost is above W2^2 and not ``squared``
    (Mahey et al., NeurIPS 2023).  Pairs (rho, H) are read as their lifts, densities as atoms at the centres of cells.

    Source: Bonneel, Rabin, Peyre and Pfister, J. Math. Imaging Vis. 51 (2015); for steps, Bonet et al., TMLR (2022).

    Examples
    --------
    >>> import jko
    >>> mu, nu = jko.Particles([[0.0, 0.0]]), jko.Particles([[3.0, 4.0]])
    >>> round(jko.metrics.SlicedWasserstein([[1.0, 0.0], [0.0, 1.0]]).distance(mu, nu).squared, 12)
    12.5
    """

    directions: Tensor | int
    seed: int

    def __init__(self, directions: Any, *, generator: torch.Generator | None = None) -> None:
        seed = 0
        if isinstance(directions, int) and not isinstance(directions, bool):
            directions = checks.count("directions", directions)
            hint = "pass torch.Generator().manual_seed(0)"
            draw = checks.kind("generator", generator, torch.Generator, hint=hint)
            seed = int(torch.randint(2**62, (), generator=draw, device=draw.device))
        else:
            u = checks.shape("directions", checks.floats("directions", directions), ("K", "dim"))
            size = u.norm(dim=1, keepdim=True)
            if not bool((size > 0).all()):
                raise ValueError(
                    f"directions[{int(size.argmin())}] is zero; a direction has a length"
                )
            directions = u / size
        object.__setattr__(self, "directions", directions)
        object.__setattr__(self, "seed", seed)

    def _facts(self) -> dict[str, object]:
        given = self.directions
        return {"directions": given if isinstance(given, int) else len(given)}

    def lines(self, like: Tensor) -> Tensor:
        """The directions in the space of points (N, dim): unit vectors (K, dim)."""
        dim = like.shape[1]
        if isinstance(self.directions, int):
            return drawn(self.directions, dim, self.seed).to(like)
        if self.directions.shape[1] != dim:
            raise ValueError(
                f"the directions have {self.directions.shape[1]} coordinates but the atoms have {dim}; pass a number "
                "of directions, which are then drawn in any dimension"
            )
        return self.directions.to(like)

    def cost(self, state: State, base: State) -> Tensor:
        """``SW^2(state, base)``, 0-d; differentiable in the points of both, for any numbers of atoms and weights."""
        mu, nu = alike(state, base, ("state", "base"))
        u = self.lines(nu.points)
        return squares_on_lines(u @ mu.points.T, mu.weights, u @ nu.points.T, nu.weights).mean()

    def distance(self, a: State, b: State) -> Distance:
        """SW(a, b), with the cheapest of the couplings along the directions; there are no potentials."""
        mu, nu = alike(a, b)
        squared = float(self.cost(mu, nu).detach())
        x, y = as_array(mu.points), as_array(nu.points)
        none = np.empty(0), np.empty(0)
        plan = cheapest(as_array(self.lines(mu.points)), mu, nu, x, y)
        return Distance(squared, plan, none, 0.0, exact=True)


@lru_cache(maxsize=64)
def drawn(count: int, dim: int, seed: int) -> Tensor:
    """Directions from the uniform law on the sphere, (count, dim); in dimension one there is one."""
    if dim == 1:
        return torch.ones(1, 1, dtype=torch.float64, device="cpu")
    generator = torch.Generator("cpu").manual_seed(seed)
    z = torch.randn(count, dim, generator=generator, dtype=torch.float64, device="cpu")
    return z / z.norm(dim=1, keepdim=True)


def squares_on_lines(x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """``W2^2`` of ``sum a_i delta_{x_i}`` and ``sum b_j delta_{y_j}`` on K lines: x (K, N), y (K, M) to (K,).

    ``int_0^1 |F^{-1}(s) - G^{-1}(s)|^2 ds``; both quantile functions are constant between the levels of either.
    """
    x, i = x.sort(dim=1)
    y, j = y.sort(dim=1)
    if len(a) == len(b) and bool((a == a[0]).all()) and bool((b == a[0]).all()):
        return (x - y).square() @ a
    F, G = (w[k].cumsum(1) for w, k in ((a, i), (b, j)))
    F, G = F / F[:, -1:], G / G[:, -1:]
    levels = torch.cat([F, G], dim=1).sort(dim=1).values
    mass = levels.diff(dim=1, prepend=torch.zeros_like(levels[:, :1]))
    middle = levels - 0.5 * mass
    rows, cols = (torch.searchsorted(W, middle).clamp(max=W.shape[1] - 1) for W in (F, G))
    return (mass * (x.gather(1, rows) - y.gather(1, cols)).square()).sum(1)


def cheapest(lines: Array, mu: Particles, nu: Particles, x: Array, y: Array) -> Plan:
    """Of the couplings in the order along each line, the one that costs least in the whole space."""
    a, b = as_array(mu.weights), as_array(nu.weights)
    plans = [in_order(x @ u, a, y @ u, b) for u in lines]
    return min(plans, key=lambda plan: plan.cost(x, y))
