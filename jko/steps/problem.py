"""The proximal problem of one JKO step.

``minimise over mu:  E(mu) + metric(mu, mu_k)^2 / (2 tau)``        survey Remark 3.4; Jordan, Kinderlehrer, Otto 1998
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from torch import Tensor

from jko import checks
from jko.energies import Energy, Evaluation, Parts, parts, sorted_terms
from jko.measures import ChargedParticles, Particles, State
from jko.metrics import GraphWasserstein, Metric, SplitWasserstein, Wasserstein, natural_metric
from jko.shown import Shown
from jko.spaces import Box, Cylinder, Domain, refuse_wrapped
from jko.steps.memory import Memory, Owned, taken_up

SMALLEST, LARGEST = 1e-290, 1e300  # squares between them have all their digits
VANISHING = 1e-140  # slopes below it have squares that may be zero


class Form(Enum):
    """What a metric is to a step; a solver names in ``forms`` those that it honours, by default NATURAL alone."""

    NATURAL = "the metric that the state moves in"
    SCALED = "the cost of the index coupling, with a factor for each coordinate"
    OWN_COST = "a cost of its own, known by its values and its slope"


@dataclass(frozen=True, eq=False)
class StepProblem(Shown):
    """Energy, metric, base point mu_k and time step tau of one step, without torch's record of where they came from.

    Atoms take any metric (see :class:`Form`); densities, meshes and spans move in the natural one alone.

    ``memory`` is what the previous step's solver left for this one (its evaluation at mu_k, curvature pairs); it
    changes the work, never the problem.  A solver that does not know it ignores it.  It is believed inside a flow,
    which knows whose it is; any other is compared here with an evaluation at mu_k, and dropped if it says otherwise.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[1.0]])
    >>> problem = jko.steps.StepProblem(jko.SquaredNorm(), jko.Wasserstein(), mu, 0.5)
    >>> round(float(jko.LBFGS(tol=1e-12).solve(problem).state.points), 9)  # x / (1 + tau)
    0.666666667
    """

    energy: Energy
    metric: Metric
    previous: State
    tau: float
    memory: Memory = field(default_factory=dict)

    def _facts(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("tau", "energy", "metric", "previous")}

    def __post_init__(self) -> None:
        checks.kind("energy", self.energy, Energy)
        checks.kind("the state", self.previous, State)
        object.__setattr__(self, "energy", self.energy.detach())
        object.__setattr__(self, "previous", self.previous.detach())
        checks.number("tau", self.tau, above=0)
        _refuse_unfit(self.metric, self.previous)
        for _, risk in sorted_terms(self.energy).risks:
            risk.neurons(self.previous)
        if self.form is not Form.NATURAL:
            refuse_wrapped(f"a step in {self.metric!r}", self.base.domain)
        if self.form is Form.OWN_COST:
            self.base.refuse_part(f"a step in {self.metric!r}")
        if self.scales is not None:
            _refuse_bent(self.base.domain, self.scales)
        memory, evaluation = taken_up(self.memory, self.energy, self.previous)
        object.__setattr__(self, "memory", memory)
        if evaluation is not None:
            self.__dict__["before"] = evaluation

    @cached_property
    def form(self) -> Form:
        """What the metric is to this step."""
        if type(self.metric) is type(natural_metric(self.previous)):
            return Form.NATURAL
        factors = self.metric.factors(self.base.dim)
        if factors is None:
            return Form.OWN_COST
        return Form.NATURAL if factors == (1.0,) else Form.SCALED

    @cached_property
    def scales(self) -> Tensor | None:
        """The metric's factors for the coordinates of the base point, (dim,); None where they are all one."""
        if self.form is not Form.SCALED:
            return None
        factors = self.base.points.new_tensor(self.metric.factors(self.base.dim))
        return factors.expand(self.base.dim)

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
        size = self.steepest
        if size == 0 or not size < VANISHING:
            return 1.0
        return math.ldexp(1.0, min(-math.frexp(size)[1], 1000))  # 2^1074 is no number

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        """The metric's inner product of vector fields, up to a factor where it would vanish.

        That of L2(mu_k; R^dim); where the metric is scaled, ``int sum_k s_k u_k v_k dmu_k``.
        """
        by = self.magnified
        return self._inner(u, v) if by == 1 else self._inner(by * u, by * v)

    def _inner(self, u: Tensor, v: Tensor) -> Tensor:
        return self.base.inner(u if self.scales is None else self.scales * u, v)

    def inners(self, u: Tensor, *pairs: tuple[Tensor, Tensor]) -> tuple[float, tuple[float, ...]]:
        """``square(u)``, and ``inner`` of each pair: all in one sum over the atoms."""
        if self.magnified != 1:
            return self.square(u), tuple(float(self.inner(*pair)) for pair in pairs)
        square, *rest = self._inners((u, u), *pairs)
        return square, tuple(rest)

    def _inners(self, *pairs: tuple[Tensor, Tensor]) -> list[float]:
        scales = self.scales
        scaled = pairs if scales is None else [(scales * u, v) for u, v in pairs]
        return self.base.inners(*scaled).tolist()

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """``inner`` of each of the fields (k, N, dim) with each of the fields (l, N, dim), shape (k, l), in one sum."""
        if self.magnified != 1:
            left, right = self.magnified * left, self.magnified * right
        return self.base.products(left if self.scales is None else self.scales * left, right)

    def norm(self, u: Tensor) -> float:
        """The norm of this inner product."""
        square = self.square(u)
        if in_range(square) or not u.numel():
            return square**0.5
        unit = self.base.largest(u.abs())  # squares that leave the range of numbers
        return unit * self.square(u / unit) ** 0.5 if 0 < unit < LARGEST else unit

    @property
    def size(self) -> float:
        """The norm of the base point."""
        return self._norms[0]

    @property
    def steepest(self) -> float:
        """The norm of the energy's slope there."""
        return self._norms[1]

    @cached_property
    def _norms(self) -> tuple[float, ...]:
        """Both, in one sum."""
        fields = self.base.points, self.raised(self.before.gradient)
        squares = self._inners(*((u, u) for u in fields))
        return tuple(
            square**0.5 if in_range(square) else self.norm(u)
            for u, square in zip(fields, squares, strict=True)
        )

    def square(self, u: Tensor) -> float:
        """The square of the norm, as it is: the cost of moving each atom by u."""
        return float(self._inner(u, u))

    def raised(self, gradient: Tensor) -> Tensor:
        """The gradient in the metric's inner product, of what has this one in L2: each coordinate over its factor."""
        return gradient if self.scales is None else gradient / self.scales

    def stretched(self, points: Tensor) -> Tensor:
        """Coordinates in which the metric is W2: times the roots of the factors."""
        return points if self.scales is None else points * self.scales.sqrt()


