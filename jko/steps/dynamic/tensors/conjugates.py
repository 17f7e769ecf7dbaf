"""``U*`` and its derivatives in torch, for any internal energies and sums of them, at prices of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jko.energies import Conjugate, Internal, Mixture

HUGE = 60.0  # of log density, above which U* is continued by its second-order expansion


def conjugate(internal: Sequence[tuple[float, Internal]], p: Tensor) -> Conjugate:
    """``U*(p)``, the density ``(U*)'(p)`` and ``(U*)''(p)`` of ``U = sum_i c_i U_i``; 0 where p = -inf."""
    U = Mixture.of(internal)
    capped = p.clamp(max=float(U.slope(p.new_tensor(math.exp(HUGE)))))
    value, r, w = U.conjugate(capped)
    over = torch.nan_to_num(p - capped, nan=0.0)  # of -inf, where nothing may be
    return Conjugate(value + r * over + 0.5 * w * over**2, r + w * over, w)
