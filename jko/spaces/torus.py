"""Boxes some of whose sides are glued together: circles, tori, channels that come round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.spaces.domains import Box, Domain


@dataclass(frozen=True, eq=False)
class Torus(Domain):
    """The box ``prod [lower_i, upper_i)`` where what leaves at the upper end of a periodic axis comes in at its lower.

    Atoms are kept in the box, :meth:`wrapped`; a step may carry them across the seam.  The distance of two points is
    the length of :meth:`shortest` way between them, ``|x - y|_T^2 = min over whole k of |x - y + k P|^2`` with the
    periods P, and W2 is that of this cost.

    Parameters
    ----------
    lower, upper
        Numbers or sequences of length dim; finite along periodic axes.
    periodic
        Which axes come round: a bool, or one for each axis; the others have walls, which may be at -inf and +inf.

    Notes
    -----
    :meth:`project` is that of the covering space: along a periodic axis it moves nothing, since no place is outside.

    Examples
    --------
    >>> import jko
    >>> circle = jko.spaces.Torus(0.0, 1.0)
    >>> mu, nu = (jko.Particles([[x]], domain=circle) for x in (0.125, 1.75))
    >>> nu.points.tolist(), jko.distance(mu, nu).value
    ([[0.75]], 0.375)
    """

    lower: Tensor
    upper: Tensor
    periodic: tuple[bool, ...]
    _bare = 2

    def __init__(self, lower: Any, upper: Any, periodic: bool | Sequence[bool] = True) -> None:
        box = Box(lower, upper)
        flags = checks.flags("periodic", periodic, box.dim)
        length = box.upper - box.lower
        for k, (wraps, size) in enumerate(zip(flags, length.tolist(), strict=True)):
            if wraps and not math.isfinite(size):
                raise ValueError(
                    f"axis {k} is periodic and has no end: lower {float(box.lower[k]):g}, upper "
                    f"{float(box.upper[k]):g}; give both, or say which axes come round: periodic=(True, False)"
                )
        for name, value in (("lower", box.lower), ("upper", box.upper), ("periodic", flags)):
            object.__setattr__(self, name, value)

    def _facts(self) -> dict[str, Any]:
        facts = {"lower": self.lower.tolist(), "upper": self.upper.tolist()}
        return facts if all(self.periodic) else facts | {"periodic": self.periodic}

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of coordinates."""
        return len(self.lower)

    @property
    def extent(self) -> float:  # type: ignore[override]
        """The largest finite bound, in size; 1 where there is none but zero."""
        return self.box.extent

    @property
    def box(self) -> Box:
        """The box itself, with walls on all sides."""
        return Box(self.lower, self.upper)

    @property
    def walls(self) -> Box:
        """The box that the coordinates with walls are held in; the others are free."""
        round_, free = torch.tensor(self.periodic), torch.full_like(self.lower, torch.inf)
        return Box(torch.where(round_, -free, self.lower), torch.where(round_, free, self.upper))

    @property
    def periods(self) -> tuple[float, ...]:  # type: ignore[override]
        """Lengths of the axes that come round, inf for the others."""
        lengths = (self.upper - self.lower).tolist()
        found = tuple(p if w else math.inf for p, w in zip(lengths, self.periodic, strict=True))
        return found if any(self.periodic) else ()

    def project(self, points: Tensor) -> Tensor:
        """Clamp the coordinates that have walls."""
        return self.walls.project(points)

    def wrapped(self, points: Tensor) -> Tensor:
        """The same places in the box; those inside are not touched."""
        lower, upper = self.lower.to(points), self.upper.to(points)
        inside = (points >= lower) & (points < upper) | ~self._comes_round(points)
        if bool(inside.all()):
            return points
        length = torch.where(self._comes_round(points), upper - lower, 1.0)
        turned = points - length * ((points - lower) / length).floor()
        return torch.where(inside, points, torch.where(turned < upper, turned, lower))

    def shortest(self, moves: Tensor) -> Tensor:
        """The shortest of all moves between the same two places: of half a period at most along periodic axes."""
        round_ = self._comes_round(moves)
        length = torch.where(round_, self.upper.to(moves) - self.lower.to(moves), 1.0)
        return torch.where(round_, moves - length * (moves / length).detach().round(), moves)

    def _comes_round(self, like: Tensor) -> Tensor:
        return torch.tensor(self.periodic, device=like.device)


def same_domain(p: Domain | None, q: Domain | None) -> bool:
    """Whether two domains are one, or both are none.

    Examples
    --------
    >>> import jko
    >>> jko.spaces.same_domain(jko.Box(0.0, 1.0), jko.Box(0.0, 1.0))
    True
    """
    if isinstance(p, (Box, Torus)) and isinstance(q, type(p)):
        same = torch.equal(p.lower, q.lower) and torch.equal(p.upper, q.upper)
        return same and p.periods == q.periods
    return p is q
