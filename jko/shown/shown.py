"""The base of everything that shows itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from inspect import signature
from typing import Any, TypeVar

from jko.shown.cells import cell
from jko.shown.lines import LIMIT, call, clipped

T = TypeVar("T")


class Shown:
    """Shows itself: at a prompt as one line, in a notebook as a small table, with a picture where one serves.

    Both come from :meth:`_facts`, by default the fields of a dataclass, or what the object was given.  Subclasses get
    both for nothing, also where a dataclass would write its own line.  The line is to be read, not to be evaluated.
    """

    _bare = 0  # facts that stand in the line without their names

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "__repr__" not in vars(cls):  # or a dataclass writes one
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def _facts(self) -> Mapping[str, Any]:
        """What there is to know, by name, the most important first."""
        if isinstance(self, tuple):  # a named one
            return self._asdict()  # type: ignore[attr-defined]
        if is_dataclass(self):
            return {f.name: getattr(self, f.name) for f in fields(self) if f.repr}
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def _line(self) -> str:
        """In one line: its facts, without fields that are at their default."""
        facts = {
            name: value
            for name, value in self._facts().items()
            if value is not None and not _usual(self, name)
        }
        return call(type(self).__name__, facts, bare=self._bare)

    def _picture(self) -> str:
        """SVG, or nothing; of :mod:`jko.shown.svg`."""
        return ""

    def __repr__(self) -> str:
        return clipped(self._line(), LIMIT)

    def _repr_html_(self) -> str:
        """The table and the picture, for notebooks."""
        return cell(self._line(), type(self).__name__, self._facts(), self._picture())


def _usual(thing: Any, name: str) -> bool:
    """Whether a field is at its default: that of the dataclass, or of a constructor written by hand."""
    field = getattr(thing, "__dataclass_fields__", {}).get(name)
    if field is None:
        return False
    usual = field.default_factory() if field.default_factory is not MISSING else field.default
    if usual is MISSING:
        parameter = signature(type(thing)).parameters.get(name)
        usual = MISSING if parameter is None else parameter.default
    value = getattr(thing, name)
    return value is usual or (type(value) is type(usual) and _equal(value, usual))


def _equal(a: Any, b: Any) -> bool:
    same = a == b
    return same if isinstance(same, bool) else False


def shown(kind: type[T]) -> type[T]:
    """A class that cannot inherit, such as a named tuple, shows itself as :class:`Shown` does."""
    for name in ("_bare", "_facts", "_line", "_picture", "__repr__", "_repr_html_"):
        if name not in vars(kind) or name == "__repr__":
            setattr(kind, name, vars(Shown)[name])
    return kind
