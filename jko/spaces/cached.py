"""Properties that are computed once."""

from functools import cached_property
from typing import Any, TypeVar

import torch

T = TypeVar("T")


class cached(cached_property[T]):  # noqa: N801 (a decorator, like its base)
    """A cached property whose tensors are ordinary ones, even if first asked for in ``torch.inference_mode``."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        """The value, computed once."""
        if not torch.is_inference_mode_enabled():
            return super().__get__(instance, owner)
        with torch.inference_mode(False), torch.no_grad():
            return super().__get__(instance, owner)
