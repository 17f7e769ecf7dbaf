"""Internal energies ``int U(rho)`` of a density: heat (4.1) and porous medium (4.6).

Atoms have no density, so on particles both are +inf; they say so instead of returning it.
"""

from dataclasses import dataclass
from typing import NoReturn

from torch import Tensor

from jko import checks
from jko.energies.base import Energy
from jko.measures import State


def _refuse(name: str, state: State) -> NoReturn:
    raise TypeError(
        f"{name} of {type(state).__name__} is +inf: atoms have no density. Leave this term out for particles; "
        "a state with a density is needed for it"
    )


@dataclass(frozen=True)
class Entropy(Energy):
    """``int rho log rho``, +inf where there is no density. Source: survey (4.1)."""

    convex = True

    def __call__(self, state: State) -> Tensor:
        """Refuse atoms."""
        _refuse("Entropy", state)

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """Refuse atoms."""
        _refuse("Entropy", state)


@dataclass(frozen=True)
class PorousMedium(Energy):
    """``1/(m (m - 1)) int rho^m`` with m > 1; m = 2 is the ``1/2 int mu^2`` of (4.6). Source: survey (4.6)."""

    m: float = 2.0
    convex = True

    def __post_init__(self) -> None:
        checks.number("m", self.m, above=1)

    def __call__(self, state: State) -> Tensor:
        """Refuse atoms."""
        _refuse("PorousMedium", state)

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """Refuse atoms."""
        _refuse("PorousMedium", state)
