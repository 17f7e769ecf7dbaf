"""A squared distance as a tensor: ``jko.distance`` gives numbers with their proof, this what torch can differentiate.

    W2^2 = min over plans of sum_ij P_ij |x_i - y_j|^2 = max over potentials of sum_i a_i alpha_i + sum_j b_j beta_j

By the envelope theorem the plan is held fixed for the derivative in the points, the potentials for that in the masses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko import checks
from jko.measures import ChargedSpan, LineMesh, NormalLaws, State
from jko.metrics.base import Distance
from jko.metrics.bures import squares
from jko.metrics.couplings import Array
from jko.metrics.natural import distance


def squared_distance(a: State, b: State) -> Tensor:
    """``W2(a, b)^2``, of pairs (rho, H) ``D(a, b)^2``: a 0-d tensor, differentiable in all that the states are made of.

    Parameters
    ----------
    a, b
        Two states that :func:`jko.distance` compares, but for spans: points, H and weights of atoms, the values of a
        density (times ``grid.cell`` they are masses), edges and masses of a mesh, means and covariances of normal laws.

    Returns
    -------
    Tensor ()
        The square.  Its root, the distance, has no derivative at 0.

    Raises
    ------
    TypeError
        A span, or two kinds of state that no metric compares.
    ValueError
        Different dimensions, dtypes or devices.

    Notes
    -----
    Exact where the distance is.  As a minimum over plans it has kinks where the plan, and in the masses where the
    potentials, are not unique; there this is one slope of several, and :func:`jko.metrics.squared_gradient` says so.
    Between equal weights the potentials nearly never are unique.  Second derivatives are those with the plan held.  For
    a smooth function take :class:`jko.metrics.SinkhornDivergence`, whose ``cost`` is a tensor too.

    Derivatives in masses are those of the normalised measure: along changes of total zero they are the potentials.

    Source: survey Remark 3.4; Santambrogio, Optimal Transport for Applied Mathematicians (2015), Proposition 7.17.

    Examples
    --------
    >>> import jko, torch
    >>> p = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)
    >>> loss = jko.metrics.squared_distance(jko.Particles(p), jko.Particles([[3.0], [2.0]]))
    >>> loss.backward()
    >>> loss.item(), p.grad.tolist()
    (4.0, [[-2.0], [-2.0]])
    """
    for name, state in (("a", a), ("b", b)):
        if isinstance(state, ChargedSpan):
            raise TypeError(
                f"{name} is a ChargedSpan; of a span differentiate D between its .to_particles()"
            )
    found = distance(a, b)
    assert isinstance(found, Distance)
    if isinstance(a, LineMesh) and isinstance(b, LineMesh):
        return _of_meshes(a, b)
    if isinstance(a, NormalLaws) and isinstance(b, NormalLaws):
        return _of_laws(a, b, found)
    mu, nu, plan = a.atoms, b.atoms, found.plan
    rows, cols = (torch.from_numpy(index).to(mu.device) for index in (plan.rows, plan.cols))
    mass = torch.from_numpy(plan.mass).to(mu.points)
    moves = mu.points[rows] - nu.points[cols]
    moves = moves if mu.domain is None else mu.domain.shortest(moves)
    square = mass @ moves.square().sum(1)
    square = square + (found.squared - square.detach())  # between large grids not the plan's cost
    return square + _in_masses(mu.weights, found.alpha) + _in_masses(nu.weights, found.beta)


def _of_laws(a: NormalLaws, b: NormalLaws, found: Distance) -> Tensor:
    """``sum_kl p_kl BW^2(k, l)`` with the optimal plan of the components."""
    plan = found.plan
    i, j = (torch.from_numpy(index).to(a.means.device) for index in (plan.rows, plan.cols))
    mass = torch.from_numpy(plan.mass).to(a.means)
    square = mass @ squares(a.means[i], a.roots[i], b.means[j], b.roots[j])
    return square + _in_masses(a.masses, found.alpha) + _in_masses(b.masses, found.beta)


def _in_masses(m: Tensor, potential: Array) -> Tensor | float:
    """Zero, with the potential, of mean zero, for its derivative in the masses."""
    if not m.requires_grad:
        return 0.0
    alpha = torch.from_numpy(potential).to(m)
    return (alpha - m.detach() @ alpha) @ (m - m.detach())


def _of_meshes(a: LineMesh, b: LineMesh) -> Tensor:
    """``int_0^1 (F_a^{-1} - F_b^{-1})^2 ds``: both are linear between the levels where a cell of either ends."""
    checks.alike("a", a.edges, "b", b.edges)
    levels = _levels(a), _levels(b)
    cuts = torch.cat(levels).sort().values
    ends = zip(_quantiles(a, levels[0], cuts), _quantiles(b, levels[1], cuts), strict=True)
    left, right = (x - y for x, y in ends)
    return (cuts.diff() * (left**2 + left * right + right**2)).sum() / 3


def _quantiles(mesh: LineMesh, level: Tensor, cuts: Tensor) -> tuple[Tensor, Tensor]:
    """``F^{-1}`` at both ends of each piece between two cuts, inside which it is linear."""
    middle = 0.5 * (cuts[1:] + cuts[:-1]).detach()
    cell = (torch.searchsorted(level.detach(), middle) - 1).clamp(0, len(mesh.masses) - 1)
    start, speed = mesh.edges[cell], (mesh.edges.diff() / level.diff())[cell]
    left, right = (start + speed * (cut - level[cell]) for cut in (cuts[:-1], cuts[1:]))
    return left, right


def _levels(mesh: LineMesh) -> Tensor:
    """The mass to the left of each edge, as a share of all."""
    below = torch.cat([mesh.masses.new_zeros(1), mesh.masses.cumsum(0)])
    return below / below[-1]
