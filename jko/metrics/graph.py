"""The metric D of Remark 3.4 between pairs (rho, H): W2 between the graph lifts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jko import checks
from jko.measures import Pair, State, YoungMeasure
from jko.metrics.alike import alike
from jko.metrics.base import Distance, Metric
from jko.metrics.lifted import lifted_distance
from jko.metrics.wasserstein import Wasserstein


@dataclass(frozen=True)
class GraphWasserstein(Metric):
    """``D^2 = min over couplings of rho_1, rho_2 of int |theta_1 - theta_2|^2 + |H_1(theta_1) - H_2(theta_2)|^2``.

    It equals ``W2((id, H_1)_# rho_1, (id, H_2)_# rho_2)``, since every coupling of the lifts lives on the two graphs;
    it is also known as the TL2 distance.

    The two pairs may be of different kinds.  A :class:`jko.ChargedDensity` is read as atoms at the centres of its
    cells, a :class:`jko.ChargedMesh` as its nodes: between those D is exact, at any size.  Against the density itself
    the centres are off by the square of the spacing.

    On the completion of the pairs, which is P2(R x Theta), D is W2: a :class:`jko.measures.YoungMeasure` may stand in
    place of either pair.

    Source: survey Remark 3.4.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.ChargedParticles([[0.0]], [0.0]), jko.ChargedParticles([[3.0]], [4.0])
    >>> jko.GraphWasserstein().distance(a, b).value
    5.0
    """

    def factors(self, dim: int) -> tuple[float, ...]:
        """All one: the index coupling of the lifts stands for D."""
        return (1.0,)

    def cost(self, state: State, base: State) -> Tensor:
        """``sum_i m_i (|theta_i - theta'_i|^2 + |H_i - H'_i|^2)``; lifts keep their gradients."""
        return Wasserstein().cost(state.atoms, base.atoms)

    def distance(self, a: State, b: State) -> Distance:
        """D(a, b), exact.

        The plan and the potentials are indexed by the atoms, nodes or cells of the two.  Cells without mass are
        in no pair of the plan, but have potentials: the largest that those of the other side allow.  Where H is NaN,
        they are those of w = 0.
        """
        for name, state in (("a", a), ("b", b)):
            checks.kind(
                name,
                state,
                Pair,
                YoungMeasure,
                hint="D compares pairs (rho, H): use .project(), or Wasserstein() between .lift()s",
            )
        return lifted_distance(*alike(a, b, seams=True))
