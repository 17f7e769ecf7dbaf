"""What a step pays for moving the atoms of mu_k: the cost of a coupling, or the metric's own.

``minimise over T:  E(T_# mu_k) + penalty(T) / (2 tau)``, with T in L2(mu_k; R^dim)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from jko.derivatives import leaf, recording
from jko.energies import Evaluation
from jko.metrics import OWN_COST, Certificate, OnRequest, Plan, as_array, certify_plan, examined
from jko.metrics.wrapped import Seam
from jko.metrics.wrapped_proofs import certify_wrapped
from jko.spaces import wraps
from jko.steps.linesearch import Evaluator, Pair, Point, with_gradient
from jko.steps.problem import Form, StepProblem, in_range

BELOW = 1e-6  # of the second moments: how far below zero a cost may be, for metrics that iterate


class Penalty(ABC):
    """A cost of the positions T of the atoms, with its slope."""

    partners: Tensor  # where each atom came from

    @abstractmethod
    def point(
        self,
        problem: StepProblem,
        points: Tensor,
        energy: Evaluation,
        *pairs: Pair,
    ) -> Point:
        """The objective at ``points``, of which the energy is known, with the sums of an :class:`Evaluator`."""

    def distance(self, problem: StepProblem, point: Point) -> float:
        """``|T - y|``, how far the atoms are from where they came from."""
        if in_range(point.square) or point.x is self.partners:
            return point.square**0.5
        return problem.norm(point.x - self.partners)

    @abstractmethod
    def length(self, problem: StepProblem, point: Point) -> float:
        """The norm of the penalty's slope, times tau: ``|T - y|`` for a coupling."""

    @abstractmethod
    def prove(self, problem: StepProblem, point: Point, exact_plans: bool) -> Certificate:
        """Whether the cost is the squared distance, and a better plan where it is not."""

    def promised(self, problem: StepProblem, point: Point) -> Certificate:
        """What ``prove`` would say, on request."""
        examine = partial(self.prove, problem, point, False)
        return OnRequest(examine, point.cost)

    def objective(self, problem: StepProblem) -> Evaluator:
        """T -> ``E(T_# mu_k) + cost / (2 tau)``, with its gradient in the metric's inner product."""
        base = problem.base

        def evaluate(x: Tensor, *pairs: Pair) -> Point:
            return self.point(problem, x, problem.energy.evaluate(base.moved(x)), *pairs)

        return evaluate

    def start(self, problem: StepProblem, points: Tensor) -> Point:
        """The objective at ``points``; nothing is evaluated again at the base point."""
        if points is problem.base.points:
            return self.point(problem, points, problem.before)
        return self.objective(problem)(points)


@dataclass(frozen=True, eq=False)
class Coupling(Penalty):
    """The coupling held fixed by a minimisation: partner y_i of atom i, and the cost that no map can remove."""

    partners: Tensor
    variance: float = 0.0
    plan: Plan | None = None  # None: the index coupling

    def point(
        self,
        problem: StepProblem,
        points: Tensor,
        energy: Evaluation,
        *pairs: Pair,
    ) -> Point:
        """The slope of the cost over 2 tau is ``(T - y) / tau``, in any scaled metric too."""
        gradient, square, sums = problem.raised(energy.gradient), 0.0, tuple[float, ...]()
        if pairs or points is not self.partners:
            z = points - self.partners
            gradient = torch.add(gradient, z, alpha=1 / problem.tau)
            square, sums = problem.inners(z, *with_gradient(gradient, pairs))
        cost = square + self.variance
        value = float(energy.value) + cost / (2 * problem.tau)
        return Point(points, value, gradient, energy, cost, square, sums)

    def length(self, problem: StepProblem, point: Point) -> float:
        """``|T - y|``."""
        return self.distance(problem, point)

    def prove(self, problem: StepProblem, point: Point, exact_plans: bool) -> Certificate:
        """Whether the coupling is optimal between the new atoms and the old ones, and a better plan if it is not."""
        base, potential = problem.base, problem.tau * point.energy.variation
        x, y = (as_array(problem.stretched(p)) for p in (point.x, base.points))
        if self.plan is None and not exact_plans:
            return examined(base, x, y, as_array(potential))
        base.refuse_part("an exact plan")
        m = as_array(base.weights)
        if wraps(base.domain):
            return certify_wrapped(x, y, m, Seam.of(base.domain), point.cost)
        return certify_plan(x, y, m, self.plan or Plan.identity(m))


