"""A broken metric is caught, in a sentence that names the class and the method: one break a line."""

from dataclasses import replace

import pytest
import torch

import jko
from jko.metrics import Distance, Wasserstein
from jko.testing import (
    BrokenPromise,
    check_metric,
)


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
