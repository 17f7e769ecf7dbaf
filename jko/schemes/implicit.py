"""``Implicit``: the JKO scheme itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jko.energies import Energy
from jko.measures import State
from jko.metrics import Metric
from jko.shown import Shown
from jko.steps import Memory, Solver, StepResult, step


@dataclass(frozen=True)
class Implicit(Shown):
    """The JKO scheme itself: one step of length tau, first order in tau.

    ``E(mu_{k+1}) + |mu_{k+1} mu_k|^2 / (2 tau) <= E(mu_k)`` at any tau.

    Source: survey Remark 3.4; Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).

    Examples
    --------
    >>> import jko
    >>> start, E = jko.Particles([[1.0]]), jko.SquaredNorm()
    >>> a, b = (
    ...     jko.flow(E, start, tau=0.5, steps=1, **kind)
    ...     for kind in ({}, {"scheme": jko.Implicit()})
    ... )
    >>> bool(a.energies[-1] == b.energies[-1])
    True
    """

    order: ClassVar[int] = 1
    growth: ClassVar[float] = 2.5

    def constant(self, ratio: float) -> float:
        """C of the local error ``C tau^2 X''``."""
        return 0.5

    def advance(
        self,
        energy: Energy,
        state: State,
        *,
        tau: float,
        metric: Metric | None = None,
        solver: Solver | None = None,
        memory: Memory | None = None,
    ) -> StepResult:
        """One JKO step."""
        return step(
            energy, state, tau=tau, metric=metric, solver=solver, memory=memory, throw=False
        )
