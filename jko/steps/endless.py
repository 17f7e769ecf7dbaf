"""Whether an objective falls without end along a ray: then a step has no minimum."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from jko.steps.memory import rounding

LEAP, LEAPS = 2.0**16, 4  # how much further to look for a rise, and how often


def endless(
    ahead: Callable[[float], tuple[float, float]],
    value: float,
    dtype: torch.dtype = torch.float64,
    *,
    far: bool = False,
) -> bool:
    """Whether the objective falls from ``value`` at each of the points LEAP, LEAP^2, ... times as far.

    Parameters
    ----------
    ahead
        The factor by which to go further, to the objective and the energy there.
    value
        The objective here.
    far
        Whether the ray has been followed far already: then a first difference below rounding is such an end too.

    Notes
    -----
    The look ends where a difference is below the rounding of energy and cost: as far as numbers tell, it falls.
    """
    for k in range(1, LEAPS + 1):
        new, energy = ahead(LEAP**k)
        fell = far or k > 1
        if not math.isfinite(new):
            return new == -math.inf or (math.isnan(new) and fell)
        noise = rounding(energy, new - energy, dtype=dtype)
        if not new < value - noise:
            return new <= value + noise and fell
        value = new
    return True
