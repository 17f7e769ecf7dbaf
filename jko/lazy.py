"""Packages whose names load when they are asked for, from one table of where they live (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from jko.deprecation import found, warn


def lazy(
    package: str,
    homes: Mapping[str, str],
    former: Mapping[str, str] | None = None,
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__all__``, ``__getattr__`` and ``__dir__``.

    Parameters
    ----------
    package
        Its name, ``__name__``.
    homes
        module -> its names, in reading order, with blanks between; under ``package`` itself stand public modules.
        Type checkers do not run this: the stub ``__init__.pyi`` beside the package says the same to them.
    former
        Old names of the package, and the whole path of what each is now.  They warn.

    Whatever is public is found as an attribute of the package, and so is every module of it; ``dir`` shows what is
    public, and nothing else.
    """
    home = {name: module for module, names in homes.items() for name in names.split()}
    old = {} if former is None else former

    def attribute(name: str) -> Any:
        if name in old:
            warn(f"{package}.{name}", old[name])
            return found(old[name])
        if name in home and home[name] != package:
            value = found(f"{home[name]}.{name}")
            setattr(sys.modules[package], name, value)
            return value
        if name.startswith("_") or find_spec(f"{package}.{name}") is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return import_module(f"{package}.{name}")

    return list(home), attribute, lambda: sorted(home)
