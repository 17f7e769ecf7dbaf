"""The second derivatives of phi = dE/dmu, which turn, stretch and squeeze what moves with ``-grad phi``."""

from __future__ import annotations

from torch import Tensor

from jko.energies import Energy, Risk, sorted_terms
from jko.measures import Particles


def curvature(energy: Energy, mu: Particles, at: Tensor | None = None) -> Tensor:
    """The Hessian of phi at points (n, dim), default the atoms; (n, dim, dim)."""
    points = mu.points if at is None else at
    total = points.new_zeros(*points.shape, points.shape[1])
    terms = sorted_terms(energy)
    for c, R in terms.risks:  # without the derivatives of each feature, as second_order has
        total += c * R.features.hessian(points, R.data.x, R.prices(mu))
    for c, E in terms.without(Risk):
        total += c * (E.second_order(mu).blocks if at is None else E.hessian(mu, at))
    return total
