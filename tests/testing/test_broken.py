"""What is broken is caught, in a sentence that names the class and the method: one break a line."""

from dataclasses import dataclass, replace

import pytest
import torch

import jko
from jko import checks
from jko.measures import Particles, State
from jko.metrics import Distance, Wasserstein
from jko.status import Status
from jko.steps.lbfgs import LBFGS
from jko.testing import (
    BrokenPromise,
    check_energy,
    check_metric,
    check_solver,
    check_state,
    samples,
)

# ---------------------------------------------------------------------------------------------------------------------
# Energies


@dataclass(frozen=True, eq=False)
class Whole(jko.Energy):
    """``1/2 (int |xi|^2 dmu)^2``: quadratic in mu, and whole."""

    convex = True

    def moment(self, state):
        mu = state.atoms
        return mu.integrate(mu.points.square().sum(-1))

    def __call__(self, state):
        return 0.5 * self.moment(state) ** 2

    def variation(self, state, at=None):
        at = state.atoms.points if at is None else at
        return self.moment(state) * at.square().sum(-1)


class HalfVariation(Whole):
    def variation(self, state, at=None):
        return 0.5 * super().variation(state, at)


class NoConstant(Whole):
    def variation(self, state, at=None):
        return super().variation(state, at) - super().variation(state).mean()


class DeafVariation(Whole):
    """At other points it says what it says at the atoms."""

    def variation(self, state, at=None):
        return super().variation(state, None if at is None else state.atoms.points[: len(at)])


class ColumnVariation(Whole):
    def variation(self, state, at=None):
        return super().variation(state, at)[:, None]


class WrongGradient(Whole):
    def gradient(self, state, at=None):
        return super().gradient(state, at) / state.N


class WrongGradientBeside(Whole):
    def gradient(self, state, at=None):
        found = super().gradient(state, at)
        beside = at is not None and not torch.equal(at, state.atoms.points)
        return 1.1 * found if beside else found


class WrongEvaluate(Whole):
    def evaluate(self, mu):
        found = super().evaluate(mu)
        return found._replace(gradient=1.001 * found.gradient)


class WrongCurvature(Whole):
    def second_order(self, mu):
        return super().second_order(mu)._replace(cross=None)


class WrongHessian(Whole):
    def hessian(self, mu, at=None):
        return 2 * super().hessian(mu, at)

    def second_order(self, mu):
        return Whole().second_order(mu)


class Concave(Whole):
    def __call__(self, state):
        return -super().__call__(state)

    def variation(self, state, at=None):
        return -super().variation(state, at)


class MeanOverAtoms(Whole):
    def moment(self, state):
        return state.atoms.points.square().sum(-1).mean()


class InOrder(Whole):
    """Of the first atom, not of the measure."""

    def moment(self, state):
        mu = state.atoms
        return super().moment(state) + mu.weights[0] * mu.points[0, 0]


class Column(Whole):
    def __call__(self, state):
        return super().__call__(state)[None]


class Number(Whole):
    def __call__(self, state):
        return float(super().__call__(state))


class Single(Whole):
    def __call__(self, state):
        return super().__call__(state).float()


class Infinite(Whole):
    def __call__(self, state):
        return super().__call__(state) + torch.inf


class Random(Whole):
    def __call__(self, state):
        return super().__call__(state) + 1e-3 * torch.rand(())


class HalfRecorded(Whole):
    def __call__(self, state):
        moment = self.moment(state)
        return 0.5 * moment * moment.detach()


class WrongTerms(Whole):
    @property
    def terms(self):
        return ((2.0, Whole()),)


class FussyEnergy(Whole):
    def __call__(self, state):
        raise ValueError("not this one")


def slip(name, wrong):
    return type("Slip", (jko.PorousMedium,), {name: wrong})(3.0)


ENERGIES = [
    (HalfVariation(), "variation", "says that the energy changes by"),
    (NoConstant(), "variation", "a factor of all masses"),
    (DeafVariation(), "variation", "points at= beside them"),
    (ColumnVariation(), "variation", r"has shape \(5, 1\) at 5 atoms"),
    (WrongGradient(), "gradient", "no division by their number"),
    (WrongGradientBeside(), "gradient", "that the variation changes by"),
    (WrongEvaluate(), "evaluate", "another gradient"),
    (WrongCurvature(), "second_order", "when the atoms move"),
    (WrongHessian(), "hessian", "the measure stays"),
    (Concave(), "convex", "above the chord"),
    (MeanOverAtoms(), "variation|__call__", "values say|of the measure"),
    (InOrder(), "variation|__call__", "values say|of the atoms"),
    (Column(), "__call__", r"0-d tensor, but here it is shape \(1,\)"),
    (Number(), "__call__", "here it is a float"),
    (Single(), "__call__", r"torch\.float32 at a state of torch\.float64"),
    (Infinite(), "__call__", "is inf"),
    (Random(), "__call__", "draw nothing at random"),
    (HalfRecorded(), "__call__", "recorded by torch in part"),
    (WrongTerms(), "terms", "add up to"),
    (FussyEnergy(), "__call__", "refuses every sample .* not this one"),
    (slip("U", lambda self, rho: rho**3 / 6 + 1), "U", "is 1 at 0"),
    (slip("slope", lambda self, rho: rho**2 / 3), "slope", "not the derivative of U"),
    (slip("density", lambda self, p: p.clamp(min=0)), "density", "the inverse of slope"),
    (slip("density_slope", lambda self, p: p), "density_slope", "derivative of density"),
    (slip("pressure", lambda self, rho: rho), "pressure", "by U, slope"),
    (slip("stiffness", lambda self, rho: rho + 1), "stiffness", "by U, slope"),
]


