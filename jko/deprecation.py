"""Old names, which work for one version more and say what the new ones are.

Whoever renames something public leaves a line here or there::

    __getattr__ = moved(__name__, stationary="jko.diagnostics.minimiser")  # at the end of a module


    @renamed(max_steps="max_iterations")  # arguments of a function, fields of a dataclass
    def barycentre(states, *, max_iterations=100): ...


    @by_name(2, "metric")  # arguments that had a place, and have a name only
    def distance(a, b, *, metric=None): ...


    class Barycentre:
        means = Former("states")  # an attribute

The warnings are :class:`DeprecationWarning` and point to the line that used the old name.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

GOES = "0.3"  # the version in which the old names are gone

F = TypeVar("F", bound=Callable[..., Any])


def warn(old: str, new: str, stacklevel: int = 2) -> None:
    """Say that ``old`` is now ``new``, at the line ``stacklevel`` calls above the caller."""
    warnings.warn(
        f"{old} is now {new}; the old name goes in version {GOES}",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )


def moved(module: str, /, **places: str) -> Callable[[str], Any]:
    """A module's ``__getattr__``: its old names, each with the whole path of what it is now.

    Raises
    ------
    AttributeError
        From what is returned, for names that the module never had.
    """

    def attribute(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warn(f"{module}.{name}", places[name])
        return found(places[name])

    return attribute


def found(path: str) -> Any:
    """The object at ``package.module.name``."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def renamed(**arguments: str) -> Callable[[F], F]:
    """Take the arguments of a function, or the fields of a dataclass, under their old names too: ``old="new"``.

    A dataclass is read under them as well.  ``@renamed`` stands above ``@dataclass``.

    Raises
    ------
    TypeError
        From what is decorated, where an argument is given under both names.

    Examples
    --------
    >>> @renamed(colour="color")
    ... def paint(color):
    ...     return f"painted {color}"
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     paint(colour="red")
    'painted red'
    >>> print(said[0].message)
    the argument colour of paint is now color; the old name goes in version 0.3
    """

    def decorate(target: F) -> F:
        if isinstance(target, type):
            function = target.__init__  # type: ignore[misc]
            target.__init__ = _accepting(function, target.__name__, arguments)  # type: ignore[misc]
            for old, new in arguments.items():
                setattr(target, old, Former(new, old))
            return target
        return _accepting(target, target.__name__, arguments)  # type: ignore[return-value]

    return decorate


def by_name(count: int, *names: str) -> Callable[[F], F]:
    """Take arguments by their place too that are given by name now.

    Parameters
    ----------
    count
        How many arguments stand before them.
    names
        Theirs, in the order of their places.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def accepting(*args: Any, **kwargs: Any) -> Any:
            placed = dict(zip(names, args[count:], strict=False))
            if not placed or len(args) > count + len(names) or placed.keys() & kwargs.keys():
                return function(*args, **kwargs)
            for k, name in enumerate(placed, start=count + 1):
                warn(f"argument {k} of {function.__name__}", f"{name}=...")
            return function(*args[:count], **placed, **kwargs)

        return accepting  # type: ignore[return-value]

    return decorate


def _accepting(
    function: Callable[..., Any], name: str, arguments: dict[str, str]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def accepting(*args: Any, **kwargs: Any) -> Any:
        for old in arguments.keys() & kwargs.keys():
            new = arguments[old]
            if new in kwargs:
                raise TypeError(f"{name} takes {new} once; {old} is its old name")
            warn(f"the argument {old} of {name}", new)
            kwargs[new] = kwargs.pop(old)
        return function(*args, **kwargs)

    return accepting


class Former:
    """An attribute's old name, to stand in the class: ``taus = Former("parameters")``."""

    def __init__(self, new: str, old: str = "") -> None:
        self.new = new
        self.old = old

    def __set_name__(self, owner: type, name: str) -> None:
        """The old name is the one that it is bound to."""
        self.old = name

    def __get__(self, instance: object, owner: type) -> Any:
        """The attribute by its new name, with a warning."""
        if instance is None:
            raise AttributeError(f"type object {owner.__name__!r} has no attribute {self.old!r}")
        warn(f"{owner.__name__}.{self.old}", self.new)
        return getattr(instance, self.new)
