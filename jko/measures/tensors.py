"""What is made of tensors, as a tensor itself: converted, moved to a device, cut off from its record, as a whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from jko import checks

T = TypeVar("T", bound="OfTensors")
P = ParamSpec("P")
R = TypeVar("R")


class OfTensors:
    """A base of frozen classes whose attributes are tensors, tuples of them, and things that are made of tensors."""

    @abstractmethod
    def _attributes(self) -> Mapping[str, Any]:
        """What it is made of, by name."""

    @abstractmethod
    def _with(self: T, **changes: Any) -> T:
        """The same with other attributes, without what was cached."""

    def _each(self: T, change: Callable[[Any], Any]) -> T:
        """The same with each tensor, and each part that is made of tensors, changed; itself where nothing does."""
        parts = self._attributes()
        new = {name: _changed(part, change) for name, part in parts.items()}
        changes = {name: part for name, part in new.items() if part is not parts[name]}
        return self._with(**changes) if changes else self

    @property
    def requires_grad(self) -> bool:
        """Whether torch records what is made of it: a tensor that it was built from required a gradient."""
        return any(map(_requires_grad, self._attributes().values()))

    def detach(self: T) -> T:
        """The same numbers without a record of where they came from; itself where there is none."""
        return self._each(lambda part: part.detach() if part.requires_grad else part)

    def to(self: T, *args: Any, **kwargs: Any) -> T:
        """The same on another device, or of another dtype, in the words of :meth:`torch.Tensor.to`.

        ``.to(device)``, ``.to(dtype)``, ``.to(device, dtype)``, ``.to(other_tensor)``; itself where nothing changes.
        Gradients flow through.  Masses that were rounded to float32 sum to one again in float64.  Domains and grids are
        the same for all: they take over device and dtype of the points that they are asked about.  Functions stay as
        they are: what a potential or an activation of one's own reads must be converted where it was made.

        Raises
        ------
        TypeError
            A dtype that is neither float64 nor float32, or a device without numbers, such as 'meta'.
        RuntimeError, AssertionError
            Torch's own, of a device that there is not.

        Examples
        --------
        >>> import jko, torch
        >>> jko.Particles([[0.0], [1.0]]).to(torch.float32).points.dtype
        torch.float32
        """

        def converted(part: Any) -> Any:
            return (_converted if isinstance(part, Tensor) else type(part).to)(
                part, *args, **kwargs
            )

        return self._each(converted)

    def double(self: T) -> T:
        """The same in float64."""
        return self.to(torch.float64)

    def float(self: T) -> T:
        """The same in float32."""
        return self.to(torch.float32)

    def cpu(self: T) -> T:
        """The same on the CPU."""
        return self.to("cpu")

    def cuda(self: T) -> T:
        """The same on the current GPU."""
        return self.to("cuda")


def _changed(part: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(part, (Tensor, OfTensors)):
        return change(part)
    if type(part) is tuple:
        new = tuple(_changed(one, change) for one in part)
        return part if all(a is b for a, b in zip(new, part, strict=True)) else new
    return part


def _requires_grad(part: Any) -> bool:
    if isinstance(part, (Tensor, OfTensors)):
        return part.requires_grad
    return type(part) is tuple and any(map(_requires_grad, part))


def _converted(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``tensor.to(...)``; of whole numbers and truth values only the device changes."""
    if tensor.is_floating_point():
        return checks.numbers("what .to(...) makes", tensor.to(*args, **kwargs))
    return tensor.to(torch.empty(0, device=tensor.device).to(*args, **kwargs).device)


def on_numbers(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, of the numbers of its arguments alone: states and energies reach it without a record.

    For all that gives numbers and not tensors: so it leaves nothing in torch's record, and reads nothing from it.
    """

    @wraps(function)
    def of_numbers(*args: P.args, **named: P.kwargs) -> R:
        plain = [_numbers(part) for part in args]
        return function(*plain, **{name: _numbers(part) for name, part in named.items()})

    return of_numbers


def _numbers(part: Any) -> Any:
    if type(part) in (list, tuple):  # of states
        return type(part)(one.detach() if isinstance(one, OfTensors) else one for one in part)
    return part.detach() if isinstance(part, OfTensors) else part
