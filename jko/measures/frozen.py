"""Frozen dataclasses that are filled once and copied with other fields, and the kinds below an abstract one."""

from __future__ import annotations

from dataclasses import fields
from inspect import isabstract
from typing import Any, TypeVar

T = TypeVar("T", bound="Frozen")


class Frozen:
    """A base of frozen dataclasses; what is cached beside the fields is not copied."""

    def _fill(self, **values: Any) -> None:
        """Set the fields, once."""
        self.__dict__.update(values)

    def _with(self: T, **changes: Any) -> T:
        """The same with other fields; trusted, not checked."""
        new = object.__new__(type(self))
        new._fill(**{f.name: self.__dict__[f.name] for f in fields(self)} | changes)  # type: ignore[arg-type]
        return new

    @classmethod
    def kinds(cls: type[T]) -> list[type[T]]:
        """The classes that an abstract one stands for, other people's among them: what a sentence names."""
        if not isabstract(cls):
            return [cls]
        return list(dict.fromkeys(kind for child in cls.__subclasses__() for kind in child.kinds()))
