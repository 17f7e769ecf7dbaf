"""Kinds: what an argument is, and what a function that was given returns."""

from collections.abc import Iterable
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from jko.checks.arrays import alike
from jko.checks.scalars import shown

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


@overload
def kind(name: str, value: Any, a: type[T], /, *, hint: str = "") -> T: ...
@overload
def kind(name: str, value: Any, a: type[T], b: type[U], /, *, hint: str = "") -> T | U: ...
@overload
def kind(
    name: str, value: Any, a: type[T], b: type[U], c: type[V], /, *, hint: str = ""
) -> T | U | V: ...
@overload
def kind(name: str, value: Any, *allowed: type[T], hint: str = "") -> T: ...
def kind(name: str, value: Any, *allowed: type, hint: str = "") -> Any:
    """Check ``isinstance``, and hand back the value; ``hint`` is the remedy, default that of the first class.

    A class says its own in ``remedy``; one with a method ``kinds()`` stands for several, and the sentence names those.
    """
    if isinstance(value, allowed):
        return value
    hint = hint or vars(allowed[0]).get("remedy", "")
    kinds = [kind for one in allowed for kind in getattr(one, "kinds", lambda one=one: [one])()]
    names = " or ".join(kind.__name__ for kind in kinds)
    raise TypeError(f"{name} must be {names}, not {_named(value)}" + (f"; {hint}" if hint else ""))


def function(name: str, value: Any, hint: str = "") -> None:
    """Check that something can be called; ``hint`` is the remedy."""
    if not callable(value):
        raise TypeError(
            f"{name} must be callable, not {_named(value)}" + (f"; {hint}" if hint else "")
        )


def items(name: str, value: Any, length: int | None = None) -> tuple[Any, ...]:
    """The items of what can be looped over; ``length`` of them if that is given."""
    text = isinstance(value, str | bytes)
    if text or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"{name} must be a list, not {_named(value)}; pass [...]")
    found = tuple(value)
    if length is not None and len(found) != length:
        raise ValueError(f"{name} has {len(found)} entries; it must have {length}")
    return found


def flags(name: str, value: Any, length: int) -> tuple[bool, ...]:
    """``length`` truth values: one for all, or one each."""
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value
    found = (plain,) * length if isinstance(plain, bool) else plain
    sequence = isinstance(found, tuple | list) and all(isinstance(one, bool) for one in found)
    if not sequence or len(found) != length:
        raise (ValueError if sequence else TypeError)(
            f"{name} must be True, False or {length} of these, one for each axis, not {shown(value)}"
        )
    return tuple(found)


def able(name: str, value: T, method: str, example: str) -> T:
    """Check for an object, no class, that has a method; it is handed back."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}; pass one of it: {value.__name__}()")
    if isinstance(value, Tensor) or not callable(getattr(value, method, None)):
        raise TypeError(
            f"{name} must have a method {method}, like {example}; {type(value).__name__} has none"
        )
    return value


def called(what: str, given: Any, *arguments: Any) -> Any:
    """Call a user's function; that it cannot be called so is a sentence, its own errors are its own."""
    function(what, given)
    try:
        return given(*arguments)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        raise TypeError(
            f"{what} cannot be called with {len(arguments)} argument(s): {' '.join(str(error).split())[:160]}"
        ) from None


def _named(value: Any) -> str:
    """The kind of a value, with the value where it is short and says more."""
    if isinstance(value, type):
        return f"the class {value.__name__} itself: call it, {value.__name__}(...)"
    plain = isinstance(value, str | bytes | int | float | complex)
    return type(value).__name__ + (f" ({shown(value)})" if plain else "")


def returned(what: str, value: Any, expected: tuple[int, ...], like: Tensor) -> Tensor:
    """What a user's callable gave back: a tensor of one shape on the device of ``like``, cast to its dtype."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{what} returned {type(value).__name__}; it must return a torch tensor of shape {expected}"
        )
    if tuple(value.shape) != expected:
        raise ValueError(
            f"{what} returned shape {tuple(value.shape)}; it must return shape {expected}"
        )
    if value.device != like.device:
        alike(f"the value of {what}", value, "its argument", like)
    if value.dtype == like.dtype and value.layout is torch.strided:
        return value
    if value.is_complex() or value.layout is not torch.strided or value.is_quantized:
        raise TypeError(
            f"{what} returned a tensor of {value.dtype}, {value.layout}; it must return a dense one of real numbers"
        )
    return value.to(like.dtype)


def values(what: str, function: Any, points: Tensor) -> Tensor:
    """A user's function of points (n, d), called and checked: numbers (n,)."""
    return returned(what, called(what, function, points), (len(points),), points)
