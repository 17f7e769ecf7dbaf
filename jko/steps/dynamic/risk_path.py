"""Internal energies on the way to the one of a step, each the start for the next: what makes full Newton steps safe."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from jko.steps.dynamic.conjugates import Entropic, Kind, Mixed, Power, Quadratic, entropic

FACTOR = 4.0  # from one energy to the next


@dataclass(frozen=True)
class Path:
    """Internal energies on the way to ``aim``: ``factor`` times it if it has an entropy, else it + ``factor`` Ent."""

    aim: Kind
    factor: float
    end: float

    @classmethod
    def of(cls, kind: Kind, largest: float) -> Path:
        """The path for a density whose largest value is given."""
        if entropic(kind):
            return cls(kind, 1.0, 1.0)
        size = sum(c * largest ** (m - 1) for c, m in zip(*_powers(kind), strict=True))
        return cls(kind, size, 0.0)

    @property
    def kind(self) -> Kind:
        """The energy here."""
        aim, s = self.aim, self.factor
        if isinstance(aim, Entropic):
            return Entropic(s * aim.sigma)
        if isinstance(aim, Mixed) and aim.sigma > 0:
            return Mixed(s * aim.sigma, tuple(s * c for c in aim.c), aim.m)
        return Mixed(s, *_powers(aim))

    def longer(self, by: float) -> Path:
        """A start further away."""
        return replace(self, factor=self.factor * FACTOR ** math.ceil(math.log(by, FACTOR)))

    def shorter(self) -> Path:
        """The next energy."""
        return replace(self, factor=max(self.factor / FACTOR, self.end))


def _powers(kind: Kind) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if isinstance(kind, Quadratic):
        return (kind.c,), (2.0,)
    if isinstance(kind, Power):
        return (kind.c,), (kind.m,)
    assert isinstance(kind, Mixed)
    return kind.c, kind.m
