"""``Gap``: what is known of the distance from a value to the minimum over all measures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Gap:
    """An upper bound on the distance to a minimum.

    Attributes
    ----------
    value : float
        ``objective - dual``; inf where nothing is known, and never negative on atoms.  A bound where ``rigorous``;
        else the inner minima are the lowest that were found, so that ``dual`` may lie above the minimum and ``value``
        below the gap, of which ``objective - reachable`` is then all that is sure.
    rigorous : bool
        Whether the inner minimum was enclosed (in exact arithmetic), not estimated.
    reason : str
        How the inner minimum was found, or why the gap is inf.
    dual : float
        The lower bound on the minimum over all measures; where it is not ``rigorous``, what it would be if no inner
        minimum is lower than those found, and never above ``reachable``.
    reachable : float
        A value that some measure attains, so that the minimum is between ``dual`` and ``reachable``.
    g : (M,)
        The prices that give the bound.
    """

    value: float
    rigorous: bool
    reason: str
    dual: float
    reachable: float = math.inf
    g: Tensor | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.rigorous:
            return f"gap <= {self.value:.3g} (proved: {self.reason})"
        if self.value == math.inf:
            return f"gap unknown ({self.reason})"
        sure = max(self.value + self.dual - self.reachable, 0.0)
        return (
            f"gap >= {sure:.3g}, by a measure; estimated {self.value:.3g}, no bound ({self.reason})"
        )
