"""Where the mass may be: closed convex sets, given by their projections.

The no-flux condition (3.11) says that mass does not leave Theta.  On atoms it is a constraint on every atom of
the minimisation inside a step, and all that a solver needs of the set is the nearest-point projection.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.shown import Shown


def lengths(vectors: Tensor) -> Tensor:
    """Euclidean lengths of rows (N, dim), shape (N,), without overflow: each row is scaled by a power of two."""
    size = vectors.detach().abs().amax(-1)
    size = torch.where(size > 0, size, 1.0)
    unit = size / torch.frexp(size).mantissa
    return unit * (vectors / unit[:, None]).norm(dim=-1)


class Domain(Shown, ABC):
    """A closed convex set K in R^dim.

    Contract: ``project(points)`` maps (N, dim) to the nearest points of K and leaves points of K where they are.

    Examples
    --------
    >>> import jko, torch
    >>> half = jko.spaces.Convex(lambda x: x.clamp(min=0))
    >>> isinstance(half, jko.Domain), half.project(torch.tensor([[-1.0, 2.0]])).tolist()
    (True, [[0.0, 2.0]])
    """

    remedy = "use jko.Box, jko.Ball or jko.spaces.Convex(projection)"
    dim: int | None = None
    extent: float = 1.0  # the size of K: what rounding is judged against
    periods: tuple[
        float, ...
    ] = ()  # of the coordinates, inf for those that do not come round; (): none does

    @abstractmethod
    def project(self, points: Tensor) -> Tensor:
        """Nearest points of K, shape (N, dim)."""

    def distance(self, points: Tensor) -> Tensor:
        """Euclidean distance to K, shape (N,)."""
        return lengths(points - self.project(points))

    def wrapped(self, points: Tensor) -> Tensor:
        """Where points (N, dim) stand in K, if some coordinates come round: :class:`jko.spaces.Torus`."""
        return points

    def shortest(self, moves: Tensor) -> Tensor:
        """The shortest moves (..., dim) between the same places."""
        return moves

    def check(self, name: str, points: Tensor) -> None:
        """Refuse points outside K, beyond rounding."""
        if self.dim is not None and points.shape[-1] != self.dim:
            raise ValueError(
                f"{name} have {points.shape[-1]} coordinates but the domain {self!r} has dim {self.dim}"
            )
        points = points.detach()
        outside = self.distance(points)
        rounding = 64 * torch.finfo(points.dtype).eps * (self.extent + points.abs().amax(-1))
        if not bool((outside <= rounding).all()):
            i = int(outside.argmax())
            raise ValueError(
                f"{int((~(outside <= rounding)).sum())} of the {name} lie outside the domain {self!r}, the furthest by "
                f"{float(outside[i]):g} (row {i}); project them first: domain.project(points)"
            )


@dataclass(frozen=True, eq=False)
class Box(Domain):
    """The box ``prod [lower_i, upper_i]``; bounds may be -inf and +inf.

    Parameters
    ----------
    lower, upper
        Numbers or sequences of length dim.

    Examples
    --------
    >>> import jko
    >>> jko.Box([0.0, -1.0], [1.0, float("inf")]).dim
    2
    """

    lower: Tensor
    upper: Tensor
    _bare = 2

    def __init__(self, lower: Any, upper: Any) -> None:
        lower, upper = (
            torch.atleast_1d(checks.unrecorded(name, bound, infinite=True)).to(torch.float64)
            for name, bound in (("lower", lower), ("upper", upper))
        )
        checks.alike("upper", upper, "lower", lower)
        if lower.shape != upper.shape or lower.ndim != 1 or lower.numel() == 0:
            raise ValueError(
                f"lower has shape {tuple(lower.shape)} and upper {tuple(upper.shape)}; both need shape (dim,), dim >= 1"
            )
        if not bool((lower < upper).all()):
            i = int((lower < upper).to(torch.int8).argmin())
            raise ValueError(
                f"lower[{i}] = {lower[i]:g} and upper[{i}] = {upper[i]:g}; a box needs lower < upper"
            )
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    def _facts(self) -> dict[str, Any]:
        return {"lower": self.lower.tolist(), "upper": self.upper.tolist()}

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of coordinates."""
        return len(self.lower)

    @property
    def extent(self) -> float:  # type: ignore[override]
        """The largest finite bound, in size; 1 where there is none but zero."""
        bounds = torch.cat([self.lower, self.upper]).abs()
        finite = bounds[torch.isfinite(bounds) & (bounds > 0)]
        return float(finite.max()) if len(finite) else 1.0

    def project(self, points: Tensor) -> Tensor:
        """Clamp every coordinate."""
        return points.clamp(self.lower.to(points), self.upper.to(points))


