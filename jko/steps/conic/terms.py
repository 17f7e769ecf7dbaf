"""An energy on a fixed set of atoms, as sums of what a cone can hold.

``E(m) = constant + V . m + sum_K volume sum_i c_i U_i(m_K / volume) + 1/2 |A m - b|^2``   for masses m of total one
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from jko.energies import (
    Congestion,
    Energy,
    Entropy,
    Interaction,
    Mixture,
    PorousMedium,
    Squares,
    Weighted,
    negative,
    parts,
    refuse,
    sorted_terms,
)
from jko.measures import GridDensity, Particles
from jko.metrics import as_array

Array = NDArray[np.float64]
CONES = (Congestion, Entropy, PorousMedium)
TINY = 1e-14  # of the largest density


@dataclass(frozen=True, eq=False)
class ConeTerms:
    """The energy on the n atoms where the potential is finite.

    Attributes
    ----------
    free : (N,), bool
        Which of the atoms of the state these are.
    potential : (n,)
        V.
    internal : Mixture
        The internal energies: entropies, powers, congestion.
    features, targets : (r, n), (r,)
        A and b.
    constant : float
        What does not depend on m.
    """

    free: NDArray[np.bool_]
    potential: Array
    internal: Mixture
    features: Array
    targets: Array
    constant: float

    @property
    def n(self) -> int:
        """Number of atoms that may hold mass."""
        return len(self.potential)

    @classmethod
    def of(cls, energy: Energy, state: GridDensity | Particles) -> ConeTerms:
        """Sort the terms of the energy on the atoms of ``state.atoms``.

        Raises
        ------
        TypeError
            A term that is no cone: an internal energy that is no entropy, power or congestion, an energy of the
            user, an interaction that is not declared convex.
        ValueError
            A negative coefficient of a term that is not linear; a kernel that is not positive definite.
        """
        read = parts(energy, state)
        refuse(
            [(c, E) for c, E in read.internal if not isinstance(E, CONES)],
            "Conic knows Entropy, PorousMedium, Congestion and sums of them, not {name}; write it as such a sum, or "
            "use another solver",
            TypeError,
        )
        V = as_array(read.potential)
        free = np.isfinite(V)
        A, b = as_array(read.A)[:, free], as_array(read.b)
        terms = cls(free, V[free], read.mixture, A, b, read.constant)
        points = state.atoms.points[torch.from_numpy(free)]
        for c, E in _interactions(read.rest):
            terms = terms._with(c, E, points)
        return terms

    def _with(self, c: float, E: Interaction, points: torch.Tensor) -> ConeTerms:
        """The terms and a quadratic form of the masses."""
        square = Squares.of(c, E, Particles.of(points, points.new_full((self.n,), 1 / self.n)))
        return replace(
            self,
            potential=self.potential + square.slope,
            features=np.concatenate([self.features, square.rows]),
            targets=np.concatenate([self.targets, square.targets]),
            constant=self.constant + square.constant,
        )

    def only(self, some: NDArray[np.bool_]) -> ConeTerms:
        """The same where ``some`` (N,) of the free atoms may hold mass."""
        kept = some[self.free]
        return replace(
            self,
            free=self.free & some,
            potential=self.potential[kept],
            features=self.features[:, kept],
        )

    def residual(self, m: Array) -> Array:
        """A m - b, shape (r,)."""
        return np.asarray(self.features @ m - self.targets)

    def slope(self, m: Array) -> Array:
        """V + A^T (A m - b), shape (n,): the first variation without the internal energies."""
        return np.asarray(self.potential + self.residual(m) @ self.features)

    def pressure(self, rho: Array) -> Array:
        """``U'(rho)``, with densities lifted off zero, where that of the entropy is -inf."""
        lifted = torch.from_numpy(np.maximum(rho, TINY * rho.max()))
        return np.asarray(self.internal.slope(lifted))

    def conjugate(self, p: Array) -> Array:
        """``U*(p)``, never less: without internal energies 0 for p <= 0 and +inf above."""
        return np.asarray(self.internal.conjugate(torch.from_numpy(p)).value)


def _interactions(rest: Energy | None) -> Weighted[Interaction]:
    """The terms that are quadratic forms; all others are refused."""
    if rest is None:
        return ()
    terms = sorted_terms(rest)
    refuse(
        negative(terms.all),
        "{name} has the coefficient {c:g}, so the energy is not convex in the measure, which a conic program needs: "
        "use another solver",
    )
    refuse(
        terms.curved,
        "the loss of the {name} is not the squared one, the only one that Conic writes as a cone: use "
        "jko.Dynamic() on a grid, jko.LBFGS() for atoms: they know every loss",
        TypeError,
    )
    refuse(
        terms.without(Interaction),
        "{name} is no term that Conic can write as a cone: it knows risks, potentials, Entropy, PorousMedium, "
        "Congestion and convex interactions; use another solver",
        TypeError,
    )
    refuse(
        [(c, E) for c, E in terms.interactions if not E.convex],
        "this Interaction is not declared convex in the measure, which a conic program needs; if W is positive "
        "definite, say so by Interaction(W, convex=True): it is checked on the points",
        TypeError,
    )
    return terms.interactions