def in_range(square: float) -> bool:
    """Whether a square has all its digits, so that its root is the size of what was squared."""
    return SMALLEST < square < LARGEST


def _refuse_unfit(metric: Metric, state: State) -> None:
    """The natural metric fits every state; others fit atoms, but not those of other states."""
    wanted = natural_metric(state)
    if type(metric) is type(wanted):
        return
    kind, name = type(state).__name__, type(wanted).__name__
    atoms = isinstance(state, (Particles, ChargedParticles))
    also = "; only Particles and ChargedParticles take other metrics"
    hint = f"a {kind} moves in {wanted!r} here" + ("" if atoms else also)
    if not isinstance(metric, Metric):
        checks.kind("metric", metric, type(wanted), *([Metric] if atoms else []), hint=hint)
    if not atoms or type(metric) in (Wasserstein, GraphWasserstein, SplitWasserstein):
        raise TypeError(f"metric must be {name}, not {type(metric).__name__}; {hint}")


def _refuse_bent(domain: Domain | None, scales: Tensor) -> None:
    """The nearest point of a domain in a scaled metric is its projection only where that keeps to equal factors."""
    if isinstance(domain, Cylinder):
        _refuse_bent(domain.base, scales[1:])
    elif not (domain is None or isinstance(domain, Box) or bool((scales == scales[0]).all())):
        raise ValueError(
            f"the nearest point of {domain!r} in a scaled metric is not its projection; take a jko.Box, or equal "
            "scales for its coordinates"
        )
