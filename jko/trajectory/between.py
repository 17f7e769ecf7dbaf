"""A state between two of a trajectory: atoms and cells that move go straight, densities on a grid are mixed."""

from __future__ import annotations

from functools import singledispatch

import torch

from jko.measures import ChargedDensity, GridDensity, LineMesh, NormalLaws, State
from jko.spaces import wraps


@singledispatch
def between(a: State, b: State, s: float) -> State | None:
    """The state at the part s in (0, 1) of the way from a to b; None where nothing is known of it.

    Atoms of the same weights go along straight lines; for a JKO flow that is the displacement interpolation of the
    step's optimal coupling.
    """
    start, end = a.atoms, b.atoms
    if type(a).placed is State.placed or not torch.equal(start.weights, end.weights):
        return None
    if not wraps(start.domain):
        return a.placed((1 - s) * start.points + s * end.points)
    assert start.domain is not None
    return a.placed(start.points + s * start.domain.shortest(end.points - start.points))


@between.register
def _(a: LineMesh, b: State, s: float) -> LineMesh | None:
    """Cells of the same masses: their ends go straight, which is the geodesic of W2."""
    if not isinstance(b, LineMesh) or not torch.equal(a.masses, b.masses):
        return None
    return a._with(edges=torch.lerp(a.edges, b.edges, s))


@between.register
def _(a: NormalLaws, b: State, s: float) -> NormalLaws | None:
    """Components of the same masses, along the optimal maps."""
    if not isinstance(b, type(a)) or not torch.equal(a.masses, b.masses):
        return None
    return a.towards(b, s)


@between.register
def _(a: GridDensity, b: State, s: float) -> GridDensity | None:
    """The mixture ``(1 - s) rho_a + s rho_b``."""
    if not isinstance(b, GridDensity) or a.grid != b.grid:
        return None
    return GridDensity.of(a.grid, torch.lerp(a.values, b.values, s))


@between.register
def _(a: ChargedDensity, b: State, s: float) -> ChargedDensity | None:
    """The mixture of rho and of the signed measure H rho."""
    if not isinstance(b, ChargedDensity) or a.grid != b.grid:
        return None
    rho = torch.lerp(a.values, b.values, s)
    signed = ((1 - s) * _signed(a) + s * _signed(b)) / rho
    return ChargedDensity.of(a.grid, rho, torch.where(rho > 0, signed, torch.lerp(a.H, b.H, s)))


def _signed(pair: ChargedDensity) -> torch.Tensor:
    return torch.where(pair.values > 0, pair.H * pair.values, 0.0)
