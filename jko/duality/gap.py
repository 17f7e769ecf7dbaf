"""``Gap``: what is known of the distance from a value to the minimum over all measures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from jko.deprecation import Former, renamed
from jko.shown import Shown


@renamed(dual="lower_bound")
@dataclass(frozen=True, eq=False)
class Gap(Shown):
    """An upper bound on the distance from a value, of a step's objective or of an energy, to its minimum.

    Attributes
    ----------
    value : float
        The value asked about less ``lower_bound``; inf where nothing is known, and never negative on atoms.  At least
        the distance to the minimum where ``rigorous``; else the inner minima are the lowest that were found, so that
        ``lower_bound`` may lie above the minimum and ``value`` below the distance, of which the part above
        ``reachable`` is then all that is sure.
    rigorous : bool
        Whether the inner minimum was enclosed (in exact arithmetic), not estimated.
    reason : str
        How the inner minimum was found, or why the gap is inf.
    lower_bound : float
        Of the minimum over all measures (on their domain, if they have one); of a density, over all densities on its
        cells.  Where it is not ``rigorous``, what it would be if no inner minimum is lower than those found, and never
        above ``reachable``.
    reachable : float
        A value that some measure attains, so that the minimum is between ``lower_bound`` and ``reachable``.
    g : (M,)
        The prices that give the bound.

    Examples
    --------
    >>> import jko
    >>> gap = jko.step(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=1.0).certificate()
    >>> gap.rigorous, gap.value < 1e-2
    (True, True)
    """

    value: float
    rigorous: bool
    reason: str
    lower_bound: float
    reachable: float = math.inf
    g: Tensor | None = field(default=None, repr=False)

    gap = Former("value")

    @classmethod
    def unknown(cls, why: str, reachable: float = math.inf, g: Tensor | None = None) -> Gap:
        """No bound, and why there is none."""
        return cls(math.inf, False, why, -math.inf, reachable, g)

    def _facts(self) -> dict[str, object]:
        names = ("value", "rigorous", "lower_bound", "reachable", "reason")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        if self.value == math.inf:
            return f"gap unknown ({self.reason})"
        if self.rigorous:
            return f"gap <= {self.value:.3g}, minimum >= {self.lower_bound:.6g} (proved: {self.reason})"
        sure = max(self.value + self.lower_bound - self.reachable, 0.0)
        about = f"estimated {self.value:.3g}, minimum about {self.lower_bound:.6g}, no bounds"
        return f"gap >= {sure:.3g}, by a measure; {about} ({self.reason})"
