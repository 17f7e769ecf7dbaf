"""The flow of normal laws and of mixtures of them in the Bures metric: an equation for means and covariances.

With the velocity ``v = -grad dE/dmu`` at the measure, and E_k the mean over the component N(m_k, S_k),

``m_k' = E_k v``,   ``S_k' = E_k[v (x - m_k)^T + (x - m_k) v^T]``

is the Wasserstein velocity projected on the affine fields of each component.  For ``E = int V dmu + beta Ent`` and one
normal law it is ``m' = -E grad V``, ``S' = 2 beta I - E[Hess V] S - S E[Hess V]``: the flow (4.2) itself where V is
quadratic, else that of variational inference (Sarkka, IEEE Trans. Autom. Control 52 (2007); Lambert et al. (2022)).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jko.energies import Energy
from jko.limits.course import Array, travelled
from jko.limits.integration import EVALUATIONS, integrate
from jko.measures import NormalLaws
from jko.trajectory import Trajectory


def evolve_laws(
    energy: Energy,
    start: NormalLaws,
    t1: float,
    wanted: Array | None,
    rtol: float,
    atol: float | None,
    max_evaluations: int | None,
) -> Trajectory:
    """The flow from ``start`` to t1; arguments as for :func:`jko.limits.wasserstein`, checked there."""
    unknown = _Unknown(start)

    def rates(t: float, flat: Array) -> Array:
        means, S = unknown.moments(flat)
        if bool((torch.linalg.cholesky_ex(S).info > 0).any()):  # a trial step that went too far
            return np.full_like(flat, np.nan)
        return unknown.flat(*_rates(energy, start.shaped(means, S)))

    solution = integrate(
        rates,
        unknown.flat(start.means, start.covariances),
        t1,
        rtol,
        wanted,
        atol=atol,
        evaluations=max_evaluations or EVALUATIONS,
        rounding=torch.finfo(start.means.dtype).eps,
    )
    return travelled(energy, start, solution, lambda t, flat: start.shaped(*unknown.moments(flat)))


def _rates(energy: Energy, laws: NormalLaws) -> tuple[Tensor, Tensor]:
    """``m'`` (K, d) and ``S'`` (K, d, d)."""
    shares = (laws.weights.view(laws.K, -1) / laws.masses[:, None])[:, :, None]
    v = -energy.gradient(laws).view(laws.K, -1, laws.dim)
    away = laws.support.view_as(v) - laws.means[:, None]
    half = (shares * v).mT @ away
    return (shares * v).sum(1), half + half.mT


class _Unknown:
    """Means and the entries i <= j of covariances, as a flat vector."""

    def __init__(self, like: NormalLaws) -> None:
        self.like = like
        self.i, self.j = torch.triu_indices(like.dim, like.dim)

    def flat(self, means: Tensor, S: Tensor) -> Array:
        """The numbers of K means and K symmetric matrices."""
        rows = torch.cat([means, S[:, self.i, self.j]], dim=1)
        return rows.cpu().numpy().astype(np.float64).ravel()

    def moments(self, flat: Array) -> tuple[Tensor, Tensor]:
        """The means and the matrices of such numbers."""
        d = self.like.dim
        rows = torch.from_numpy(np.array(flat)).to(self.like.means).view(self.like.K, -1)
        S = rows.new_zeros(len(rows), d, d)
        S[:, self.i, self.j] = S[:, self.j, self.i] = rows[:, d:]
        return rows[:, :d], S
