"""Values in a few characters: numbers rounded, arrays by their shape, functions by their name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from typing import Any

LIMIT = 100  # characters of a line
FEW = 4  # entries that are written out


def clipped(text: str, limit: int) -> str:
    """On one line, and no longer than that."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3].rstrip(" ,+-") + "..."


def call(name: str, facts: Mapping[str, Any], limit: int = LIMIT, bare: int = 0) -> str:
    """``Name(1, b=2)`` with as many facts as there is room for, the first ones without their names."""
    parts = (
        short(value) if k < bare else f"{key}={short(value)}"
        for k, (key, value) in enumerate(facts.items())
    )
    return joined(f"{name}(", parts, limit)


def joined(start: str, parts: Iterable[str], limit: int = LIMIT) -> str:
    """``start`` and the parts that fit, with commas between, and a closing bracket."""
    line, between = start, ""
    for part in parts:
        if len(line) + len(between) + len(part) > limit - len(", ...)"):
            return f"{line}{between}...)"
        line, between = line + between + part, ", "
    return line + ")"


def short(value: Any, limit: int = 60) -> str:
    """A value in a few characters."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return clipped(value, limit)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value)
    if isinstance(value, Mapping):
        return clipped("{" + ", ".join(map(str, value)) + "}", limit)
    if isinstance(value, (Sequence, set, frozenset)) and type(value).__repr__ in PLAIN:
        return clipped(_several(value), limit)
    plain: Any = object.__repr__
    if type(value).__repr__ is plain:  # its address says nothing
        return type(value).__name__
    if is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "_repr_html_"):
        return call(
            type(value).__name__, {f.name: getattr(value, f.name) for f in fields(value)}, limit
        )
    return clipped(function_name(value) or repr(value), limit)


PLAIN = {kind.__repr__ for kind in (tuple, list, set, frozenset)}


def function_name(value: Any) -> str:
    """What a function is called; empty for what is none."""
    if isinstance(value, partial):
        return function_name(value.func)
    name = getattr(value, "__name__", "")
    if callable(value) and isinstance(name, str) and name:
        return "function" if name == "<lambda>" else name
    return ""


def _several(values: Any) -> str:
    shown = [short(value, 30) for value in list(values)[:FEW]]
    more = [f"... {len(values)} in all"] if len(values) > FEW else []
    return "[" + ", ".join(shown + more) + "]"


def _array(values: Any) -> str:
    """Few plain numbers as they are, others by their shape."""
    shape = tuple(values.shape)
    if 0 < _count(shape) <= FEW:
        try:
            numbers = values.tolist()
        except RuntimeError:  # of a tensor that torch transforms
            return f"array {shape}"
        return _several(numbers) if isinstance(numbers, list) else short(numbers)
    return "x".join(map(str, shape)) + " array"


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count
