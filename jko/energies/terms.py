"""An energy read once: the terms of ``E = sum_i c_i E_i`` sorted by kind, and the sentence that refuses one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from jko.energies.base import Energy, Scaled, Sum
from jko.energies.interaction import Interaction
from jko.energies.internal import Internal
from jko.energies.losses import SquaredLoss
from jko.energies.mixture import Mixture
from jko.energies.ontheta import OnTheta
from jko.energies.potential import Linear, SquaredNorm
from jko.energies.risk import Risk

Kind = TypeVar("Kind", bound=Energy)
Weighted = tuple[tuple[float, Kind], ...]


@dataclass(frozen=True, eq=False)
class SortedTerms:
    """The terms ``(c, E)`` of an energy with c != 0; each property holds those of a kind, in the order of the sum.

    Attributes
    ----------
    all : tuple of (c, Energy)
        All of them.

    Examples
    --------
    >>> import jko
    >>> from jko.energies import sorted_terms
    >>> terms = sorted_terms(0.1 * jko.Entropy() - jko.SquaredNorm() + 3 * jko.SquaredNorm())
    >>> terms.internal, terms.lam, terms.risks
    (((0.1, Entropy()),), 2.0, ())
    """

    all: Weighted[Energy]

    def of(self, kind: type[Any]) -> Weighted[Any]:
        """Those of a class of energies."""
        return tuple((c, E) for c, E in self.all if isinstance(E, kind))

    def without(self, *kinds: type[Any]) -> Weighted[Energy]:
        """Those of no such class."""
        return tuple((c, E) for c, E in self.all if not isinstance(E, kinds))

    @cached_property
    def linear(self) -> Weighted[Linear]:
        """``int V dmu``: potentials and norms."""
        return self.of(Linear)

    @property
    def lam(self) -> float:
        """The number lam of the linear terms ``lam/2 int |xi|^2 dmu``, 0 if there is none."""
        return float(sum(c for c, _ in self.of(SquaredNorm)))

    @cached_property
    def internal(self) -> Weighted[Internal]:
        """``int U(rho)``."""
        return self.of(Internal)

    @property
    def mixture(self) -> Mixture:
        """The internal energies with c > 0 as one."""
        return Mixture.of(positive(self.internal))

    @cached_property
    def risks(self) -> Weighted[Risk]:
        """Risks."""
        return self.of(Risk)

    @property
    def quadratic(self) -> Weighted[Risk]:
        """Risks of the squared loss, quadratic in the measure."""
        return tuple((c, R) for c, R in self.risks if isinstance(R.loss, SquaredLoss))

    @property
    def curved(self) -> Weighted[Risk]:
        """Risks of other losses."""
        return tuple((c, R) for c, R in self.risks if not isinstance(R.loss, SquaredLoss))

    @cached_property
    def interactions(self) -> Weighted[Interaction]:
        """``1/2 int int W dmu dmu``."""
        return self.of(Interaction)

    @cached_property
    def of_theta(self) -> Weighted[OnTheta]:
        """Energies of the marginal in theta; ``E.energy`` is that of rho."""
        return self.of(OnTheta)


def sorted_terms(energy: Energy) -> SortedTerms:
    """The terms of an energy that are not zero, sorted.

    Examples
    --------
    >>> import jko
    >>> found = jko.energies.sorted_terms(jko.SquaredNorm() + 2 * jko.Entropy())
    >>> len(found.linear), len(found.internal)
    (1, 1)
    """
    return SortedTerms(tuple((c, E) for c, E in energy.terms if c != 0))


def positive(terms: Iterable[tuple[float, Kind]]) -> Weighted[Kind]:
    """Those with a positive coefficient.

    Examples
    --------
    >>> import jko
    >>> terms = (jko.SquaredNorm() - jko.energies.PowerNorm(4)).terms
    >>> [coefficient for coefficient, term in jko.energies.positive(terms)]
    [1.0]
    """
    return tuple((c, E) for c, E in terms if c > 0)


def negative(terms: Iterable[tuple[float, Kind]]) -> Weighted[Kind]:
    """Those with a negative coefficient.

    Examples
    --------
    >>> import jko
    >>> terms = (jko.SquaredNorm() - jko.energies.PowerNorm(4)).terms
    >>> [coefficient for coefficient, term in jko.energies.negative(terms)]
    [-1.0]
    """
    return tuple((c, E) for c, E in terms if c < 0)


def joined(terms: Iterable[tuple[float, Energy]]) -> Energy | None:
    """``sum c E`` as one energy, None if there is no term.

    Examples
    --------
    >>> import jko
    >>> E = jko.energies.joined([(1.0, jko.SquaredNorm()), (2.0, jko.SquaredNorm())])
    >>> float(E(jko.Particles([[2.0]]))), jko.energies.joined([])
    (6.0, None)
    """
    parts = tuple(Scaled(c, E) for c, E in terms)
    if len(parts) < 2:
        return parts[0] if parts else None
    return Sum(parts)


def refuse(
    terms: Iterable[tuple[float, Energy]], why: str, error: type[Exception] = ValueError
) -> None:
    """Raise ``error`` about the first of these terms, if there is one.

    Parameters
    ----------
    why
        The sentence; ``{name}``, ``{energy}`` and ``{c}`` in it stand for the term's class, itself and its coefficient.

    Examples
    --------
    >>> import jko
    >>> from jko.energies import negative, refuse, sorted_terms
    >>> terms = sorted_terms(-1 * jko.Entropy())
    >>> refuse(negative(terms.internal), "{name} has the coefficient {c:g}; take a positive one")
    Traceback (most recent call last):
    ...
    ValueError: Entropy has the coefficient -1; take a positive one
    """
    for c, E in terms:
        raise error(why.format(name=type(E).__name__, energy=repr(E), c=c))
