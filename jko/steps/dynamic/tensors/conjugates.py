"""``U*`` and its derivatives in torch, for any internal energy that knows them and for sums."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jko.energies import Conjugate, Mixture

HUGE = 60.0  # of log density, above which U* is continued by its second-order expansion


def conjugate(internal: Mixture, p: Tensor) -> Conjugate:
    """``U*(p)``, the density ``(U*)'(p)`` and ``(U*)''(p)``; 0 where p = -inf."""
    capped = p.clamp(max=float(internal.slope(p.new_tensor(math.exp(HUGE)))))
    value, r, w = internal.conjugate(capped)
    over = torch.nan_to_num(p - capped, nan=0.0)  # of -inf, where nothing may be
    return Conjugate(value + r * over + 0.5 * w * over**2, r + w * over, w)
