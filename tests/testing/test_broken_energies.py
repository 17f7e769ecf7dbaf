"""A broken energy is caught, in a sentence that names the class and the method: one break a line."""

from dataclasses import dataclass

import pytest
import torch

import jko
from jko.measures import Particles
from jko.testing import (
    BrokenPromise,
    check_energy,
)


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
