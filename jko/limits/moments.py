"""The conditional moments ``H_i(theta) = int w^i nu_theta(dw)`` of a measure on R x Theta, on a grid.

A closure says what H_{k+1} is when H_1 ... H_k are known.  Here it is written in the cumulants kappa_i of nu_theta (the
mean, the variance, the third central moment, ...):

    H_{k+1} = kappa_{k+1} + sum_{j=1..k} C(k, j-1) kappa_j H_{k+1-j}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures import ChargedDensity, GridDensity
from jko.shown import Shown
from jko.spaces import Grid


@dataclass(frozen=True, eq=False)
class Moments(Shown):
    """The density rho of the theta-marginal and the moments H_1 ... H_k of the conditional laws nu_theta.

    Parameters
    ----------
    grid : Grid
        The cells of Theta.
    values : grid.shape
        rho, with ``values.sum() * grid.cell == 1``.
    H : (k, *grid.shape)
        ``H[i - 1]`` is H_i, finite; zero is as good as any number where rho = 0.

    Raises
    ------
    ValueError
        Wrong shapes, numbers that are not finite, a density that is none.

    Notes
    -----
    Source: survey, Lemma 3.2.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedDensity(jko.Grid((0.0, 1.0), 2), [1.0, 1.0], [3.0, -2.0])
    >>> jko.limits.Moments.of_pair(pair, 2).H.tolist()  # on a graph H_i = H^i
    [[3.0, -2.0], [9.0, 4.0]]
    """

    grid: Grid
    values: Tensor
    H: Tensor

    def __init__(self, grid: Grid, values: Any, H: Any) -> None:
        rho = GridDensity(grid, values).values
        H = checks.shape("H", checks.floats("H", H, rho, "the density"), ("k", *grid.shape))
        for name, value in (("grid", grid), ("values", rho), ("H", H.detach())):
            object.__setattr__(self, name, value)

    @classmethod
    def of_pair(cls, pair: ChargedDensity, k: int = 1) -> Moments:
        """The moments of the graph of a pair: ``H_i = H^i``, i = 1 ... k."""
        checks.kind("pair", pair, ChargedDensity)
        checks.count("k", k)
        H = torch.where(pair.values > 0, pair.H, 0.0)
        return cls(pair.grid, pair.values, torch.stack([H**i for i in range(1, k + 1)]))

    @classmethod
    def from_function(
        cls,
        grid: Grid,
        density: Callable[[Tensor], Tensor],
        H: Callable[[Tensor], Tensor],
    ) -> Moments:
        """Rho proportional to ``density``, (N, d) to (N,), and the moments, (N, d) to (k, N), at the centres."""
        rho = GridDensity.from_function(grid, density)
        checks.function("H", H, hint="it maps the centres (N, d) to moments (k, N)")
        moments = checks.called("the function H", H, rho.support)
        k = len(moments) if getattr(moments, "ndim", 0) == 2 else 1
        checks.returned("the function H", moments, (k, grid.N), rho.support)
        return cls(grid, rho.values, moments.reshape(k, *grid.shape))

    def _facts(self) -> dict[str, Any]:
        return {"k": self.k} | self.grid._facts()

    def _picture(self) -> str:
        return self.rho._picture()

    @property
    def k(self) -> int:
        """How many moments there are."""
        return len(self.H)

    @cached_property
    def rho(self) -> GridDensity:
        """The density alone."""
        return GridDensity.of(self.grid, self.values)

    @property
    def pair(self) -> ChargedDensity:
        """(rho, H_1): the pair of section 2.3."""
        return ChargedDensity(self.grid, self.values, self.H[0])

    @property
    def cumulants(self) -> Tensor:
        """The cumulants kappa_1 ... kappa_k of nu_theta, (k, *grid.shape)."""
        return cumulants(self.H)


Closure = Callable[[float, Tensor, Tensor], Tensor]


def delta(t: float, at: Tensor, H: Tensor) -> Tensor:
    """The delta closure: the cumulant of order k + 1 is zero, as it is if nu_theta is a Dirac mass.

    For k = 1 it reads ``H_2 = H_1^2`` and the hierarchy is (3.30).  For k = 2 it is ``H_3 = 3 H_1 H_2 - 2 H_1^3``.

    Notes
    -----
    Every rule with ``H_{k+1} = H_1^{k+1}`` on Dirac masses may be called so.  The bare power is no choice for k > 1:
    in units of -grad N the speeds of the hierarchy are then the roots s of
    ``s^{k+1} = (k+1) H_1^k s - k H_1^{k+1}``, among them -2 H_1 for k = 2, at which no atom moves, and complex ones
    for k >= 3: ill posed.  With the cumulant, if nu_theta is normal, they are H_1 plus its standard deviation times
    the roots of the Hermite polynomial He_{k+1}.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedDensity(jko.Grid((0.0, 1.0), 4), [1.0] * 4, [1.0] * 4)
    >>> run = jko.limits.hierarchy(jko.SquaredNorm(), pair, t1=0.1, closure=jko.limits.delta)
    >>> float(run.times[-1])
    0.1
    """
    H = checks.tensor("H", H)
    if H.numel() == 0 or H.ndim == 0:
        raise ValueError(f"H has shape {tuple(H.shape)}; it must have shape (k, ...), k moments")
    return closed(H, torch.zeros_like(H[0]))


@dataclass(frozen=True)
class Measured(Shown):
    """The closure by a measured moment: ``cumulant(t, at)`` is kappa_{k+1}(t, theta) at points (n, d), shape (n,).

    For k = 1 that is the variance of nu_theta, ``H_2 = H_1^2 + variance``.  What is measured is how far H_{k+1} is from
    the delta closure, not H_{k+1} itself: the equations with H_{k+1} itself have complex speeds for k = 2.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedDensity(jko.Grid((0.0, 1.0), 4), [1.0] * 4, [1.0] * 4)
    >>> zero = jko.limits.Measured(lambda t, at: 0 * at[:, 0])  # what the delta closure says
    >>> float(jko.limits.hierarchy(jko.SquaredNorm(), pair, t1=0.1, closure=zero).times[-1])
    0.1
    """

    cumulant: Callable[[float, Tensor], Tensor]

    def __call__(self, t: float, at: Tensor, H: Tensor) -> Tensor:
        """H_{k+1}, shape (n,)."""
        kappa = self.cumulant(t, at)
        return closed(H, checks.returned("the cumulant", kappa, (len(at),), at))


def cumulants(H: Tensor) -> Tensor:
    """Cumulants kappa_1 ... kappa_k from moments H_1 ... H_k along the first axis."""
    kappa: list[Tensor] = []
    for n in range(1, len(H) + 1):
        lower = (comb(n - 1, j - 1) * kappa[j - 1] * H[n - j - 1] for j in range(1, n))
        kappa.append(H[n - 1] - sum(lower, torch.zeros_like(H[0])))
    return torch.stack(kappa)


def moments(kappa: Tensor) -> Tensor:
    """Moments H_1 ... H_k from cumulants kappa_1 ... kappa_k along the first axis."""
    H = [torch.ones_like(kappa[0])]
    for n in range(1, len(kappa) + 1):
        terms = (comb(n - 1, j - 1) * kappa[j - 1] * H[n - j] for j in range(1, n + 1))
        H.append(sum(terms, torch.zeros_like(kappa[0])))
    return torch.stack(H[1:])


def closed(H: Tensor, cumulant: Tensor) -> Tensor:
    """H_{k+1} from H_1 ... H_k and the cumulant of order k + 1."""
    return moments(torch.cat([cumulants(H), cumulant[None]]))[-1]
