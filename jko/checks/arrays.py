"""Arrays: what becomes a tensor of real numbers, and what is refused with its remedy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko.checks.scalars import LARGEST, is_real, number

LIMIT = {torch.float64: LARGEST, torch.float32: 1e36}  # of coordinates; the dtypes there are
ARRAYS = "a tensor, an array or nested lists of numbers"
NO_NUMBERS = {  # kinds of numpy arrays: what they hold, and what helps
    "c": ("complex numbers", "real ones are needed: pass {}.real"),
    "M": ("dates", "pass numbers, such as the days since the first"),
    "m": ("durations", "divide by a unit: {} / np.timedelta64(1, 's')"),
    "U": ("text", "if it holds numbers, convert it: np.asarray({}, dtype=float)"),
    "S": ("text", "if it holds numbers, convert it: np.asarray({}, dtype=float)"),
    "V": ("records", "pass the columns of numbers"),
}


def tensor(name: str, value: Any, like: Tensor | None = None, beside: str = "the points") -> Tensor:
    """A real, dense floating point tensor; its entries may be anything.

    Tensors keep their dtype and device, which must be those of ``like`` (called ``beside``) if it is given;
    everything else (numpy arrays, lists, numbers) becomes float64 on the CPU, or takes them over from ``like``.
    Truth values count as 0 and 1.  No tensor is copied.
    """
    if not isinstance(value, Tensor):
        with torch.inference_mode(False):
            made = torch.from_numpy(_array(name, value))
            return made if like is None else made.to(like)
    if value.is_complex():
        raise TypeError(
            f"{name} is complex ({value.dtype}); real numbers are needed: pass {name}.real"
        )
    if value.layout is not torch.strided:
        raise TypeError(
            f"{name} is a sparse tensor ({value.layout}); pass {name}.to_dense() if it fits"
        )
    if value.is_quantized or value.is_nested:
        raise TypeError(
            f"{name} is a {'quantised' if value.is_quantized else 'nested'} tensor ({value.dtype}); "
            f"a plain one is needed: pass {name}.{'dequantize()' if value.is_quantized else 'to_padded_tensor(...)'}"
        )
    result = value if value.is_floating_point() else value.to(torch.float64)
    if like is not None:
        alike(name, result, beside, like)
    return numbers(name, result)


def numbers(name: str, tensor: Tensor) -> Tensor:
    """The tensor, if its device holds numbers and they are of a dtype that is computed with."""
    if tensor.is_meta:
        raise TypeError(
            f"{name} is a tensor on the device 'meta', which holds no numbers; make it on 'cpu' or 'cuda'"
        )
    if tensor.dtype not in LIMIT:
        raise TypeError(f"{name} has dtype {tensor.dtype}; use torch.float64 (or torch.float32)")
    return tensor


def _array(name: str, value: Any) -> np.ndarray:
    """A fresh float64 array of what is no tensor."""
    if _masked(value):
        raise TypeError(
            f"{name} is a masked array; a mask would be lost: fill it by {name}.filled(...) or drop its rows"
        )
    try:
        array = np.asarray(value)
    except Exception as error:  # ragged lists, tensors with a graph, foreign __array__: anything
        raise TypeError(
            f"{name} must be {ARRAYS}, not {type(value).__name__} ({' '.join(str(error).split())[:160]})"
        ) from None
    if array.dtype.kind in NO_NUMBERS:
        what, remedy = NO_NUMBERS[array.dtype.kind]
        raise TypeError(f"{name} must be {ARRAYS}, not {what}; {remedy.format(name)}")
    if array.dtype.kind == "O":
        if array.ndim == 0 and not is_real(value):
            raise TypeError(f"{name} must be {ARRAYS}, not {type(value).__name__}")
        flat = [number(f"an entry of {name}", entry) for entry in array.flat]
        array = np.array(flat, dtype=np.float64).reshape(array.shape)
    with np.errstate(all="ignore"):  # long doubles may overflow: then they are not finite
        return np.array(array, dtype=np.float64, order="C")


def _masked(value: Any, depth: int = 4) -> bool:
    """Whether a masked entry hides in an array or in lists of arrays."""
    if isinstance(value, np.ma.MaskedArray):
        return bool(np.ma.is_masked(value))
    return (
        depth > 0 and isinstance(value, list | tuple) and any(_masked(v, depth - 1) for v in value)
    )


def floats(
    name: str,
    value: Any,
    like: Tensor | None = None,
    beside: str = "the points",
    *,
    infinite: bool = False,
) -> Tensor:
    """The same as :func:`tensor` with entries that are finite and in range; +-inf may stand if ``infinite``."""
    result = tensor(name, value, like, beside)
    judged = result.detach()
    if infinite:
        judged = judged[~judged.isinf()]
    if judged.numel() == 0 or float(judged.abs().max()) <= LIMIT[result.dtype]:
        return result
    bad = judged.numel() - int(torch.isfinite(judged).sum())
    if bad:
        raise ValueError(
            f"{name} has {bad} entries that are not finite (NaN{'' if infinite else ' or inf'}) among "
            f"{result.numel()}; remove or replace them first"
        )
    raise ValueError(
        f"{name} has an entry of size {float(judged.abs().max()):g}; at most {LIMIT[result.dtype]:g} is in the range "
        f"of {result.dtype}: choose other units"
    )


def owned(
    name: str,
    value: Any,
    like: Tensor | None = None,
    beside: str = "the points",
    *,
    infinite: bool = False,
) -> Tensor:
    """The same as :func:`floats`, as a tensor of one's own: for states."""
    return own(floats(name, value, like, beside, infinite=infinite))


def own(value: Tensor) -> Tensor:
    """A copy that shares no memory, and an ordinary tensor in ``torch.inference_mode`` too.

    It is part of the record that torch keeps of ``value``, where torch records: gradients flow through.
    """
    if value.requires_grad and torch.is_grad_enabled():
        return value.clone(memory_format=torch.contiguous_format)
    with torch.inference_mode(False), torch.no_grad():
        return value.detach().clone(memory_format=torch.contiguous_format)


def unrecorded(name: str, value: Any, **options: Any) -> Tensor:
    """The same as :func:`owned`, of what no derivative is known in: a record is refused, not lost."""
    result = owned(name, value, **options)
    if result.requires_grad:
        raise ValueError(
            f"{name} requires a gradient, and no derivative in it is known here; pass {name}.detach()"
        )
    return result


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
