"""The metric D of Remark 3.4 between pairs (rho, H): W2 between the graph lifts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jko import checks
from jko.measures import PAIRS, State, lifted
from jko.metrics.base import Distance, Metric
from jko.metrics.wasserstein import Wasserstein


@dataclass(frozen=True)
class GraphWasserstein(Metric):
    """``D^2 = min over couplings of rho_1, rho_2 of int |theta_1 - theta_2|^2 + |H_1(theta_1) - H_2(theta_2)|^2``.

    It equals ``W2((id, H_1)_# rho_1, (id, H_2)_# rho_2)``, since every coupling of the lifts lives on the two graphs;
    it is also known as the TL2 distance.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.ChargedParticles([[0.0]], [0.0]), jko.ChargedParticles([[3.0]], [4.0])
    >>> jko.GraphWasserstein().distance(a, b).value
    5.0
    """

    def cost(self, state: State, base: State) -> Tensor:
        """``sum_i m_i (|theta_i - theta'_i|^2 + |H_i - H'_i|^2)``; lifts keep their gradients."""
        return Wasserstein().cost(lifted(state), lifted(base))

    def distance(self, a: State, b: State) -> Distance:
        """D(a, b), with the plan between the atoms of rho_1 and rho_2."""
        for name, state in (("a", a), ("b", b)):
            checks.kind(
                name,
                state,
                *PAIRS,
                hint="D compares pairs (rho, H): use .project(), or Wasserstein()",
            )
        return Wasserstein().distance(lifted(a), lifted(b))
