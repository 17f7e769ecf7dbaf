"""The proximal problem of one JKO step.

``minimise over mu:  E(mu) + metric(mu, mu_k)^2 / (2 tau)``        survey Remark 3.4; Jordan, Kinderlehrer, Otto 1998
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from jko import checks
from jko.energies import Energy, Evaluation, Parts, parts
from jko.measures import Particles, State
from jko.metrics import Metric, natural_metric
from jko.steps.memory import Memory, Owned, taken_up

SMALLEST, LARGEST = 1e-290, 1e300  # squares between them have all their digits
VANISHING = 1e-140  # slopes below it have squares that may be zero


@dataclass(frozen=True, eq=False)
class StepProblem:
    """Energy, metric, base point mu_k and time step tau of one step.

    ``memory`` is what the previous step's solver left for this one (its evaluation at mu_k, curvature pairs); it
    changes the work, never the problem.  A solver that does not know it ignores it.  It is believed inside a flow,
    which knows whose it is; any other is compared here with an evaluation at mu_k, and dropped if it says otherwise.
    """

    energy: Energy
    metric: Metric
    previous: State
    tau: float
    memory: Memory = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.kind(
            "energy",
            self.energy,
            Energy,
            hint="build it from jko.Risk, jko.Potential, ... by + and *",
        )
        checks.kind("the state", self.previous, State)
        checks.number("tau", self.tau, above=0)
        wanted = natural_metric(self.previous)
        checks.kind(
            "metric",
            self.metric,
            type(wanted),
            hint=f"a {type(self.previous).__name__} moves in {wanted!r} here",
        )
        memory, evaluation = taken_up(self.memory, self.energy, self.previous)
        object.__setattr__(self, "memory", memory)
        if evaluation is not None:
            self.__dict__["before"] = evaluation

    @cached_property
    def base(self) -> Particles:
        """The base point as a measure on Omega: mu_k, or the lift of (rho_k, H_k)."""
        return self.previous.atoms

    @cached_property
    def before(self) -> Evaluation:
        """The energy, its variation and gradient at the base point; taken from the memory when it is there."""
        if all(name in self.memory for name in Evaluation._fields):
            return Evaluation(*(self.memory[name] for name in Evaluation._fields))
        return self.energy.evaluate(self.base)

    @cached_property
    def parts(self) -> Parts:
        """The terms of the energy on the atoms of the base point, sorted by kind."""
        return parts(self.energy, self.previous)

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What belongs to the energy and ``key`` alone: of the flow, where this is one of its steps, else made now."""
        memory = self.memory
        if isinstance(memory, Owned) and memory.keep.open and memory.keep.energy is self.energy:
            return memory.keep.get(key, make)
        return make()

    def state(self, points: Tensor) -> State:
        """A state of the kind of the base point, with the atoms at ``points``."""
        return self.previous.placed(points)

    @cached_property
    def magnified(self) -> float:
        """The power of two by which ``inner`` multiplies both fields: 1, but where squares of slopes would vanish."""
        size = self.norm(self.before.gradient)
        if size == 0 or not size < VANISHING:
            return 1.0
        return math.ldexp(1.0, min(-math.frexp(size)[1], 1000))  # 2^1074 is no number

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        """The inner product of vector fields in L2(mu_k; R^dim), up to a factor where it would vanish."""
        by = self.magnified
        return self.base.inner(u, v) if by == 1 else self.base.inner(by * u, by * v)

    def norm(self, u: Tensor) -> float:
        """The norm of L2(mu_k; R^dim)."""
        square = float(self.base.inner(u, u))
        if SMALLEST < square < LARGEST or not u.numel():
            return square**0.5
        unit = float(u.abs().max())  # squares that leave the range of numbers
        return (
            unit * float(self.base.inner(u / unit, u / unit)) ** 0.5 if 0 < unit < LARGEST else unit
        )
