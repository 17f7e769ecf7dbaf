"""A callable that somebody handed in, with its derivative where that was handed in too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jko import checks
from jko.derivatives.comparison import (
    POINTS,
    SHARES,
    TABLE,
    Disagreement,
    disagreement,
    probes,
)
from jko.derivatives.recording import (
    OUTSIDE,
    REMEDY,
    Constant,
    constant,
    differences,
    generic,
    leaf,
    recording,
    slope,
    width,
)
from jko.shown import Shown, short


@dataclass(frozen=True)
class Differentiable(Shown):
    """A callable of points, differentiable by torch: by what torch records, or by the gradient that is given.

    Parameters
    ----------
    name
        What it is called in messages.
    function
        ``function(z, *rest)`` maps points z (n, dim), and inputs of M rows, to values (n,), or (n, M).  Row i depends
        on ``z[i]`` alone.
    gradient
        ``gradient(z, *rest)`` of shape (n, dim), or (n, M, dim).  If it is given, both get tensors without a
        record, on which numpy's functions work too, and may return arrays; second derivatives are central differences
        of it (see :func:`differences`).
    elementwise
        A function of one number: z has any shape, values and gradient have that of z.
    tail
        What follows in the shape of the values, ``(k,)`` for k outputs.

    Raises
    ------
    ValueError
        When it is called: there is no derivative, or it is not that of the values.
    """

    name: str
    function: Callable[..., Any]
    gradient: Callable[..., Any] | None = None
    elementwise: bool = False
    tail: tuple[int, ...] = ()
    compared: set[int] = field(default_factory=set, repr=False, compare=False)
    constants: dict[int, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def _line(self) -> str:
        return short(self.function)

    def __post_init__(self) -> None:
        checks.function(self.name, self.function)
        if self.gradient is not None:
            checks.function("gradient", self.gradient, f"pass the derivative of {self.name}")

    def __call__(self, z: Tensor, *rest: Tensor) -> Tensor:
        """The values, checked, with a record of how they depend on z where torch records."""
        if self.gradient is not None and torch.is_grad_enabled():
            self._refuse_recorded(rest)
        if not (torch.is_grad_enabled() and z.requires_grad):
            return self.values(z, *rest)
        self._compare_once(z.detach(), rest)
        if self.gradient is not None:
            return _Value.apply(z, self, rest)
        value = self.values(z, *rest)
        return value if value.requires_grad else self._constant(z, rest, value)

    def _refuse_recorded(self, rest: tuple[Tensor, ...]) -> None:
        """The gradient that was given is that in z."""
        if any(r.requires_grad for r in rest):
            raise ValueError(
                f"the inputs x require gradients, and gradient= of {self.name} is its derivative in the parameters "
                f"alone; {REMEDY.partition(',')[0]}, or pass x.detach()"
            )

    def _constant(self, z: Tensor, rest: tuple[Tensor, ...], value: Tensor) -> Tensor:
        """A value without a record; the one that was found to be constant before is not tried again."""
        dim = 1 if self.elementwise else z.shape[1]
        row = value[:1].reshape(-1)[:1] if self.elementwise else value[:1]
        known = self.constants.get(dim)
        if known is None or known.shape != row.shape or not bool((value == known).all()):
            value = constant(self.name, lambda z: self.values(z, *rest), z, value)
            self.constants[dim] = row.detach().clone()
            return value
        return Constant.apply(z, value)

    def values(self, z: Tensor, *rest: Tensor) -> Tensor:
        """What the function returns, checked."""
        if self.gradient is None:
            value = self.function(z, *rest)
        else:
            value = _tensor(self.function(*_numbers(z, *rest)), z)
        return checks.returned(self.name, value, self._shape(z, rest), z)

    def slopes(self, z: Tensor, *rest: Tensor) -> Tensor:
        """What the given gradient returns, checked."""
        assert self.gradient is not None
        shape = self._shape(z, rest) if self.elementwise else (*self._shape(z, rest), z.shape[1])
        value = _tensor(self.gradient(*_numbers(z, *rest)), z)
        return checks.returned(f"the gradient of {self.name}", value, shape, z)

    def _shape(self, z: Tensor, rest: tuple[Tensor, ...]) -> tuple[int, ...]:
        return tuple(z.shape) if self.elementwise else (len(z), *map(len, rest), *self.tail)

    def _compare_once(self, z: Tensor, rest: tuple[Tensor, ...]) -> None:
        """Hold the slope against the values at a few points near the first that torch is asked about."""
        dim = 1 if self.elementwise else z.shape[1]
        if dim in self.compared or z.numel() == 0:
            return
        self.compared.add(dim)
        points, moves = probes(z.reshape(-1, 1) if self.elementwise else z)
        try:
            with recording(), np.errstate(all="ignore"):
                wrong = self._disagreement(points, moves, tuple(r[:POINTS] for r in rest))
        except Exception:  # not defined at these points, which are ours and not the user's
            return
        if wrong is not None:
            self.compared.discard(dim)
            raise ValueError(self._complaint(wrong))

    def _disagreement(
        self, points: Tensor, moves: Tensor, rest: tuple[Tensor, ...]
    ) -> Disagreement | None:
        def of(x: Tensor) -> Tensor:
            return self.values(x[:, 0] if self.elementwise else x, *rest).reshape(len(x), -1)

        with torch.no_grad():
            values = of(torch.cat([points + h * moves for h in SHARES]))
        weights, x = generic(values[0]), leaf(points)
        if self.gradient is not None:
            given = self.slopes(x[:, 0] if self.elementwise else x, *rest)
            given = given.reshape(len(x), -1, x.shape[1])
            slopes = (given * moves[:, None, :]).sum(2) @ weights
        else:
            total = (of(x) @ weights).sum()
            if not total.requires_grad:
                return None  # it is constant, or refused
            slopes = (slope(total, x) * moves).sum(1)
        together = 0.0 if self.gradient is None else TABLE
        return disagreement((values @ weights).chunk(len(SHARES)), slopes, together=together)

    def _complaint(self, wrong: Disagreement) -> str:
        if self.gradient is None:
            who, remedy = "torch finds", f"a part of it is computed {OUTSIDE}; {REMEDY}"
        else:
            who, remedy = "gradient= gives", "gradient(z) must be the derivative of it in z"
        return (
            f"the slope that {who} for {self.name} is not that of its values: along some direction "
            f"{wrong.slope:.6g}, where differences of the values give {wrong.difference:.6g}; {remedy}"
        )


class _Value(torch.autograd.Function):
    """The values of a callable whose gradient was given."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, f: Differentiable, rest: tuple[Tensor, ...]) -> Tensor:
        ctx.save_for_backward(z)
        ctx.f, ctx.rest = f, rest
        return f.values(z, *rest).clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        slopes = _Slope.apply(z, ctx.f, ctx.rest)
        if ctx.f.elementwise:
            return g * slopes, None, None
        return torch.einsum("n...,n...d->nd", g, slopes), None, None


