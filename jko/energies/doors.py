"""The doors of an energy, where a state comes in: what is none is refused, what requires gradients is recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures import State

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
        asked = torch.is_grad_enabled() and not found.requires_grad
        if asked and any(part is not None and part.requires_grad for part in (state, at, self)):
            return _differentiable(self, state, at)
        return found

    return gradient if door.__name__ == "gradient" else of_state


def _differentiable(energy: Any, state: State, at: Tensor | None) -> Tensor:
    """``grad dE/dmu`` at the points, made from the variation so that torch can differentiate it again."""
    points = state.atoms.points if at is None else at
    z = points.view_as(points) if points.requires_grad else points.detach().requires_grad_()
    variation = energy.variation(state, z)
    return torch.autograd.grad(variation.sum(), z, create_graph=True, materialize_grads=True)[0]


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