def test_the_whole_one_passes():
    check_energy(Whole())


@pytest.mark.parametrize(
    ("energy", "method", "sentence"), ENERGIES, ids=lambda part: type(part).__name__
)
def test_a_broken_energy_is_caught(energy, method, sentence):
    with pytest.raises(
        BrokenPromise, match=rf"^{type(energy).__name__}\.({method}): .*({sentence})"
    ):
        check_energy(energy)


def test_kinks_are_no_breaks():
    check_energy(jko.Potential(lambda z: z.abs().sum(-1)), [Particles([[0.0], [1.0]])])


# ---------------------------------------------------------------------------------------------------------------------
# Metrics


class W2(jko.Metric):
    """W2 by hand, whole."""

    def factors(self, dim):
        return (1.0,)

    def cost(self, state, base):
        return base.atoms.integrate((state.atoms.points - base.atoms.points).square().sum(-1))

    def distance(self, a, b):
        return Wasserstein().distance(a, b)


class HalfCost(W2):
    def cost(self, state, base):
        return 0.5 * super().cost(state, base)


class CostWithoutSlope(W2):
    def cost(self, state, base):
        moved = (state.atoms.points - base.atoms.points).square()
        return base.atoms.integrate(moved[:, 0].detach() + moved[:, 1:].sum(-1) + 0 * moved[:, 0])


class DetachedCost(W2):
    def cost(self, state, base):
        return super().cost(state, base).detach()


class ShiftedCost(W2):
    def cost(self, state, base):
        return super().cost(state, base) + 0.1 * (state.atoms.points - base.atoms.points).sum()


class ExpandedCost(W2):
    def cost(self, state, base):
        x, y = state.atoms.points, base.atoms.points
        square = (x * x).sum(-1) + (y * y).sum(-1) - 2 * (x * y).sum(-1)
        return base.atoms.integrate(square)


class WrongFactors(W2):
    def factors(self, dim):
        return (2.0,)

    def distance(self, a, b):
        found = super().distance(a, b)
        return Distance(found.squared, found.plan.transposed.transposed, NONE, 0.0, exact=True)


NONE = torch.empty(0).numpy(), torch.empty(0).numpy()


class Told(W2):
    """A distance told without factors, so that its plan is not priced."""

    factors = jko.Metric.factors

    def told(self, found, a, b):
        return found.squared

    def distance(self, a, b):
        found = super().distance(a, b)
        return Distance(self.told(found, a, b), found.plan, NONE, 0.0, exact=True)


class Squared(Told):
    def told(self, found, a, b):
        return found.squared**2


class OneWay(Told):
    def told(self, found, a, b):
        return found.squared * (1 + float(a.mean()[0] ** 2))


class Away(Told):
    def told(self, found, a, b):
        return found.squared + 1


class ByIndex(Told):
    """The coupling of the indices, called a distance."""

    def told(self, found, a, b):
        return float(super().cost(a, b)) if a.N == b.N else found.squared


class HalfPlan(W2):
    def distance(self, a, b):
        found = super().distance(a, b)
        return replace(found, plan=replace(found.plan, mass=0.5 * found.plan.mass))


class LargePotentials(W2):
    factors = W2.factors

    def distance(self, a, b):
        found = super().distance(a, b)
        return replace(found, potentials=tuple(p + 1 for p in found.potentials))


class SmallPotentials(W2):
    factors = W2.factors

    def distance(self, a, b):
        found = super().distance(a, b)
        return replace(found, potentials=tuple(p - 1 for p in found.potentials))


class Sure(Told):
    """It calls exact what has a gap."""

    def distance(self, a, b):
        return replace(super().distance(a, b), gap=0.1, exact=True)


METRICS = [
    (Sure, r"distance\(a, b\)\.exact", "with the gap 0.1"),
    (HalfCost, "cost", "below the squared distance"),
    (CostWithoutSlope, "cost", "has by torch the slope"),
    (DetachedCost, "cost", "not differentiable by torch"),
    (ShiftedCost, "cost", "negative|both are zero there|below the squared"),
    (ExpandedCost, "cost", "no digits left"),
    (WrongFactors, r"distance\(a, b\)\.plan|factors", "costs|say that the cost"),
    (Squared, "distance", "longer than the way by a third state"),
    (OneWay, "distance", "one way and"),
    (Away, "distance", "from a state to itself"),
    (ByIndex, "distance", "in another order"),
    (HalfPlan, r"distance\(a, b\)\.plan", "has the masses"),
    (LargePotentials, r"distance\(a, b\)\.potentials", "break the constraint"),
    (SmallPotentials, r"distance\(a, b\)\.potentials", "prove"),
]


