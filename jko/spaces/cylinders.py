"""R x Theta, where the lifts of pairs live, and back to Theta."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jko import checks
from jko.spaces.domains import Box, Domain


@dataclass(frozen=True, eq=False)
class Cylinder(Domain):
    """R x Theta: the domain Omega of xi = (w, theta) when theta lives in ``base``.

    Examples
    --------
    >>> import jko, torch
    >>> omega = jko.spaces.Cylinder(jko.Ball([0.0], 1.0))  # w is free, theta is in the ball
    >>> omega.project(torch.tensor([[5.0, 3.0]]).double()).tolist()
    [[5.0, 1.0]]
    """

    _bare = 1
    base: Domain

    def __post_init__(self) -> None:
        checks.kind("base", self.base, Domain)

    @property
    def extent(self) -> float:  # type: ignore[override]
        """That of Theta."""
        return self.base.extent

    @property
    def dim(self) -> int | None:  # type: ignore[override]
        """One more than Theta."""
        return None if self.base.dim is None else self.base.dim + 1

    @property
    def periods(self) -> tuple[float, ...]:  # type: ignore[override]
        """Those of Theta; w does not come round."""
        return (math.inf, *self.base.periods) if self.base.periods else ()

    def project(self, points: Tensor) -> Tensor:
        """Leave w alone, project theta."""
        return torch.cat([points[..., :1], self.base.project(points[..., 1:])], dim=-1)

    def wrapped(self, points: Tensor) -> Tensor:
        """Leave w alone, wrap theta."""
        return torch.cat([points[..., :1], self.base.wrapped(points[..., 1:])], dim=-1)

    def shortest(self, moves: Tensor) -> Tensor:
        """Those of theta."""
        return torch.cat([moves[..., :1], self.base.shortest(moves[..., 1:])], dim=-1)


def cylinder(base: Domain | None) -> Domain | None:
    """R x base: a box stays a box.

    Examples
    --------
    >>> from jko import spaces
    >>> spaces.cylinder(spaces.Box([0.0], [1.0])), spaces.cylinder(None)
    (Box([-inf, 0], [inf, 1]), None)
    """
    if isinstance(base, Box):
        line = torch.full((1,), torch.inf, dtype=torch.float64, device=base.lower.device)
        return Box(torch.cat([-line, base.lower]), torch.cat([line, base.upper]))
    return None if base is None else Cylinder(base)


def base_of(domain: Domain | None) -> Domain | None:
    """Theta of R x Theta: the inverse of :func:`cylinder`.

    Examples
    --------
    >>> from jko import spaces
    >>> theta = spaces.Ball([0.0], 1.0)
    >>> spaces.base_of(spaces.cylinder(theta)) is theta
    True
    """
    if isinstance(domain, Cylinder):
        return domain.base
    if isinstance(domain, Box) and domain.dim > 1:
        return Box(domain.lower[1:], domain.upper[1:])
    if domain is None:
        return None
    raise ValueError(
        f"{domain!r} is not of the form R x Theta, so it has no projection to Theta; use jko.spaces.Cylinder"
    )
