"""What torch recorded of a function, and what is done where it recorded nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

SCALES = tuple(2.0**k for k in (-24, -16, -10, -6, -3, -1, 0, 1, 3, 6, 10, 20))  # of the moves
ROWS = 4  # points that are moved, in the quick test for a constant
FEW = 2**10  # numbers without a pattern that are kept
OVERRIDE = "write it in torch operations, or override gradient(state, at)"
REMEDY = "write it in torch operations, or give its derivative by gradient=..."
OUTSIDE = (
    "outside torch (numpy, JAX, .detach(), torch.no_grad(), torch.inference_mode(), comparisons)"
)

RowWise = Callable[[Tensor], Tensor]  # points (n, ...) to values (n, ...), row by row


def recording() -> AbstractContextManager[object]:
    """Torch records below this, whatever mode the caller is in."""
    if not torch.is_inference_mode_enabled():
        return torch.enable_grad()
    modes = ExitStack()
    modes.enter_context(torch.inference_mode(False))
    modes.enter_context(torch.enable_grad())
    return modes


def recordable(tensor: Tensor) -> Tensor:
    """The tensor itself; of one made in ``torch.inference_mode()``, which no record can hold, a copy."""
    if not tensor.is_inference():
        return tensor
    with torch.inference_mode(False):
        return tensor.clone()


def leaf(points: Tensor) -> Tensor:
    """The same points, as the variable of a derivative; for use below :func:`recording`."""
    return recordable(points).detach().requires_grad_()


def slope(value: Tensor, z: Tensor, retain: bool = False, create: bool = False) -> Tensor:
    """The gradient of a recorded 0-d ``value`` in ``z``; zero where it does not depend on it."""
    if not value.requires_grad:
        return torch.zeros_like(z)
    return torch.autograd.grad(
        value, z, retain_graph=retain or create, create_graph=create, materialize_grads=True
    )[0]


def recorded(name: str, call: RowWise, z: Tensor, remedy: str = REMEDY) -> Tensor:
    """``call(z)`` with a record of how it depends on ``z``; any shape.

    Raises
    ------
    ValueError
        There is no record, and the values change with z.
    """
    value = call(z)
    return value if value.requires_grad else constant(name, call, z, value, remedy)


def gradient(name: str, call: RowWise, at: Tensor, remedy: str = REMEDY) -> tuple[Tensor, Tensor]:
    """Values (n,) of a function of points (n, dim), row by row, and their gradients (n, dim)."""
    with recording():
        z = leaf(at)
        value = recorded(name, call, z, remedy)
        (found,) = torch.autograd.grad(value.sum(), z, allow_unused=True)
        if found is None:  # a record of something else: the weights of a network, say
            constant(name, call, z, value.detach(), remedy)
            found = torch.zeros_like(z)
    return value.detach(), found


def hessian(call: RowWise, slopes: RowWise, at: Tensor) -> Tensor:
    """Second derivatives (n, dim, dim) of a function of points (n, dim), row by row; ``slopes`` is its gradient.

    By torch; where it has no record of the slope, by :func:`differences` of it, exactly zero where it is constant.
    """
    with recording():
        z = leaf(at)
        first = slope(call(z).sum(), z, create=True)
        if first.requires_grad and z.shape[1]:
            columns = [slope(first[:, k].sum(), z, retain=True) for k in range(z.shape[1])]
            return torch.stack(columns, dim=2)
    return differences(slopes, z.detach())


def differences(function: RowWise, z: Tensor) -> Tensor:
    """Central differences of a function of points (n, dim), row by row: (n, ..., dim).

    The step is ``eps^(1/3) (1 + |z|)``: an error of about 1e-10 for a function that varies over lengths of order one
    (float32: 1e-4).
    """
    columns = []
    if not z.shape[1]:  # points without coordinates
        return function(z)[..., None][..., :0]
    for k in range(z.shape[1]):
        step = torch.zeros_like(z)
        step[:, k] = width(z[:, k])
        up, down = z + step, z - step
        change = function(up) - function(down)
        columns.append(change / (up - down)[:, k].reshape(-1, *[1] * (change.ndim - 1)))
    return torch.stack(columns, dim=-1)


def derivative_along(function: RowWise, z: Tensor, v: Tensor) -> Tensor:
    """The central difference of a field on all points (n, dim) at once, when they move along v (n, dim)."""
    size = float((v.abs() / (1 + z.abs())).max())
    if not 0 < size < torch.inf:
        return torch.zeros_like(z) if size == 0 else torch.full_like(z, torch.nan)
    h = float(torch.finfo(z.dtype).eps) ** (1 / 3) / size
    return (function(z + h * v) - function(z - h * v)) / (2 * h)


def width(z: Tensor) -> Tensor:
    """Half the distance of the points of a central difference."""
    return float(torch.finfo(z.dtype).eps) ** (1 / 3) * (1 + z.abs())


def generic(like: Tensor, turn: int = 0) -> Tensor:
    """Numbers in [-1, -1/2] and [1/2, 1] without a pattern, the same at every call."""
    count = like.numel()
    make = _cached if count <= FEW else _numbers
    return make(count, turn, like.dtype, like.device).reshape(like.shape)


def _numbers(count: int, turn: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    k = np.arange(1 + turn, 1 + turn + count)
    signs = np.where(np.remainder(k * 0.4142135623730951, 1.0) < 0.5, -1.0, 1.0)
    numbers = signs * (0.5 + 0.5 * np.remainder(k * 0.6180339887498949, 1.0))
    with torch.inference_mode(False):
        return torch.from_numpy(numbers).to(device, dtype)


_cached = lru_cache(maxsize=64)(_numbers)


class Constant(torch.autograd.Function):
    """A value that does not change with z."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor) -> Tensor:
        """The value."""
        ctx.shape = z.shape
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """Zero."""
        return g.new_zeros(ctx.shape), None


def constant(name: str, call: RowWise, z: Tensor, value: Tensor, remedy: str = REMEDY) -> Tensor:
    """A value without a record: the same at other points, so with the slope zero; or refused."""
    points = z.detach()
    with torch.no_grad(), np.errstate(all="ignore"):
        if not (_quickly_constant(call, points, value) or _constant(call, points, value)):
            raise ValueError(
                f"{name} has no derivative that torch knows: its values change with the points, but it computes "
                f"{OUTSIDE}; {remedy}"
            )
    return Constant.apply(z, value)


def _quickly_constant(call: RowWise, z: Tensor, value: Tensor) -> bool:
    """One call, for a few points, at all scales of moves around them and around zero."""
    if value.ndim == 0 or z.ndim != 2:
        return False
    few = min(ROWS, len(z))
    rows = torch.arange(few, device=z.device).repeat(2 * len(SCALES))
    scale = torch.tensor(SCALES, dtype=z.dtype, device=z.device).repeat_interleave(few)[:, None]
    near = z[rows[: len(scale)]]
    way = generic(near)
    moved = torch.cat([near + scale * (1 + near.abs()) * way, scale * way.flip(0)])
    try:
        return _same(call(moved), value[rows])
    except Exception:  # a function of exactly these points, or one that is defined near them only
        return False


def _constant(call: RowWise, z: Tensor, value: Tensor) -> bool:
    """The same points, moved by one scale after the other; moves at which it is not defined say nothing."""
    asked = 0
    for turn, scale in enumerate(SCALES):
        try:
            other = call(z + scale * (1 + z.abs()) * generic(z, turn))
        except Exception:
            continue
        if not _same(other, value):
            return False
        asked += 1
    return asked > 0


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())
