"""The dissipation (3.9), and the speed of a flow, which is zero where a measure is stationary (3.10)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from torch import Tensor

from jko import checks
from jko.energies import Energy, Internal, joined, sorted_terms
from jko.limits.densities import Volumes
from jko.limits.systems import chaos
from jko.limits.walls import tangent
from jko.measures import (
    ChargedDensity,
    ChargedParticles,
    GridDensity,
    LineMesh,
    NormalLaws,
    Particles,
    State,
)
from jko.measures.mesh import GAUSS
from jko.measures.tensors import on_numbers
from jko.shown import shown

Array = NDArray[np.float64]


@shown
class Speed(NamedTuple):
    """How far a measure is from stationary: the speed ``|grad dF/dmu|`` on its atoms.

    Attributes
    ----------
    max : float
        The largest over the atoms.
    mean : float
        Root mean square against mu; its square is the dissipation.

    Examples
    --------
    >>> import jko
    >>> jko.diagnostics.speed(jko.SquaredNorm(), jko.Particles([[3.0], [3.0]]))
    Speed(max=3, mean=3)
    """

    max: float
    mean: float


@on_numbers
def dissipation(energy: Energy, state: State) -> float:
    """The rate at which the gradient flow lowers the energy: ``-dF/dt = int |grad dF/dmu|^2 dmu``.

    For a pair (rho, H) it is that of (3.23): ``int |grad_theta|^2 + (d_H)^2 drho`` of Proposition 3.3, in D.  For
    normal laws it is that of their flow in the Bures metric: of the gradient projected on the affine fields.

    Raises
    ------
    TypeError
        For what is no energy or no state; an internal energy (entropy, porous medium) of atoms, which have no density.

    Notes
    -----
    Source: survey (3.9).  With a domain the velocity is the part of ``-grad dF/dmu`` that does not leave it (3.11).

    With internal energies it is ``int |grad (dF/dmu)|^2 drho`` along (4.2) and (4.7), by differences of second order:
    of a :class:`jko.GridDensity` across the faces of its cells, so that it is the rate of
    :func:`jko.limits.wasserstein` on the same cells; of a :class:`jko.LineMesh` in its own metric, in which the edges
    move; of a :class:`jko.ChargedDensity` that of ``jko.limits.chaos``.  Of a density that jumps to zero the entropy's
    is +inf; on cells it is a number that grows as they shrink.

    Examples
    --------
    >>> import jko
    >>> jko.diagnostics.dissipation(jko.SquaredNorm(), jko.Particles([[3.0], [1.0]]))
    5.0
    >>> rho = jko.GridDensity.from_function(
    ...     jko.Grid((-8.0, 8.0), 400), lambda x: (-(x[:, 0] ** 2) / 8).exp()
    ... )
    >>> round(
    ...     jko.diagnostics.dissipation(jko.Entropy(), rho), 3
    ... )  # of the normal law with variance 4
    0.25
    """
    _check(energy, state)
    if isinstance(state, ChargedDensity) and has_internal(energy):
        return -chaos.rate(energy, state)
    return _speed(energy, state)[1]


@on_numbers
def speed(energy: Energy, state: State) -> Speed:
    """The residual of Definition 3.1, ``grad dF/dmu = 0`` on the support: its maximum and its L2(mu) mean.

    Raises
    ------
    TypeError
        As :func:`dissipation`; also an internal energy of a pair.

    Notes
    -----
    Source: survey (3.10); with a domain, (3.11); with internal energies on the faces of cells, as in
    :func:`dissipation`.  A stationary measure need not be a minimiser, nor are stationary measures unique;
    :func:`jko.optimality` bounds the distance to the minimum.

    Examples
    --------
    >>> import jko
    >>> jko.diagnostics.speed(jko.SquaredNorm(), jko.Particles([[0.0], [0.0]]))
    Speed(max=0, mean=0)
    """
    _check(energy, state)
    largest, square = _speed(energy, state)
    return Speed(largest, math.sqrt(square))


def has_internal(energy: Energy) -> bool:
    """Whether an energy has a term that needs a density."""
    return bool(sorted_terms(energy).internal)


def _check(energy: Energy, state: State) -> None:
    checks.kind("energy", energy, Energy)
    checks.kind("state", state, State, hint="build it by jko.Particles(points)")


def _speed(energy: Energy, state: State) -> tuple[float, float]:
    """The largest speed, and the integral of its square against mu."""
    if isinstance(state, NormalLaws):
        return _squared(state, state.projected(-energy.gradient(state)))
    if has_internal(energy):
        if isinstance(state, GridDensity):
            return _across_faces(energy, state)
        if isinstance(state, LineMesh):
            return _of_edges(energy, state)
        if not isinstance(state, (Particles, ChargedParticles)):
            raise TypeError(
                f"the energy has an internal term, whose force on a {type(state).__name__} is not known here: take "
                "jko.diagnostics.dissipation of a jko.ChargedDensity, or jko.GridDensity and jko.LineMesh for measures"
            )
    mu = state.atoms
    return _squared(mu, tangent(mu.domain, mu.points, -energy.gradient(mu)))


def _squared(state: State, v: Tensor) -> tuple[float, float]:
    """The largest length of the velocities v (N, dim) at the atoms, and the integral of the square."""
    square = (v * v).sum(-1)
    return float(square.max().sqrt()), float(state.integrate(square))


def _across_faces(energy: Energy, rho: GridDensity) -> tuple[float, float]:
    """By the finite volumes of :mod:`jko.limits.densities`."""
    with torch.no_grad():
        found = Volumes.of(energy, rho).speeds(rho.values)
    largest = [float(speed.max()) for speed, _ in found if speed.numel()]
    total = sum(float(power.sum()) for _, power in found) * rho.grid.cell
    return max(largest, default=0.0), total


def _of_edges(energy: Energy, mesh: LineMesh) -> tuple[float, float]:
    """By the velocity of the edges that lowers F fastest: ``M v = -dF/dedges``, M the metric ``int |v|^2 dmu``.

    v is linear on each cell; at a wall it does not leave.
    """
    m = mesh.masses.cpu().numpy().astype(np.float64)
    diagonal = (np.append(m, 0.0) + np.append(0.0, m)) / 3
    force = -slope_of_edges(energy, mesh)
    low, high = at_walls(mesh)
    first, last = 0, len(force)
    while True:  # at most three times: an end that would leave is held
        v, inside = np.zeros(len(force)), slice(first, last)
        beside = np.append(0.0, m[first : last - 1] / 6)
        v[inside] = solveh_banded(np.stack([beside, diagonal[inside]]), force[inside])
        hold = (low and v[0] < 0, high and v[-1] > 0)
        if not any(hold):
            break
        first, last = first + hold[0], last - hold[1]
    square = m / 3 * (v[1:] ** 2 + v[1:] * v[:-1] + v[:-1] ** 2)
    return float(np.abs(v).max()), float(square.sum())


def slope_of_edges(energy: Energy, mesh: LineMesh) -> Array:
    """The derivative of F in the edges, (N + 1,): the pull on the Gauss points, and differences of the pressure."""
    terms = sorted_terms(energy)
    P = sum((c * E.pressure(mesh.values) for c, E in terms.internal), torch.zeros_like(mesh.values))
    outside = P.new_zeros(1)
    slope = torch.cat([P, outside]) - torch.cat([outside, P])
    others = joined(terms.without(Internal))
    if others is not None:
        pull = others.gradient(mesh)[:, 0]
        pair = (mesh.weights * pull).reshape(-1, 2)
        share = torch.tensor([0.5 + GAUSS, 0.5 - GAUSS]).to(pair)  # of the cell's lower edge
        slope[:-1] += pair @ share
        slope[1:] += pair @ (1 - share)
    return slope.cpu().numpy().astype(np.float64)


def at_walls(mesh: LineMesh) -> tuple[bool, bool]:
    """Whether the first edge lies on the lower wall, and the last on the upper one."""
    if mesh.domain is None:
        return False, False
    ends = mesh.edges[[0, -1]]
    step = 1e-12 * (1 + float(ends.abs().max()))
    out = ends + step * torch.tensor([-1.0, 1.0]).to(ends)
    low, high = (mesh.domain.project(out[:, None])[:, 0] != out).tolist()
    return low, high
