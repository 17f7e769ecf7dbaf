"""Whether the slope of a function is that of its values, at points where it has neither a kink nor noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jko.derivatives.recording import generic, recordable

POINTS = 8  # at which the two are compared
MOVES = 2  # of all atoms, where it is the slope of a function of all of them
NEAR = 0.01  # how far from the atoms, relative to 1 + |x|: off the kinks that they may sit on
STEP = 2.0**-12  # of the differences, relative to the size of a move
SHARES = (0.0, STEP, -STEP, STEP / 2, -STEP / 2)
WRONG = 1e-2  # the relative error that is called wrong
TABLE = 0.08  # ... of all slopes together, where a gradient was given: one read off a table is not exact at each point
STEADY = 1e-3  # the change from STEP to STEP / 2 up to which a difference is believed


class Disagreement(NamedTuple):
    """A slope along a move, and the difference of the values that contradicts it."""

    slope: float
    difference: float


def probes(z: Tensor) -> tuple[Tensor, Tensor]:
    """Points near the given ones (n, dim), but nowhere special, and a move of each: (POINTS, dim), (POINTS, dim)."""
    points = z[[k % len(z) for k in range(POINTS)]]
    points = points + 0.1 * (1 + points.abs()) * generic(points)
    return points, (1 + points.abs()) * generic(points, points.numel())


def beside(atoms: Tensor) -> Tensor:
    """Points near all atoms (n, dim), to compare at."""
    x = recordable(atoms)
    return x + NEAR * (1 + x.abs()) * generic(x)


def along_moves(
    x: Tensor, value: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]
) -> Disagreement | None:
    """Compare ``slope(v)`` with differences of ``value`` (a number), as all points x (n, dim) move along v."""
    moves = [(1 + x.abs()) * generic(x, (k + 1) * x.numel()) for k in range(MOVES)]
    values = [torch.stack([value(x + h * v) for v in moves]).detach() for h in SHARES]
    return disagreement(values, torch.stack([slope(v) for v in moves]))


def disagreement(
    values: Sequence[Tensor], slopes: Tensor, least: int = 2, together: float = 0.0
) -> Disagreement | None:
    """Compare the slopes (k,) along k moves with differences of the values (k,) after each of the SHARES of them.

    A difference is believed if half the step gives the same: at kinks, jumps and noise it does not.  ``least`` of them
    must contradict the slopes, and all of them ``together`` by more than this share of their norm.
    """
    here, up, down, near_up, near_down = values
    rough, fine = (up - down) / (2 * STEP), (near_up - near_down) / STEP
    size = torch.maximum(slopes.abs(), fine.abs())
    noise = 100 * torch.finfo(slopes.dtype).eps / STEP * here.abs()
    sure = (rough - fine).abs() <= STEADY * fine.abs() + noise
    wrong = sure & ((slopes - fine).abs() > WRONG * size + 10 * noise)
    apart = torch.where(sure, slopes - fine, 0.0).norm()
    if int(wrong.sum()) < least or bool(apart <= together * torch.where(sure, fine, 0.0).norm()):
        return None
    first = int(wrong.to(torch.int8).argmax())
    return Disagreement(float(slopes[first]), float(fine[first]))
