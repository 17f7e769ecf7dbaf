"""The flow with no flux (3.11) on atoms: a velocity projected on the tangent cone of the domain, atom by atom.

For a closed convex K and a point xi of K the cone ``T(xi)`` holds the directions that do not leave K, and the
projection of v on it is the one-sided derivative of ``s -> P(xi + s v)`` at s = 0, P the nearest point of K.  So

    ``xi' = P_T(xi) v(xi)``,    ``xi in K``

is the gradient flow of the energy restricted to measures on K.  Integrators evaluate ``P_T(y) v(y)`` at y = P(x) for
the points x of their stages: the field is then defined everywhere, and points that a step leaves outside by its
tolerance slide along the wall as if they were on it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko.spaces import Ball, Box, Cylinder, Domain, Torus


def tangent(domain: Domain | None, points: Tensor, v: Tensor) -> Tensor:
    """The projection of the velocities v (N, dim) at points (N, dim) of the domain on its tangent cones.

    Exact for boxes, balls and cylinders over them; of other sets by a difference of their projection, which has half of
    the digits where the boundary is curved.  To half of the digits near to a sphere is on it: a step along the sphere
    ends beside it, and must not fall off.
    """
    if domain is None:
        return v
    if isinstance(domain, Cylinder):
        base = tangent(domain.base, points[:, 1:], v[:, 1:])
        return torch.cat([v[:, :1], base], dim=1)
    if isinstance(domain, Box):
        low, high = points <= domain.lower.to(points), points >= domain.upper.to(points)
        return torch.where((low & (v < 0)) | (high & (v > 0)), 0.0, v)
    if isinstance(domain, Torus):
        return tangent(domain.walls, points, v)
    if isinstance(domain, Ball):
        out = points - domain.centre.to(points)
        square = (out * out).sum(-1, keepdim=True)
        skin = torch.finfo(v.dtype).eps ** 0.5 * domain.radius
        outward = (out * v).sum(-1, keepdim=True)
        held = (square.sqrt() >= domain.radius - skin) & (outward > 0)
        return torch.where(held, v - out * (outward / square), v)
    ahead, s = _ahead(points, v)
    there = domain.project(ahead)
    return torch.where((there == ahead).all(-1, keepdim=True), v, (there - points) / s)


def slides(domain: Domain, points: Tensor, v: Tensor) -> Tensor:
    """The derivative of the projection where v would take each point next, (N, dim, dim): I for a free atom."""
    ahead, s = _ahead(points, v)
    there, dim = domain.project(ahead), points.shape[1]
    step = 0.25 * s * v.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(v.dtype).tiny)
    columns = []
    for k in range(dim):
        moved = ahead.clone()
        moved[:, k : k + 1] += step
        columns.append((domain.project(moved) - there) / step)
    return torch.stack(columns, dim=2)


def _ahead(points: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Points a square root of rounding ahead along v, and the times (N, 1) that this takes."""
    size = 1 + points.abs().amax()
    speed = v.norm(dim=-1, keepdim=True)
    s = torch.finfo(v.dtype).eps ** 0.5 * size / torch.where(speed > 0, speed, 1.0)
    return points + s * v, s