@dataclass(frozen=True, eq=False)
class Ball(Domain):
    """The closed ball of given ``centre`` (dim,) and ``radius`` > 0.

    Examples
    --------
    >>> import jko, torch
    >>> jko.Ball([0.0, 0.0], 5.0).project(torch.tensor([[6.0, 8.0]]).double()).tolist()
    [[3.0, 4.0]]
    """

    centre: Tensor
    radius: float
    _bare = 2

    def __init__(self, centre: Any, radius: float) -> None:
        centre = torch.atleast_1d(checks.unrecorded("centre", centre))
        object.__setattr__(self, "centre", checks.shape("centre", centre, ("dim",)))
        object.__setattr__(self, "radius", checks.number("radius", radius, above=0))

    def _facts(self) -> dict[str, Any]:
        return {"centre": self.centre.tolist(), "radius": self.radius}

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of coordinates."""
        return len(self.centre)

    @property
    def extent(self) -> float:  # type: ignore[override]
        """How far the ball reaches from the origin, along an axis."""
        return float(self.centre.abs().amax()) + self.radius

    def project(self, points: Tensor) -> Tensor:
        """Scale radially where the distance to the centre exceeds the radius."""
        out = points - self.centre.to(points)
        norm = lengths(out)[:, None]
        return torch.where(
            norm > self.radius, self.centre.to(points) + out * (self.radius / norm), points
        )


@dataclass(frozen=True, eq=False)
class Convex(Domain):
    """Any closed convex set, given by ``projection``: (N, dim) -> (N, dim).

    Examples
    --------
    >>> import jko
    >>> simplex_side = jko.spaces.Convex(lambda x: x - (x.sum(-1, keepdim=True) - 1) / x.shape[1])
    >>> mu = jko.Particles([[0.5, 0.5]], domain=simplex_side)
    >>> jko.step(jko.Potential(lambda x: x[:, 0]), mu, tau=0.2).state.points.sum().round(
    ...     decimals=6
    ... ).item()
    1.0
    """

    projection: Callable[[Tensor], Tensor]
    _bare = 1

    def __post_init__(self) -> None:
        checks.function("projection", self.projection, hint="it maps (N, dim) to nearest points")

    def project(self, points: Tensor) -> Tensor:
        """Call the given projection."""
        return checks.returned(
            "the projection of the domain", self.projection(points), tuple(points.shape), points
        )


def projected(points: Tensor, domain: Domain | None) -> Tensor:
    """The nearest points (N, dim) of a domain; None is the whole space.

    Examples
    --------
    >>> import torch
    >>> from jko import spaces
    >>> spaces.projected(torch.tensor([[2.0]]).double(), spaces.Box([0.0], [1.0])).tolist()
    [[1.0]]
    """
    return points if domain is None else domain.project(points)


def wrapped(points: Tensor, domain: Domain | None) -> Tensor:
    """Where points (N, dim) stand in a domain that comes round; in any other, and in the whole space, where they are.

    Examples
    --------
    >>> import torch
    >>> from jko import spaces
    >>> spaces.wrapped(torch.tensor([[2.25]]).double(), spaces.Torus(0.0, 1.0)).tolist()
    [[0.25]]
    """
    return points if domain is None or not domain.periods else domain.wrapped(points)


def wraps(domain: Domain | None) -> bool:
    """Whether some coordinate of a domain comes round.

    Examples
    --------
    >>> from jko import spaces
    >>> spaces.wraps(spaces.Torus(0.0, 1.0)), spaces.wraps(spaces.Box(0.0, 1.0)), spaces.wraps(None)
    (True, False, False)
    """
    return domain is not None and bool(domain.periods)


def refuse_wrapped(what: str, *domains: Domain | None) -> None:
    """ValueError where a domain comes round, for what knows straight lines alone.

    Examples
    --------
    >>> from jko import spaces
    >>> spaces.refuse_wrapped("this metric", spaces.Box(0.0, 1.0), None)
    """
    for domain in filter(wraps, domains):
        raise ValueError(
            f"{what} knows straight lines alone, and not that {domain!r} comes round; use walls (a jko.Box, a jko.Grid "
            "without periodic=True) for measures that stay away from the seam"
        )


def check_inside(name: str, points: Tensor, domain: Domain | None) -> None:
    """Refuse what is no domain, and points (N, dim) outside it; None is the whole space.

    Examples
    --------
    >>> import torch
    >>> from jko import spaces
    >>> spaces.check_inside("points", torch.tensor([[0.5]]).double(), spaces.Box([0.0], [1.0]))
    """
    if domain is not None:
        checks.kind("domain", domain, Domain).check(name, points)
