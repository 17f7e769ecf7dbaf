"""Properties that are computed once."""

from functools import cached_property
from typing import Any, TypeVar

import torch

T = TypeVar("T")


class cached(cached_property[T]):  # noqa: N801 (a decorator, like its base)
    """A cached property whose tensors are ordinary ones, even if first asked for in ``torch.inference_mode``.

    Of what requires gradients nothing is kept: whether a value is recorded depends on who asks, and when.

    Examples
    --------
    >>> from jko.spaces import cached
    >>> class Square:
    ...     side = 3
    ...
    ...     @cached
    ...     def area(self):
    ...         return self.side**2
    >>> Square().area
    9
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        """The value, computed once."""
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False), torch.no_grad():
                value = super().__get__(instance, owner)
        else:
            value = super().__get__(instance, owner)
        if getattr(instance, "requires_grad", False):
            instance.__dict__.pop(self.attrname, None)
        return value
