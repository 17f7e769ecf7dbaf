"""Whether the slope of a function is that of its values, at points where it has neither a kink nor noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from jko.derivatives.recording import generic

POINTS = 8  # at which the two are compared
STEP = 2.0**-12  # of the differences, relative to the size of a move
WRONG = 1e-2  # the relative error that is called wrong
STEADY = 1e-3  # the change from STEP to STEP / 2 up to which a difference is believed


class Disagreement(NamedTuple):
    """A slope along a move, and the difference of the values that contradicts it."""

    slope: float
    difference: float


def probes(z: Tensor) -> tuple[Tensor, Tensor]:
    """Points near the given ones (n, dim), but nowhere special, and a move of each: (POINTS, dim), (POINTS, dim)."""
    points = z[torch.arange(POINTS, device=z.device) % len(z)]
    points = points + 0.1 * (1 + points.abs()) * generic(points)
    return points, (1 + points.abs()) * generic(points, points.numel())


def disagreement(
    along: Callable[[float], Tensor], slopes: Tensor, least: int = 2
) -> Disagreement | None:
    """Compare ``slopes`` with differences of ``along(h)``, values (k,) after the share h of k moves.

    A difference is believed if half the step gives the same: at kinks, jumps and noise it does not.  ``least`` of them
    must contradict the slopes.
    """
    rough, fine = ((along(h) - along(-h)) / (2 * h) for h in (STEP, STEP / 2))
    size = torch.maximum(slopes.abs(), fine.abs())
    noise = 100 * torch.finfo(slopes.dtype).eps / STEP * along(0.0).abs()
    sure = (rough - fine).abs() <= STEADY * size + noise
    wrong = sure & ((slopes - fine).abs() > WRONG * size + 10 * noise)
    if int(wrong.sum()) < least:
        return None
    first = int(wrong.to(torch.int8).argmax())
    return Disagreement(float(slopes[first]), float(fine[first]))
