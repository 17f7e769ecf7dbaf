"""What following a density found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jko.diagnostics.graphs.folding import FoldFree
from jko.measures import Particles
from jko.shown import Shown, svg

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Smoothness(Shown):
    """How a density grows and steepens along a flow, at the labels where it was looked at.

    Attributes
    ----------
    times : (K,)
        From 0 to the first of: t1, a fold, a wall.
    heights : (K,)
        ``sup mu_t / sup mu_0``, suprema over labels; without a density the largest ``1 / det J``, a bound on it.
    bounds : (K,)
        ``exp int_0^t sup tr A``, which is no less.
    least, largest : (K,)
        The least and largest ``det J``.
    slopes : (K,) or None
        ``sup |grad log mu_t|``, of measures whose density was given.
    factor : float
        The growth up to which the density counts as smooth.
    guaranteed, measured : float
        When ``bounds`` and ``heights`` reach ``factor``; inf if they do not.
    wall : float
        When a label leaves the domain, where the run ends; inf if none does.
    doubt : float or None
        Of a measure: the largest difference of ``log det J`` and of the integral of ``-tr A`` over labels, the error of
        both.
    lifetime : FoldFree or None
        Of a pair: how long the graph of H is guaranteed to live, and its first fold.
    final : Particles
        The labels at the last time; of a pair on its lift.
    J : (N, k, k)
        The derivative of the flow map there, k = dim; of a pair k = d.
    log_density, score : (N,), (N, dim) or None
        ``log mu`` there, and its gradient, of measures whose density was given; of pairs ``log rho`` on grids.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[1.0, 0.0], [0.0, 2.0]])
    >>> found = jko.diagnostics.smoothness(jko.SquaredNorm(), mu, t1=1.0)
    >>> round(float(found.J[0].det()), 6), round(float(found.bounds[-1]), 4)  # e^-2, e^2
    (0.135335, 7.3891)
    """

    times: Array = field(repr=False)
    heights: Array = field(repr=False)
    bounds: Array = field(repr=False)
    least: Array = field(repr=False)
    largest: Array = field(repr=False)
    slopes: Array | None = field(repr=False)
    factor: float
    guaranteed: float
    measured: float
    wall: float
    doubt: float | None
    lifetime: FoldFree | None
    final: Particles = field(repr=False)
    J: Tensor = field(repr=False)
    log_density: Tensor | None = field(repr=False)
    score: Tensor | None = field(repr=False)

    @property
    def fold(self) -> float:
        """When the graph of a pair folds, and rho is infinite; inf if it does not."""
        return math.inf if self.lifetime is None else self.lifetime.fold

    def _facts(self) -> dict[str, object]:
        seen: dict[str, object] = {
            "height": f"1 -> {self.heights[-1]:.4g} by t = {self.times[-1]:.4g}",
            "bound": float(self.bounds[-1]),
            "guaranteed": self.guaranteed,
            "measured": self.measured,
        }
        if self.slopes is not None:
            seen["slope"] = f"{self.slopes[0]:.4g} -> {self.slopes[-1]:.4g}"
        if self.lifetime is not None:
            seen |= {"no fold before": self.lifetime.guaranteed, "fold": self.fold}
        if self.wall < math.inf:
            seen["wall"] = self.wall
        return seen if self.doubt is None else seen | {"doubt": self.doubt}

    def __str__(self) -> str:
        return "\n".join(
            f"{name:<16}{value if isinstance(value, str) else f'{value:.6g}'}"
            for name, value in self._facts().items()
        )

    def _picture(self) -> str:
        return svg.curve(self.times, self.heights, "largest density, of that at the start")
