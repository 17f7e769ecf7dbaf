"""What tells the three systems for (rho, H) apart: two answers, which all their solvers read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jko.shown import Shown

Noise = Literal["carried", "literal", "averaged"]
#: of the velocity of diffusion, ``-c grad log rho``: how much of it carries H where noise is in theta
CARRIES: dict[Noise, float] = {"carried": 1.0, "literal": 0.0, "averaged": 2.0}

Field = TypeVar("Field", NDArray[np.float64], Tensor)


@dataclass(frozen=True)
class Rule(Shown):
    """How (rho, H) moves: ``d_t rho + div(rho u) = 0`` and ``d_t H + a . grad H = -p``, p = d_w (dF/dmu)(H, theta).

    Attributes
    ----------
    equation : str
        Its number in the survey.
    total : bool
        Whether u differentiates ``theta -> phi(H(theta), theta)`` through H.
    carried : bool
        Whether u carries H along: a = u; else a = 0.
    """

    equation: str
    total: bool
    carried: bool

    def velocity(self, w: Field, p: Field, B: Field) -> Field:
        """u, from ``w = -(grad_theta phi)(H, theta)`` and ``B = grad H``: ``w - p B``, or w where H is held."""
        return w - p * B if self.total else w