@dataclass(frozen=True, eq=False)
class OwnCost(Penalty):
    """``metric.cost(T_# mu_k, mu_k)``, differentiated by torch; nothing is known of it but values and slopes."""

    partners: Tensor

    def cost(self, problem: StepProblem, points: Tensor) -> float:
        """The metric's own cost."""
        return self._sloped(problem, points)[0]

    def point(
        self,
        problem: StepProblem,
        points: Tensor,
        energy: Evaluation,
        *pairs: Pair,
    ) -> Point:
        """No point where the atoms are at no state: two of a pair (rho, H) have met."""
        cost, slope = self._sloped(problem, points)
        value = float(energy.value) + cost / (2 * problem.tau)
        gradient = energy.gradient + slope / (2 * problem.tau)
        z = points - self.partners
        square, sums = problem.inners(z, *with_gradient(gradient, pairs))
        return Point(points, value, gradient, energy, cost, square, sums)

    def length(self, problem: StepProblem, point: Point) -> float:
        """tau times what the objective's slope has besides the energy's."""
        return problem.tau * problem.norm(point.gradient - point.energy.gradient)

    def prove(self, problem: StepProblem, point: Point, exact_plans: bool) -> Certificate:
        """Nothing to prove: the cost is the metric's own."""
        return OWN_COST

    def promised(self, problem: StepProblem, point: Point) -> Certificate:
        """The same."""
        return OWN_COST

    def _sloped(self, problem: StepProblem, points: Tensor) -> tuple[float, Tensor]:
        """The cost, checked, and its gradient in L2(mu_k)."""
        name = f"{type(problem.metric).__name__}.cost"
        with recording():
            x = leaf(points)
            try:
                state = problem.state(x)
            except ValueError:
                return math.inf, torch.full_like(points, math.nan)
            cost = differentiable(name, problem.metric.cost(state, problem.previous), points)
            (slope,) = torch.autograd.grad(cost, x, allow_unused=True)
        if slope is None:
            raise _unrecorded(name)
        value, slope = float(cost.detach()), slope / problem.base.weights[:, None]
        _refuse_wrong(name, value, problem, points)
        return value, slope


def differentiable(name: str, cost: object, like: Tensor) -> Tensor:
    """What a metric's ``cost`` returned, if it is a number that torch can differentiate.

    Raises
    ------
    TypeError
        No tensor.
    ValueError
        A tensor of another shape, or one of which torch recorded nothing.
    """
    if not isinstance(cost, Tensor):
        raise TypeError(
            f"{name}(state, base) returned {type(cost).__name__}; it must return a 0-d tensor, made by torch from the "
            "points of the state"
        )
    if cost.shape != ():
        raise ValueError(
            f"{name}(state, base) returned a tensor of shape {tuple(cost.shape)}; it must return a 0-d one: "
            "base.integrate(values) sums over the atoms"
        )
    if not cost.requires_grad or not cost.is_floating_point():
        raise _unrecorded(name)
    return cost


def _unrecorded(name: str) -> ValueError:
    return ValueError(
        f"torch recorded nothing of how {name}(state, base) depends on the points of the state; make it from "
        "state.points by torch operations alone, without .item(), .detach(), numpy or torch.no_grad()"
    )


def _refuse_wrong(name: str, value: float, problem: StepProblem, points: Tensor) -> None:
    """No number at the base point, or one that no squared distance is."""
    base = problem.base.points
    at_base = points is base
    if at_base and not math.isfinite(value):
        raise ValueError(f"{name}(state, state) is {value:g}; a squared distance is finite")
    room = BELOW * (problem.square(base) + problem.square(points - base))
    if at_base and abs(value) > room:
        raise ValueError(
            f"{name}(state, state) is {value:g}; the squared distance of a state to itself is zero"
        )
    if value < -room:
        raise ValueError(f"{name}(state, base) is {value:g}; a squared distance is not negative")


def penalty_of(problem: StepProblem) -> Penalty:
    """What a step begins with: the index coupling, where it stands for the metric."""
    kind = OwnCost if problem.form is Form.OWN_COST else Coupling
    return kind(problem.base.points)
