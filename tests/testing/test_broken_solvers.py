"""A broken solver is caught, in a sentence that names the class and the method: one break a line."""

from dataclasses import replace

import pytest
import torch

from jko.status import Status
from jko.steps.lbfgs import LBFGS
from jko.testing import (
    BrokenPromise,
    check_solver,
)


class Spoiled:
    """LBFGS, whose result is changed."""

    tol = 1e-9

    def solve(self, problem):
        return self.spoil(LBFGS(tol=self.tol).solve(problem), problem)

    def spoil(self, result, problem):
        return result


def told(result, problem, points, status):
    """A result at other points, which tells the truth about them."""
    state = problem.state(points)
    energy, before = float(problem.energy(state)), float(problem.before.value)
    cost = problem.square(points - problem.base.points)
    objective = energy + cost / (2 * problem.tau)
    changes = {"energy": energy, "cost": cost, "objective": objective, "slack": before - objective}
    return replace(result, state=state, status=status, **changes)


class Uphill(Spoiled):
    def spoil(self, result, problem):
        points = problem.base.points + 0.1 * problem.before.gradient
        return told(result, problem, points, Status.STALLED)


class Flatters(Spoiled):
    def spoil(self, result, problem):
        return replace(result, energy=result.energy - 0.1)


class Cheap(Spoiled):
    def spoil(self, result, problem):
        half = 0.25 * result.cost / problem.tau
        return replace(
            result,
            cost=0.5 * result.cost,
            objective=result.objective - half,
            slack=result.slack + half,
        )


class WrongObjective(Spoiled):
    def spoil(self, result, problem):
        return replace(result, objective=result.objective + 0.1)


class WrongSlack(Spoiled):
    def spoil(self, result, problem):
        return replace(result, slack=result.slack + 0.1)


class Optimist(Spoiled):
    def spoil(self, result, problem):
        return replace(result, status=Status.CONVERGED, residual=1.0)


class Liar(Spoiled):
    """It stops half way, and its residual says otherwise."""

    def spoil(self, result, problem):
        points = 0.5 * (problem.base.points + result.state.atoms.points)
        return told(result, problem, points, Status.CONVERGED)


class Lazy(Spoiled):
    def spoil(self, result, problem):
        return result.stayed()


class Drawn(Spoiled):
    def spoil(self, result, problem):
        torch.manual_seed(self.__dict__.setdefault("seed", 0))
        self.seed += 1
        points = result.state.atoms.points * (1 + 1e-9 * torch.rand(1).double())
        return replace(result, state=problem.state(points))


class Believes(Spoiled):
    """A memory that changes the problem."""

    def solve(self, problem):
        tau = problem.tau * (0.5 if problem.memory else 1.0)
        found = LBFGS(tol=self.tol).solve(replace(problem, tau=tau))
        half = found.cost / (2 * problem.tau)
        objective = found.energy + half
        slack = float(problem.before.value) - objective
        changes = {"problem": problem, "objective": objective, "slack": slack, "residual": 0.0}
        return replace(found, **changes)


class InPlace(Spoiled):
    def spoil(self, result, problem):
        problem.previous.atoms.points.mul_(1.5)
        return result


class Gives(Spoiled):
    def spoil(self, result, problem):
        return result.state


class GivesUp(Spoiled):
    def spoil(self, result, problem):
        return replace(result, status=Status.MAX_ITERATIONS)


class Flattens(Spoiled):
    """It gives back the lift of a pair."""

    def spoil(self, result, problem):
        return replace(result, state=result.state.atoms)


SOLVERS = [
    (Uphill, "raises the objective"),
    (Flatters, "reports the energy"),
    (Cheap, "below the squared distance"),
    (WrongObjective, "reports the objective"),
    (WrongSlack, "reports the slack"),
    (Optimist, "above its tol"),
    (Liar, "but at its state"),
    (Lazy, "stays where it was"),
    (Drawn, "other bits for the same problem"),
    (Believes, "a memory may change the work"),
    (InPlace, "has changed the tensors"),
    (Gives, "gives a Particles; build it by StepResult.of"),
    (GivesUp, "ends a smooth step as MAX_ITERATIONS"),
    (Flattens, "gives a Particles from a ChargedParticles"),
]


def test_a_solver_that_breaks_down_is_no_refusal():
    class Breaks(Spoiled):
        def spoil(self, result, problem):
            return result if problem.base.dim == 2 and problem.tau > 0.2 else [][0]

    with pytest.raises(IndexError):
        check_solver(Breaks())


def test_the_unspoiled_solver_passes():
    check_solver(Spoiled())


@pytest.mark.parametrize(
    ("kind", "sentence"), SOLVERS, ids=lambda part: getattr(part, "__name__", "")
)
def test_a_broken_solver_is_caught(kind, sentence):
    with pytest.raises(BrokenPromise, match=rf"^{kind.__name__}\.solve: .*({sentence})"):
        check_solver(kind())
