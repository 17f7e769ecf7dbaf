"""The doors of an energy, where a state comes in: what is none is refused, what requires gradients is recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures import State

SAME = {torch.float64: 1e-6, torch.float32: 1e-3}  # what two ways to a gradient may differ by
DOORS = ("__call__", "variation", "gradient")  # of an energy: what is called with a state


def guarded(door: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same, which refuses what is no state in a sentence; a gradient is differentiable where its state is."""

    @wraps(door)
    def of_state(self: Any, state: State, *at: Any, **named: Any) -> Tensor:
        try:
            return door(self, state, *at, **named)
        except AttributeError:  # asked only now, so that a state pays nothing
            checks.kind("the state", state, State, hint="build it by jko.Particles(points)")
            raise

    @wraps(door)
    def gradient(self: Any, state: State, at: Tensor | None = None) -> Tensor:
        found = of_state(self, state, at)
        if torch.is_grad_enabled():
            parts = (state, self) if at is None else (state, self, at)
            if any(part.requires_grad for part in parts):
                return _differentiable(self, state, at, found)
        return found

    return gradient if door.__name__ == "gradient" else of_state


def _differentiable(energy: Any, state: State, at: Tensor | None, found: Tensor) -> Tensor:
    """The gradient ``found``, made from the variation so that torch can differentiate it again."""
    points = state.atoms.points if at is None else at
    z = points.view_as(points) if points.requires_grad else points.detach().requires_grad_()
    variation = energy.variation(state, z)
    if not variation.requires_grad:
        return found
    total = variation.sum()
    new = torch.autograd.grad(total, z, create_graph=True, materialize_grads=True)[0]
    wrong = (new - found).detach().abs().max() > SAME[new.dtype] * (1 + found.detach().abs().max())
    if bool(wrong):
        raise ValueError(
            f"the gradient of {type(energy).__name__} is here not the slope of its variation, and cannot be "
            "differentiated; differentiate its value, or ask within torch.no_grad()"
        )
    return new


def value_of(energy: Callable[[State], Any], state: State) -> float:
    """E(state) as a number, of which torch records nothing.

    Examples
    --------
    >>> import jko
    >>> jko.energies.value_of(jko.SquaredNorm(), jko.Particles([[2.0]]))
    2.0
    """
    with torch.no_grad():
        return float(energy(state))
