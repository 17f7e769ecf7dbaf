"""Branch and bound over theta: the global minimum of psi, with proof, in a few dimensions.

Two bounds hold in a box: one of second order around its centre, from the Hessian there and a bound on how fast it
changes, and one from the range of c_g, since v is least at an end of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.duality.minima import Minima
from jko.duality.reduced import ReducedEnvelope, first_rows
from jko.spaces import Box

BOXES = 300_000  # in all
WORK = 3e7  # boxes times data
CHUNK = 2**21  # boxes times data at a time
WIDTH = 1e-12  # of the enclosure, relative
MISSED = 1e-9  # relative: what is lower than the known minima by more was missed
BALLS = 4  # minimisers of a block around which psi is proved convex


def branch_and_bound(
    reduced: ReducedEnvelope, minima: Minima
) -> tuple[Tensor, bool, tuple[Tensor, Tensor] | None]:
    """Lower bounds (N,) on min psi for the blocks of ``reduced``.

    A box is dropped when psi is proved no lower in it than the best value known, or inside a ball around a known
    minimiser where psi is proved convex; the others are cut in 2^d.  Also returned: whether the bounds are within WIDTH
    of the minima, and points lower than all of ``minima`` with their blocks, if there are.
    """
    known = minima.lowest[reduced.block]
    best, width = known.clone(), WIDTH * (1 + known.abs())
    balls = Balls.around(reduced, minima)
    floor = torch.minimum(known, balls.floor)  # of what was dropped
    i, centre, half = _first_boxes(reduced, best)
    where = centre.clone()
    M = sum(len(part) for *_, part in reduced.slopes.parts)
    rows, left = max(1, CHUNK // M), min(BOXES, WORK / M)
    while len(i) and len(i) <= left and bool(torch.isfinite(half).all()):
        left -= len(i)
        pieces = zip(i.split(rows), centre.split(rows), half.split(rows), strict=True)
        parts = [_bounds(reduced, *piece) for piece in pieces]
        lower, value = (torch.cat(column) for column in zip(*parts, strict=True))
        better = value < best[i]
        best.scatter_reduce_(0, i, value, "amin")
        better &= value == best[i]
        where[i[better]] = centre[better]
        keep = ~balls.contain(i, centre, half)
        if reduced.domain is not None:
            keep &= reduced.domain.distance(centre) <= half.norm(dim=1)
        dropped = keep & (lower >= best[i] - width[i])
        floor.scatter_reduce_(0, i[dropped], lower[dropped], "amin")
        keep &= ~dropped
        i, centre, half = _cut(i[keep], centre[keep], half[keep])
    floor[i] = -torch.inf  # what is left undecided
    lowest = minima.lowest.clone().scatter_reduce_(
        0, reduced.block, torch.minimum(floor, best), "amin"
    )
    missed = torch.nonzero(best < known - MISSED * (1 + known.abs())).flatten()
    n = torch.arange(len(where), device=where.device)
    points = torch.cat([reduced.psi(where, n)[3].reshape(len(where), -1), where], dim=1)
    return lowest, not len(i), (points[missed], reduced.block[missed]) if len(missed) else None


def _bounds(
    reduced: ReducedEnvelope, i: Tensor, centre: Tensor, half: Tensor
) -> tuple[Tensor, Tensor]:
    """A lower bound on psi in each box, and its value at the centre (inf outside the domain)."""
    value, gradient, least, w, c, slope = reduced.psi(centre, i)
    C1, C2, C3 = reduced.slopes.near(centre, half)
    radius = half.norm(dim=1)
    far = reduced.beside(radius)
    swing = torch.minimum(
        (slope.abs() * reduced.beside(half)).sum(-1) + 0.5 * C2 * far**2, C1 * far
    )  # of c in the box
    # second order: psi >= value + gradient . d + (least eigenvalue - Lipschitz |d| / 3) |d|^2 / 2
    lipschitz = reduced.third(i, w, swing, (C1, C2, C3))
    curvature = torch.linalg.eigvalsh(least)[:, 0] - lipschitz * radius / 3
    second = value + _least(gradient, curvature[:, None], half)
    # range: v is concave, so it is least at an end of the range of c; the rest is quadratic
    k, theta = reduced.k, centre
    C0 = reduced.bound(reduced.slopes.everywhere[0])[i]
    ends = [reduced.best_w((c + s * swing).clamp(-C0, C0), i)[1] for s in (-1, 1)]
    rest = (0.5 * k * theta**2 - reduced.beta[i] * theta).sum(1) + reduced.constant[i]
    first = (
        reduced.total(torch.minimum(*ends))
        + rest
        + _least(k * theta - reduced.beta[i], torch.full_like(theta, k), half)
    )
    if reduced.domain is not None:
        outside = reduced.domain.distance(centre) > 0
        value = torch.where(outside, torch.inf, value)
    return torch.maximum(first, second), value


def _least(gradient: Tensor, curvature: Tensor, half: Tensor) -> Tensor:
    """min over |d_j| <= half_j of ``sum_j gradient_j d_j + curvature d_j^2 / 2``."""
    stationary = (-gradient / curvature.clamp(min=1e-300)).clamp(-half, half)
    d = torch.where(curvature > 0, stationary, -half * torch.where(gradient < 0, -1.0, 1.0))
    return (gradient * d + 0.5 * curvature * d * d).sum(1)


def _first_boxes(reduced: ReducedEnvelope, best: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One box for each problem, outside of which the quadratic part alone exceeds the best value."""
    n = torch.arange(len(reduced.a), device=best.device)
    lower, upper = (torch.full_like(reduced.beta, end) for end in (-torch.inf, torch.inf))
    if reduced.k > 0:
        C0 = reduced.bound(reduced.slopes.everywhere[0])
        v = reduced.total(torch.minimum(reduced.best_w(C0, n)[1], reduced.best_w(-C0, n)[1]))
        middle = reduced.beta / reduced.k
        square = 2 / reduced.k * (best - v - reduced.constant) + (middle * middle).sum(1)
        radius = 1e-9 + (1 + 1e-9) * square.clamp(min=0).sqrt()[:, None]
        lower, upper = middle - radius, middle + radius
    if isinstance(reduced.domain, Box):
        lower = torch.maximum(lower, reduced.domain.lower.to(lower))
        upper = torch.minimum(upper, reduced.domain.upper.to(upper)).maximum(lower)
    return n, 0.5 * (lower + upper), 0.5 * (upper - lower)


