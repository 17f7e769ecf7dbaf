"""``U*`` and its derivatives in torch, for any internal energy that knows them and for sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jko.energies import Internal

SCALAR_STEPS = 60
HUGE = 60.0  # of log density, above which U* is continued by its second-order expansion


def conjugate(
    internal: Sequence[tuple[float, Internal]], p: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``U*(p)``, the density ``(U*)'(p)`` and ``(U*)''(p)`` of ``U = sum_i c_i U_i``."""
    c, E = internal[0]
    if len(internal) > 1:
        return _conjugate_of_sum(internal, p)
    q = p / c
    capped = q.clamp(max=float(E.slope(p.new_tensor(math.exp(HUGE)))))
    r, w = E.density(capped), E.density_slope(capped)
    over = torch.nan_to_num(q - capped, nan=0.0)  # of -inf, where nothing may be
    value = torch.where(r > 0, capped * r, torch.zeros_like(r)) - E.U(r)
    return c * (value + r * over + 0.5 * w * over**2), r + w * over, w / c


def _conjugate_of_sum(
    internal: Sequence[tuple[float, Internal]], p: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The same by Newton steps for log rho, kept between bounds that close in."""
    low, high = torch.full_like(p, -745.0), torch.full_like(p, HUGE)
    s = torch.zeros_like(p)
    for _ in range(SCALAR_STEPS):
        r = s.exp()
        f = sum((c * E.slope(r) for c, E in internal), -p)
        df = sum((c / E.density_slope(E.slope(r)) for c, E in internal), torch.zeros_like(p)) * r
        low, high = torch.where(f < 0, s, low), torch.where(f >= 0, s, high)
        new = s - f / df
        inside = (new > low) & (new < high)
        new = torch.where(inside, new, 0.5 * (low + high))
        if bool(((new - s).abs() <= 1e-15 * s.abs().clamp(min=1)).all()):
            break
        s = new
    r = torch.where(s > -744.0, s.exp(), torch.zeros_like(s))
    r = torch.where(torch.isneginf(p), torch.zeros_like(r), r)
    U = sum((c * E.U(r) for c, E in internal), torch.zeros_like(r))
    curvature = sum((c / E.density_slope(E.slope(r)) for c, E in internal), torch.zeros_like(r))
    w = torch.where(r > 0, 1 / curvature, torch.zeros_like(r))
    return torch.where(r > 0, p * r, torch.zeros_like(r)) - U, r, w
