"""Frozen dataclasses that are filled once and copied with other fields, and the kinds below an abstract one."""

from __future__ import annotations

from inspect import isabstract
from typing import Any, TypeVar

from jko.measures.tensors import OfTensors
from jko.shown import Shown

T = TypeVar("T", bound="Frozen")


class Frozen(Shown, OfTensors):
    """A base of frozen dataclasses; what is cached beside the fields is not copied."""

    def _fill(self, **values: Any) -> None:
        """Set the fields, once."""
        self.__dict__.update(values)

    def _with(self: T, **changes: Any) -> T:
        """The same with other fields; trusted, not checked."""
        return self._made(**self._attributes() | changes)

    def _attributes(self) -> dict[str, Any]:
        """The fields."""
        mine = self.__dict__
        return {name: mine[name] for name in self.__dataclass_fields__ if name in mine}  # type: ignore[attr-defined]

    @classmethod
    def _made(cls: type[T], **values: Any) -> T:
        """One of these fields; trusted, not checked."""
        new = object.__new__(cls)
        new._fill(**values)
        return new

    @classmethod
    def kinds(cls: type[T]) -> list[type[T]]:
        """The classes that an abstract one stands for, other people's among them: what a sentence names."""
        if not isabstract(cls):
            return [cls]
        return list(dict.fromkeys(kind for child in cls.__subclasses__() for kind in child.kinds()))
