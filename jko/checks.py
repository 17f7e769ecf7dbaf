"""Bad input becomes a sentence here, and nowhere else.

Every message names the argument, its value, the rule and the remedy.  ``ValueError`` is for values,
``TypeError`` for kinds.  Constructors call these once; the loops behind them trust their states.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
WEIGHT_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def floats(name: str, value: Any, like: Tensor | None = None, beside: str = "the points") -> Tensor:
    """A finite floating point tensor.

    Tensors keep their dtype and device, which must be those of ``like`` (called ``beside``) if it is given;
    everything else (numpy arrays, lists, numbers) becomes float64 on the CPU, or takes them over from ``like``.
    """
    if isinstance(value, Tensor):
        if value.is_complex():
            raise TypeError(
                f"{name} is complex ({value.dtype}); real numbers are needed: pass {name}.real"
            )
        tensor = value if value.is_floating_point() else value.to(torch.float64)
        if like is not None:
            alike(name, tensor, beside, like)
    else:
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} must be a tensor, an array or nested lists of numbers, not {type(value).__name__} ({error})"
            ) from None
        tensor = torch.from_numpy(np.array(array))
        if like is not None:
            tensor = tensor.to(like)
    if tensor.dtype not in WEIGHT_TOLERANCE:
        raise TypeError(f"{name} has dtype {tensor.dtype}; use torch.float64 (or torch.float32)")
    bad = tensor.numel() - int(torch.isfinite(tensor).sum())
    if bad:
        raise ValueError(
            f"{name} has {bad} entries that are not finite (NaN or inf) among {tensor.numel()}; "
            "remove or replace them first"
        )
    return tensor


def shape(name: str, tensor: Tensor, expected: Sequence[int | str]) -> Tensor:
    """Check a shape such as ``("N", 3)``: strings stand for any positive length."""
    fits = tensor.ndim == len(expected) and all(
        isinstance(want, str) or have == want
        for have, want in zip(tensor.shape, expected, strict=True)
    )
    pretty = "(" + ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "") + ")"
    if not fits:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; it must have shape {pretty}")
    if tensor.numel() == 0:
        raise ValueError(
            f"{name} is empty, shape {tuple(tensor.shape)}; at least one entry along each axis is needed"
        )
    return tensor


def alike(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Check that two tensors share dtype and device."""
    for what in ("dtype", "device"):
        mine, theirs = getattr(tensor, what), getattr(other, what)
        if mine != theirs:
            target = repr(str(theirs)) if what == "device" else theirs
            raise ValueError(
                f"{name} has {what} {mine} but {other_name} has {what} {theirs}; "
                f"convert one of them with .to({target})"
            )


def weights(name: str, value: Any, count: int, like: Tensor) -> Tensor:
    """Positive weights with sum one; ``None`` means equal weights."""
    if value is None:
        return torch.full((count,), 1.0 / count, dtype=like.dtype, device=like.device)
    tensor = shape(name, floats(name, value, like), (count,))
    lowest, total = float(tensor.min()), float(tensor.sum())
    if lowest <= 0:
        i = int(tensor.argmin())
        raise ValueError(
            f"{name}[{i}] = {lowest:g}; weights of atoms must be positive: drop atoms of weight zero, and "
            "put signs into the charge H (or w) of the atom, not into its mass"
        )
    if abs(total - 1) > WEIGHT_TOLERANCE[tensor.dtype]:
        raise ValueError(
            f"{name} sums to {total:.12g}; a state is a probability measure: "
            f"pass {name} / {name}.sum() if that is meant"
        )
    return tensor


def density(name: str, tensor: Tensor, shape_: tuple[int, ...], cell: float) -> Tensor:
    """Values of a probability density on cells of volume ``cell``."""
    if tuple(tensor.shape) != shape_:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}; the grid has {shape_} cells: one value for each is needed"
        )
    lowest, total = float(tensor.min()), float(tensor.sum()) * cell
    if lowest < 0:
        raise ValueError(
            f"{name} goes down to {lowest:g}; a density is not negative: "
            "GridDensity.from_function(grid, lambda x: f(x).clamp(min=0)) cuts and normalises"
        )
    if abs(total - 1) > WEIGHT_TOLERANCE[tensor.dtype]:
        raise ValueError(
            f"{name} has total mass {total:.12g} (sum times the cell volume {cell:g}); a state is a probability "
            f"measure: pass {name} / ({name}.sum() * grid.cell) if that is meant"
        )
    return tensor


def quadrature(name: str, value: Any, count: int, like: Tensor) -> Tensor:
    """Positive quadrature weights (any total); ``None`` means 1 / count each."""
    if value is None:
        return torch.full((count,), 1.0 / count, dtype=like.dtype, device=like.device)
    tensor = shape(name, floats(name, value, like, "x"), (count,))
    if float(tensor.min()) <= 0:
        raise ValueError(
            f"{name}[{int(tensor.argmin())}] = {float(tensor.min()):g}; quadrature weights must be positive"
        )
    return tensor


def number(name: str, value: Any, above: float = -math.inf, below: float = math.inf) -> float:
    """A finite number strictly between ``above`` and ``below``."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a number, not {type(value).__name__} ({value!r})"
        ) from None
    if not (math.isfinite(result) and above < result < below):
        limits = [f"> {above:g}"] * (above > -math.inf) + [f"< {below:g}"] * (below < math.inf)
        raise ValueError(
            f"{name} = {value!r}; it must be a finite number {' and '.join(limits)}".rstrip()
        )
    return result


def count(name: str, value: Any, least: int = 1) -> int:
    """A whole number, at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__} ({value!r})")
    if value < least:
        raise ValueError(f"{name} = {value}; it must be at least {least}")
    return int(value)


def kind(name: str, value: Any, *allowed: type, hint: str = "") -> None:
    """Check ``isinstance``; ``hint`` is the remedy."""
    if not isinstance(value, allowed):
        names = " or ".join(t.__name__ for t in allowed)
        raise TypeError(
            f"{name} must be {names}, not {type(value).__name__}" + (f"; {hint}" if hint else "")
        )


def able(name: str, value: T, method: str, example: str) -> T:
    """Check for an object, no class, that has a method; it is handed back."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}; pass one of it: {value.__name__}()")
    if not callable(getattr(value, method, None)):
        raise TypeError(
            f"{name} must have a method {method}, like {example}; {type(value).__name__} has none"
        )
    return value


def returned(what: str, value: Any, expected: tuple[int, ...], like: Tensor) -> Tensor:
    """Check what a user's callable gave back: a tensor of one shape, dtype and device."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{what} returned {type(value).__name__}; it must return a torch tensor of shape {expected}"
        )
    if tuple(value.shape) != expected:
        raise ValueError(
            f"{what} returned shape {tuple(value.shape)}; it must return shape {expected}"
        )
    alike(f"the value of {what}", value, "its argument", like)
    return value
