"""The derivative of a squared distance in its first argument, from an optimal plan and its potentials.

    W2^2 = min over plans of sum_ij P_ij |x_i - y_j|^2 = max over potentials of sum_i a_i alpha_i + sum_j b_j beta_j

By the envelope theorem the derivative in x is that of the cost along the optimal plan, and the derivative in a is the
optimal alpha.  As a minimum W2^2 is semiconcave in x, as a maximum convex in a: where the plan or the potentials are
not unique it has a kink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jko.measures import State
from jko.measures.tensors import on_numbers
from jko.metrics.alike import alike, one_sort
from jko.metrics.base import Distance
from jko.metrics.couplings import Array, Index, pair_costs, sums
from jko.metrics.lifted import NEGLIGIBLE, atoms, lifted_distance
from jko.metrics.pricing import RoughCosts
from jko.shown import Shown

TIE = 1e-12  # of the potentials: reduced costs below it count as zero


@dataclass(frozen=True, eq=False)
class SquaredGradient(Shown):
    """The derivative of ``D(a, b)^2``, or ``W2(a, b)^2``, in the atoms and in the weights of a.

    Parameters
    ----------
    points : (N, dim)
        ``2 sum_j P_ij (x_i - y_j)``, the derivative in atom i.  Divided by its weight this is the gradient in L2(mu),
        twice ``x_i - E[y | x_i]``.  Zero for cells without mass.
    weights : (N,)
        The first variation: the optimal potential alpha with ``sum_i m_i alpha_i = 0``.  Its sum against weights of
        total zero is the derivative along them.  For a density: times ``grid.cell``, the derivative in its values.
    unique_plan
        Whether no other plan is optimal.  Otherwise ``points`` is one supergradient (up to a smooth term) of many:
        ``D^2`` has a kink there, bent downwards.
    unique_potentials
        Whether the potentials are unique up to a constant on the atoms with mass.  Otherwise ``weights`` is one
        subgradient of many: a convex kink.  So it is as soon as a group of atoms of a has, in every optimal plan, as
        much mass as the atoms of b it goes to: for equal weights on both sides, nearly always.
    distance
        The distance itself.

    Examples
    --------
    >>> import jko
    >>> found = jko.metrics.squared_gradient(jko.Particles([[0.0]]), jko.Particles([[2.0]]))
    >>> found.points.tolist(), found.unique_plan
    ([[-4.0]], True)
    """

    points: Tensor
    weights: Tensor
    unique_plan: bool
    unique_potentials: bool
    distance: Distance

    @property
    def H(self) -> Tensor:
        """The derivative in H (or w), shape (N,)."""
        return self.points[:, 0]

    @property
    def theta(self) -> Tensor:
        """The derivative in theta, shape (N, d)."""
        return self.points[:, 1:]


@on_numbers
def squared_gradient(a: State, b: State) -> SquaredGradient:
    """The derivative of ``D(a, b)^2`` in theta, H and weights of a; of ``W2(a, b)^2`` for :class:`jko.Particles`.

    Parameters
    ----------
    a, b
        Two :class:`jko.Particles`, or two pairs (rho, H) of any kinds: cells of a density and nodes of a mesh count as
        atoms (H, theta).

    Raises
    ------
    TypeError
        Other states.
    ValueError
        Different dimensions, dtypes or devices.

    Notes
    -----
    Where weights are zero, ``weights`` is the derivative for mass that appears there.

    Source: survey Remark 3.4; the potential as first variation: Santambrogio, Optimal Transport for Applied
    Mathematicians (2015), Proposition 7.17.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.ChargedParticles([[0.0]], [0.0]), jko.ChargedParticles([[3.0]], [4.0])
    >>> slope = jko.metrics.squared_gradient(a, b)
    >>> slope.theta.tolist(), slope.H.tolist()
    ([[-6.0]], [-8.0])
    """
    one_sort(
        a,
        b,
        "of a density differentiate W2 between its .to_particles(), of a span D between its .to_particles()",
    )
    mu, nu = alike(a, b)
    found = lifted_distance(mu, nu)
    (x, m), (y, n) = atoms(mu), atoms(nu)
    alpha = found.potentials[0] - m @ found.potentials[0]
    plan = found.plan
    apart = plan.mass[:, None] * (x[plan.rows] - y[plan.cols])
    points = 2 * np.stack([sums(plan.rows, column, len(x)) for column in apart.T], axis=1)
    unique = _uniqueness(x, m, y, n, found)
    return SquaredGradient(
        torch.from_numpy(points).to(mu.points),
        torch.from_numpy(alpha).to(mu.points),
        *unique,
        found,
    )


def _uniqueness(x: Array, m: Array, y: Array, n: Array, found: Distance) -> tuple[bool, bool]:
    """Whether the plan, and whether the potentials up to a constant, are the only optimal ones.

    Mass can be sent round a cycle at no cost if the cycle goes forth along pairs whose constraint is tight and back
    along pairs that carry mass.  The plan is a vertex, so its own pairs hold no cycle: there is one if a tight pair
    without mass joins two atoms of one strong component.  Potentials are rigid along the pairs of all optimal plans,
    which connect the atoms of each component.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    kept = [np.flatnonzero(w > NEGLIGIBLE) for w in (m, n)]
    ends = found.plan.rows, found.plan.cols
    at = [np.searchsorted(k, index) for k, index in zip(kept, ends, strict=True)]
    N, M = len(kept[0]), len(kept[1])
    potentials = [p[k] for p, k in zip(found.potentials, kept, strict=True)]
    rows, cols = _tight(x[kept[0]], y[kept[1]], *potentials)
    idle = ~np.isin(rows * M + cols, at[0] * M + at[1])
    tail = np.concatenate([rows, at[0], N + at[1]])
    head = np.concatenate([N + cols, N + at[1], at[0]])
    graph = coo_array((np.ones(len(tail)), (tail, head)), shape=(N + M, N + M))
    count, label = connected_components(graph, directed=True, connection="strong")
    cycle = bool((label[rows[idle]] == label[N + cols[idle]]).any())
    return not cycle, count == 1


def _tight(x: Array, y: Array, alpha: Array, beta: Array) -> tuple[Index, Index]:
    """All pairs with ``|x_i - y_j|^2 = alpha_i + beta_j`` up to TIE."""
    small = TIE * float(np.abs(alpha).max() + np.abs(beta).max())
    reduced = RoughCosts(x, y, alpha, beta)
    found = []
    for start, R in reduced.blocks():
        i, j = np.nonzero(small + reduced.error >= R)
        i = i + start
        close = pair_costs(x, y, i, j) - alpha[i] - beta[j] <= small
        found.append((i[close], j[close]))
    rows, cols = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, cols
