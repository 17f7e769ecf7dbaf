"""A broken state is caught, in a sentence that names the class and the method: one break a line."""

from dataclasses import dataclass

import pytest
import torch

import jko
from jko import checks
from jko.measures import Particles, State
from jko.testing import (
    BrokenPromise,
    check_state,
    samples,
)


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
