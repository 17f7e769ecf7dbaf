"""Where the mass may be: closed convex sets, given by their projections, and boxes cut into cells.

The no-flux condition (3.11) says that mass does not leave Theta.  On atoms it is a constraint on every atom of
the minimisation inside a step, and all that a solver needs of the set is the nearest-point projection.  On a
:class:`Grid` no face of the boundary carries a flux.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from jko import checks

T = TypeVar("T")


class cached(cached_property[T]):  # noqa: N801 (a decorator, like its base)
    """A cached property whose tensors are ordinary ones, even if first asked for in ``torch.inference_mode``."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        """The value, computed once."""
        if not torch.is_inference_mode_enabled():
            return super().__get__(instance, owner)
        with torch.inference_mode(False), torch.no_grad():
            return super().__get__(instance, owner)


def lengths(vectors: Tensor) -> Tensor:
    """Euclidean lengths of rows (N, dim), shape (N,), without overflow: each row is scaled by a power of two."""
    size = vectors.detach().abs().amax(-1)
    size = torch.where(size > 0, size, 1.0)
    unit = size / torch.frexp(size).mantissa
    return unit * (vectors / unit[:, None]).norm(dim=-1)


class Domain(ABC):
    """A closed convex set K in R^dim.

    Contract: ``project(points)`` maps (N, dim) to the nearest points of K and leaves points of K where they are.
    """

    dim: int | None = None
    extent: float = 1.0  # the size of K: what rounding is judged against

    @abstractmethod
    def project(self, points: Tensor) -> Tensor:
        """Nearest points of K, shape (N, dim)."""

    def distance(self, points: Tensor) -> Tensor:
        """Euclidean distance to K, shape (N,)."""
        return lengths(points - self.project(points))

    def check(self, name: str, points: Tensor) -> None:
        """Refuse points outside K, beyond rounding."""
        if self.dim is not None and points.shape[-1] != self.dim:
            raise ValueError(
                f"{name} have {points.shape[-1]} coordinates but the domain {self!r} has dim {self.dim}"
            )
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

    def __init__(self, lower: Any, upper: Any) -> None:
        lower, upper = (
            torch.atleast_1d(checks.owned(name, bound, infinite=True)).to(torch.float64)
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

    def __repr__(self) -> str:
        return f"Box({self.lower.tolist()}, {self.upper.tolist()})"

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
    """The closed ball of given ``centre`` (dim,) and ``radius`` > 0."""

    centre: Tensor
    radius: float

    def __init__(self, centre: Any, radius: float) -> None:
        centre = torch.atleast_1d(checks.owned("centre", centre))
        object.__setattr__(self, "centre", checks.shape("centre", centre, ("dim",)))
        object.__setattr__(self, "radius", checks.number("radius", radius, above=0))

    def __repr__(self) -> str:
        return f"Ball({self.centre.tolist()}, {self.radius:g})"

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
    """Any closed convex set, given by ``projection``: (N, dim) -> (N, dim)."""

    projection: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        checks.function("projection", self.projection, hint="it maps (N, dim) to nearest points")

    def project(self, points: Tensor) -> Tensor:
        """Call the given projection."""
        return checks.returned(
            "the projection of the domain", self.projection(points), tuple(points.shape), points
        )


@dataclass(frozen=True, eq=False)
class Cylinder(Domain):
    """R x Theta: the domain Omega of xi = (w, theta) when theta lives in ``base``."""

    base: Domain

    def __post_init__(self) -> None:
        checks.kind("base", self.base, Domain, hint="use jko.Box, jko.Ball or jko.Convex")

    @property
    def extent(self) -> float:  # type: ignore[override]
        """That of Theta."""
        return self.base.extent

    @property
    def dim(self) -> int | None:  # type: ignore[override]
        """One more than Theta."""
        return None if self.base.dim is None else self.base.dim + 1

    def project(self, points: Tensor) -> Tensor:
        """Leave w alone, project theta."""
        return torch.cat([points[..., :1], self.base.project(points[..., 1:])], dim=-1)


def check_inside(name: str, points: Tensor, domain: Domain | None) -> None:
    """Refuse what is no domain, and points (N, dim) outside it; None is the whole space."""
    if domain is not None:
        hint = "use jko.Box, jko.Ball or jko.Convex(projection)"
        checks.kind("domain", domain, Domain, hint=hint).check(name, points)


def cylinder(base: Domain | None) -> Domain | None:
    """R x base: a box stays a box."""
    if isinstance(base, Box):
        line = torch.full((1,), torch.inf, dtype=torch.float64, device=base.lower.device)
        return Box(torch.cat([-line, base.lower]), torch.cat([line, base.upper]))
    return None if base is None else Cylinder(base)


def base_of(domain: Domain | None) -> Domain | None:
    """Theta of R x Theta: the inverse of :func:`cylinder`."""
    if isinstance(domain, Cylinder):
        return domain.base
    if isinstance(domain, Box) and domain.dim > 1:
        return Box(domain.lower[1:], domain.upper[1:])
    if domain is None:
        return None
    raise ValueError(
        f"{domain!r} is not of the form R x Theta, so it has no projection to Theta; use jko.Cylinder"
    )


@dataclass(frozen=True)
class Grid:
    """A box in R^d, d = 1, 2, 3, cut into equal cells.

    Parameters
    ----------
    bounds
        ``((lower, upper), ...)``, one pair for each axis, or one pair for all of them.
    shape
        Numbers of cells along the axes; a single number means d = 1.

    Attributes
    ----------
    spacing : tuple of d floats
        Widths of a cell.
    cell : float
        Its volume.
    centres : (N, d)
        Centres of the cells, the last axis fastest (C order).

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((0.0, 1.0), (4, 2))
    >>> grid.N, grid.spacing, grid.centres[1].tolist()
    (8, (0.25, 0.5), [0.125, 0.75])
    """

    bounds: tuple[tuple[float, float], ...]
    shape: tuple[int, ...]

    def __init__(self, bounds: Sequence[Any], shape: int | Sequence[int]) -> None:
        cells = tuple(shape) if isinstance(shape, Sequence) else (shape,)
        if not 1 <= len(cells) <= 3:
            raise ValueError(f"shape has {len(cells)} axes; a grid has d = 1, 2 or 3")
        counts = checks.size(**{f"shape[{k}]": n for k, n in enumerate(cells)})
        pairs = checks.floats("bounds", bounds)
        if pairs.ndim == 1:
            pairs = pairs.expand(len(cells), -1)
        checks.shape("bounds", pairs, (len(cells), 2))
        box = Box(pairs[:, 0], pairs[:, 1])
        ends = zip(box.lower.tolist(), box.upper.tolist(), strict=True)
        object.__setattr__(self, "bounds", tuple(ends))
        object.__setattr__(self, "shape", counts)
        self._check_cells()

    def _check_cells(self) -> None:
        """Refuse cells that rounding cannot tell apart, and volumes out of range."""
        for (a, b), h, n in zip(self.bounds, self.spacing, self.shape, strict=True):
            if not h > 4 * math.ulp(max(abs(a), abs(b))):
                raise ValueError(
                    f"{n} cells on [{a:g}, {b:g}] have width {h:g}, which rounding cannot tell from 0 there; "
                    "use fewer cells, or shift the origin"
                )
        volume = math.prod(self.spacing)
        if not checks.SMALLEST <= volume <= checks.LARGEST:
            raise ValueError(
                f"the cells have volume {volume:g}; it must lie between {checks.SMALLEST:g} and {checks.LARGEST:g}: "
                "choose other units"
            )

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def N(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @cached
    def spacing(self) -> tuple[float, ...]:
        """Widths of a cell."""
        return tuple((b - a) / n for (a, b), n in zip(self.bounds, self.shape, strict=True))

    @cached
    def cell(self) -> float:
        """Volume of a cell."""
        return math.prod(self.spacing)

    @cached
    def box(self) -> Box:
        """The box."""
        lower, upper = zip(*self.bounds, strict=True)
        return Box(lower, upper)

    @cached
    def axes(self) -> tuple[Tensor, ...]:
        """Centres along each axis, tensors of lengths ``shape``."""
        return tuple(
            a + h * (torch.arange(n, dtype=torch.float64, device="cpu") + 0.5)
            for (a, _), h, n in zip(self.bounds, self.spacing, self.shape, strict=True)
        )

    @cached
    def faces(self) -> tuple[Tensor, ...]:
        """Ends of the cells along each axis, tensors of lengths n + 1."""
        return tuple(
            torch.linspace(a, b, n + 1, dtype=torch.float64, device="cpu")
            for (a, b), n in zip(self.bounds, self.shape, strict=True)
        )

    @cached
    def centres(self) -> Tensor:
        """Centres of the cells, (N, d)."""
        return torch.stack(torch.meshgrid(*self.axes, indexing="ij"), dim=-1).reshape(-1, self.dim)
