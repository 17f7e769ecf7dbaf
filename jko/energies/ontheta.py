"""An energy of rho alone, read on pairs (rho, H) and on measures of (w, theta)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jko.energies.base import Energy
from jko.measures import Particles, State, lifted


@dataclass(frozen=True)
class OnTheta(Energy):
    """``E(rho)`` where rho is the marginal in theta of a measure on R x Theta.

    Entropies of :class:`jko.Entropy` and :class:`jko.PorousMedium` act on rho by themselves, where rho is a density.
    This is for the others: potentials of theta alone, interactions, and kernel entropies of atoms.

    Parameters
    ----------
    energy : Energy
        An energy of measures on Theta.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedParticles([[3.0]], [100.0])
    >>> float(jko.OnTheta(jko.SquaredNorm())(pair))
    4.5
    """

    energy: Energy

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Convex if E is: the marginal is linear in the measure."""
        return bool(self.energy.convex)

    def __call__(self, state: State) -> Tensor:
        """E of the marginal."""
        return self.energy(_marginal(lifted(state)))

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """dE/drho at theta, whatever w is; shape (n,)."""
        mu = lifted(state)
        return self.energy.variation(_marginal(mu), (mu.points if at is None else at)[:, 1:])


def _marginal(mu: Particles) -> Particles:
    if mu.dim < 2:
        raise ValueError(
            "the state has one coordinate; a marginal in theta needs xi = (w, theta) with at least two"
        )
    return Particles.of(mu.points[:, 1:], mu.weights)


__all__ = ["OnTheta"]