def test_the_whole_metric_passes():
    check_metric(W2())


@pytest.mark.parametrize(
    ("kind", "method", "sentence"), METRICS, ids=lambda part: getattr(part, "__name__", "")
)
def test_a_broken_metric_is_caught(kind, method, sentence):
    with pytest.raises(BrokenPromise, match=rf"^{kind.__name__}\.({method}): .*({sentence})"):
        check_metric(kind())


# ---------------------------------------------------------------------------------------------------------------------
# Solvers


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


# ---------------------------------------------------------------------------------------------------------------------
# States


@dataclass(frozen=True, eq=False)
class Doubled(State):
    """Atoms and their mirror images, whole."""

    half: torch.Tensor
    masses: torch.Tensor
    domain: object

    def __init__(self, half, masses=None, domain=None):
        half = self.taken(half)
        masses = checks.weights("masses", masses, len(half), half)
        for name, value in (("half", half), ("masses", masses), ("domain", domain)):
            object.__setattr__(self, name, value)

    def taken(self, half):
        return checks.owned("half", half)

    @property
    def dim(self):
        return self.half.shape[1]

    @jko.spaces.cached
    def weights(self):
        return 0.5 * torch.cat([self.masses, self.masses])

    @jko.spaces.cached
    def support(self):
        return torch.cat([self.half, -self.half])

    @jko.spaces.cached
    def atoms(self):
        return Particles.of(self.support, self.weights, self.domain)

    def placed(self, points):
        return type(self)(points[: len(self.half)], self.masses, self.domain)


class Heavy(Doubled):
    @jko.spaces.cached
    def weights(self):
        return torch.cat([self.masses, self.masses])


class Fresh(Doubled):
    @property
    def atoms(self):
        return Particles.of(self.support, self.weights, self.domain)


class Shuffled(Doubled):
    @jko.spaces.cached
    def atoms(self):
        return Particles.of(self.support, self.weights.roll(1), self.domain)


class Sums(Doubled):
    def integrate(self, values):
        return values.mean(0)


class WrongDim(Doubled):
    @property
    def dim(self):
        return 7


class Elsewhere(Doubled):
    def placed(self, points):
        return type(self)(2 * points[: len(self.half)], self.masses, self.domain)


class Forgets(Doubled):
    def placed(self, points):
        return Particles(points, self.weights, self.domain)


class Equalises(Doubled):
    def placed(self, points):
        return type(self)(points[: len(self.half)], None, self.domain)


class Borrows(Doubled):
    def taken(self, half):
        return half


class Moves(Doubled):
    def weighed(self, masses):
        return type(self)(2 * self.half, masses[: len(self.half)] * 2, self.domain)


@dataclass(eq=False)
class Thawed(Particles.__mro__[1]):
    """No frozen dataclass."""

    points: torch.Tensor
    weights: torch.Tensor
    domain: object = None

    @property
    def support(self):
        return self.points

    @property
    def dim(self):
        return self.points.shape[1]

    @jko.spaces.cached
    def atoms(self):
        return Particles.of(self.points, self.weights)


class OtherNames(Doubled):
    def __init__(self, mine, masses=None, domain=None):
        super().__init__(mine, masses, domain)


HALF, MASSES = samples.points(3, 2), samples.masses(3)
STATES = [
    (Heavy, "weights", "sum to 2"),
    (Fresh, "atoms", "built anew each time"),
    (Shuffled, "atoms", "with other weights"),
    (Sums, "integrate", "the sum against the weights"),
    (WrongDim, "dim", "is 7, but the atoms have 2 coordinates"),
    (Elsewhere, "placed", "other atoms"),
    (Forgets, "placed", "gives a Particles; it keeps the kind"),
    (Equalises, "placed", "changes the masses|other atoms"),
    (Borrows, "__init__", "keeps the tensor half"),
    (Moves, "weighed", "gives the masses|moves the places"),
    (Thawed, "__class__", "no frozen dataclass"),
    (OtherNames, "__init__", "does not take the fields half by name"),
]


def test_the_whole_state_passes():
    check_state(Doubled(HALF, MASSES))


@pytest.mark.parametrize(
    ("kind", "method", "sentence"), STATES, ids=lambda part: getattr(part, "__name__", "")
)
def test_a_broken_state_is_caught(kind, method, sentence):
    with pytest.raises(BrokenPromise, match=rf"^{kind.__name__}\.{method}: .*({sentence})"):
        check_state(kind(HALF.clone(), MASSES))
