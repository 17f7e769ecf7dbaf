"""What a method shows by a layer above its own, such as a picture: a door, not an arrow."""

from importlib import import_module
from typing import Any


def above(path: str) -> Any:
    """The object at ``package.module.name``, loaded when it is asked for.

    For methods that people look for on an object and whose body stands in a layer that knows the object: nothing else
    of the object's layer depends on it.
    """
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