class _Slope(torch.autograd.Function):
    """The gradient that was given, itself differentiable: by central differences."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, f: Differentiable, rest: tuple[Tensor, ...]) -> Tensor:
        ctx.save_for_backward(z)
        ctx.f, ctx.rest = f, rest
        return f.slopes(z, *rest).clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors

        def change(step: Tensor) -> Tensor:
            return ctx.f.slopes(z + step, *ctx.rest) - ctx.f.slopes(z - step, *ctx.rest)

        if ctx.f.elementwise:
            step = width(z)
            return u * change(step) / ((z + step) - (z - step)), None, None
        if u.ndim == 2:  # the Hessian is symmetric, so one difference along u is its product with u
            size = u.norm(dim=1, keepdim=True)
            step = width(z.abs().amax(1, keepdim=True))
            unit = u / torch.where(size > 0, size, torch.ones_like(size))
            return size * change(step * unit) / (2 * step), None, None
        pulled = differences(lambda z: (u * ctx.f.slopes(z, *ctx.rest)).flatten(1).sum(1), z)
        return pulled, None, None


class Unrecorded(Tensor):
    """A tensor without a record on which the functions of numpy work, and give arrays."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """A ufunc of numpy."""
        return getattr(ufunc, method)(*_arrays(inputs), **options)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        """Any other function of numpy."""
        return function(*_arrays(inputs), **_arrays(options))


def _numbers(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(t.detach().as_subclass(Unrecorded) for t in tensors)


def _arrays(value: Any) -> Any:
    """The same, with arrays for tensors, also inside lists."""
    if isinstance(value, Tensor):
        return value.as_subclass(Tensor).detach().cpu().numpy()
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(part) for part in value)
    return {k: _arrays(v) for k, v in value.items()} if isinstance(value, dict) else value


def _tensor(value: Any, like: Tensor) -> Any:
    """What a callable returned, as a tensor beside ``like`` if it is an array of numbers (numpy, JAX)."""
    if isinstance(value, Tensor):
        return value.as_subclass(Tensor)
    if not hasattr(value, "__array__"):
        return value
    array = np.array(value)
    if array.dtype.kind not in "biuf":
        return value
    return torch.from_numpy(array.astype(np.float64)).to(like)