def _cut(i: Tensor, centre: Tensor, half: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each box in 2^d."""
    d = centre.shape[1]
    signs = torch.cartesian_prod(*[centre.new_tensor([-0.5, 0.5])] * d).reshape(-1, d)
    pieces = (centre[:, None, :] + signs * half[:, None, :]).reshape(-1, d)
    return i.repeat_interleave(len(signs)), pieces, 0.5 * half.repeat_interleave(len(signs), dim=0)


@dataclass(frozen=True, eq=False)
class Balls:
    """Balls around known minimisers in which psi is proved convex, at most BALLS a problem; radius 0: none.

    Shapes: centre (n, BALLS, d), radius (n, BALLS), floor (n,) the least psi in the balls.
    """

    centre: Tensor
    radius: Tensor
    floor: Tensor

    @classmethod
    def around(cls, reduced: ReducedEnvelope, minima: Minima) -> Balls:
        """Where ``psi >= psi* + gradient . d + (least eigenvalue - Lipschitz radius / 3) |d|^2 / 2`` has a minimum."""
        n, d = reduced.beta.shape
        first = first_rows(minima.block, len(minima.lowest))[reduced.block]
        slot = torch.arange(BALLS, device=first.device)
        row = (first[:, None] + slot).clamp(max=len(minima.block) - 1)
        lowest = minima.lowest[reduced.block]
        good = minima.block[row] == reduced.block[:, None]
        good &= minima.values[row] <= (lowest + 1e-6 * (1 + lowest.abs()))[:, None]
        _, theta = reduced.split(minima.points[row.flatten()])
        i = torch.arange(n, device=first.device).repeat_interleave(BALLS)
        value, gradient, least, w, _, _ = reduced.psi(theta, i)
        eigen = torch.linalg.eigvalsh(least)[:, 0]
        radius, floor = torch.zeros_like(eigen), torch.full_like(eigen, torch.inf)
        for trial in [4.0**k for k in range(-12, 4)]:
            r = torch.full_like(eigen, trial)
            C = reduced.slopes.near(theta, r[:, None].expand(-1, d))
            curvature = eigen - reduced.third(i, w, C[0] * reduced.beside(r), C) * r / 3
            better = good.flatten() & (curvature > 0.1 * eigen) & (eigen > 0)
            radius = torch.where(better, r, radius)
            bound = reduced.below(theta, value, gradient, torch.where(better, curvature, 1.0))
            floor = torch.where(better, bound, floor)
        return cls(theta.view(n, BALLS, d), radius.view(n, BALLS), floor.view(n, BALLS).amin(1))

    def contain(self, i: Tensor, centre: Tensor, half: Tensor) -> Tensor:
        """Whether boxes lie in a ball."""
        furthest = ((centre[:, None, :] - self.centre[i]).abs() + half[:, None, :]).norm(dim=2)
        return (furthest <= self.radius[i]).any(1)
