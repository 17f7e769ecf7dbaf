"""An energy of rho alone, read on pairs (rho, H) and on measures of (w, theta)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.energies.base import Energy, Evaluation
from jko.energies.curvature import Curvature
from jko.measures import Particles, State


@dataclass(frozen=True)
class OnTheta(Energy):
    """``E(rho)`` where rho is the marginal in theta of a measure on R x Theta.

    Entropies of :class:`jko.Entropy` and :class:`jko.PorousMedium` act on rho by themselves, where rho is a density.
    This is for the others: potentials of theta alone, interactions, and kernel entropies of atoms.

    Parameters
    ----------
    energy : Energy
        An energy of measures on Theta.

    Notes
    -----
    Nothing in it depends on w, so its gradient has no w-part: in the metric D it moves theta and each atom keeps its
    charge.  With ``jko.KernelEntropy(bandwidth)`` that is the D-gradient reading of Remark 4.1, for atoms.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedParticles([[3.0]], [100.0])
    >>> float(jko.energies.OnTheta(jko.SquaredNorm())(pair))
    4.5
    """

    _bare = 1
    energy: Energy

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Convex if E is: the marginal is linear in the measure."""
        return bool(self.energy.convex)

    def __call__(self, state: State) -> Tensor:
        """E of the marginal."""
        return self.energy(_marginal(state.atoms))

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """dE/drho at theta, whatever w is; shape (n,)."""
        return self.energy.variation(_marginal(state.atoms), _theta(at))

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """Zero along w, the gradient of dE/drho along theta; shape (n, dim)."""
        return _raised(self.energy.gradient(_marginal(state.atoms), _theta(at)))

    def evaluate(self, mu: Particles) -> Evaluation:
        """That of E on the marginal."""
        value, variation, gradient = self.energy.evaluate(_marginal(mu))
        return Evaluation(value, variation, _raised(gradient))

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """Zero in the row and the column of w; shape (n, dim, dim)."""
        return _raised(self.energy.hessian(_marginal(mu), _theta(at)), axes=(1, 2))

    def second_order(self, mu: Particles) -> Curvature:
        """That of E on the marginal: it neither acts on w nor depends on it."""
        blocks, factor, cross = self.energy.second_order(_marginal(mu))
        return Curvature(
            _raised(blocks, axes=(1, 2)),
            None if factor is None else _raised(factor),
            None if cross is None else (lambda v: _raised(cross(v[:, 1:]))),
        )


def _marginal(mu: Particles) -> Particles:
    if mu.dim < 2:
        raise ValueError(
            "the state has one coordinate; a marginal in theta needs xi = (w, theta) with at least two"
        )
    return Particles.of(mu.points[:, 1:], mu.weights)


def _theta(at: Tensor | None) -> Tensor | None:
    return None if at is None else at[:, 1:]


def _raised(field: Tensor, axes: tuple[int, ...] = (1,)) -> Tensor:
    """A field of theta as one of (w, theta): zeros for w in front, along each of the axes."""
    for axis in axes:
        field = torch.cat([torch.zeros_like(field.narrow(axis, 0, 1)), field], dim=axis)
    return field
