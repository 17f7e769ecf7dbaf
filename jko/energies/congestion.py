"""Congestion: densities that may not pass a limit, as people in a crowd.

It is the limit m -> inf of ``1/(m (m - 1)) int (rho / limit)^m``, and the one internal energy here that is not strictly
convex, so that prices do not determine densities: solvers read its ``ceiling`` and treat it by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko import checks
from jko.energies.internal import Conjugate, Internal

ABOVE = 1e-8  # relative: so far above the limit a density may be by rounding
EPSILONS = 16  # and so many times the rounding of its numbers


@dataclass(frozen=True)
class Congestion(Internal):
    """0 where ``rho <= limit`` everywhere, else +inf: crowd motion. Any positive multiple of it is the same.

    With a potential V, its flow is ``d_t rho = div(rho grad (V + p))`` with a pressure p >= 0 that is 0 where the
    density is below the limit; a step alone is the projection in W2 onto the densities below the limit.  The pressure
    is no function of the density: a step finds it, and ``result.pressure`` is that field.

    ``U*(p) = limit p_+`` has a kink at 0, where every density up to the limit is a maximiser; ``density`` takes the
    least, 0.  In a sum with energies that are strictly convex, ``(U*)'`` is theirs, cut off at the limit.

    Parameters
    ----------
    limit : float
        Largest mass per unit volume, > 0; the box must have a volume of at least 1 / limit outside of obstacles.
        A density above it by no more than 1e-8, relative, has the energy 0.

    Raises
    ------
    ValueError
        A limit that is not positive and finite.

    Notes
    -----
    Source: Maury, Roudneff-Chupin, Santambrogio, Math. Models Methods Appl. Sci. 20 (2010).

    Examples
    --------
    A crowd at rest in a corner of the room that has V = x:

    >>> import jko
    >>> from jko.energies import Congestion
    >>> E = jko.Potential(lambda x: x[:, 0]) + Congestion(2.0)
    >>> rho = jko.GridDensity.from_function(jko.Grid((0.0, 1.0), 16), lambda x: 1 + 0 * x[:, 0])
    >>> run = jko.flow(E, rho, tau=0.5, steps=4)
    >>> [round(value, 6) for value in run.final.values.tolist()] == [2.0] * 8 + [0.0] * 8
    True
    """

    limit: float

    def __post_init__(self) -> None:
        checks.number("limit", self.limit, above=0)

    @property
    def ceiling(self) -> float:  # type: ignore[override]
        """The limit."""
        return float(self.limit)

    def U(self, rho: Tensor) -> Tensor:
        """0 up to the limit, +inf above."""
        return torch.where(self._above(rho), torch.inf, torch.zeros_like(rho))

    def slope(self, rho: Tensor) -> Tensor:
        """0 up to the limit, where it is the least of all slopes, +inf above."""
        return self.U(rho)

    def density(self, p: Tensor) -> Tensor:
        """The limit for p > 0, else 0."""
        return torch.where(p > 0, self.limit, torch.zeros_like(p))

    def density_slope(self, p: Tensor) -> Tensor:
        """0, at the kink too."""
        return torch.zeros_like(p)

    def pressure(self, rho: Tensor) -> Tensor:
        """0 up to the limit, where it is the least of all pressures, +inf above."""
        return self.U(rho)

    def stiffness(self, rho: Tensor) -> Tensor:
        """0 below the limit, +inf from there."""
        return torch.where(rho < self.limit, torch.zeros_like(rho), torch.inf)

    def conjugate(self, p: Tensor) -> Conjugate:
        """``limit p_+``."""
        return Conjugate(self.limit * p.clamp(min=0), self.density(p), self.density_slope(p))

    def of_log(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """The slope and 0."""
        return self.slope(s.exp()), torch.zeros_like(s)

    def _above(self, rho: Tensor) -> Tensor:
        return rho > self.limit * (1 + max(ABOVE, EPSILONS * torch.finfo(rho.dtype).eps))
