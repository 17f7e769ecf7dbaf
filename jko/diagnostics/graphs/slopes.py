"""The slope ``B = grad H`` of the graph of a pair (rho, H), survey section 5.1 (i)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy, refuse, sorted_terms
from jko.limits.spans import charge_gradient
from jko.measures import ChargedDensity, ChargedMesh, ChargedParticles, ChargedSpan
from jko.measures.tensors import on_numbers
from jko.spaces import FacesAcross

Pair = ChargedDensity | ChargedMesh | ChargedSpan


@on_numbers
def graph_slope(state: Pair) -> Tensor:
    """The slope ``B = grad H`` of a pair (rho, H) at its atoms, nodes or cells; shape (N, d).

    Parameters
    ----------
    state : ChargedSpan, ChargedMesh or ChargedDensity
        On a span the gradient is exact; on a mesh and on a grid it is taken by differences of second order, one-sided
        at the ends and beside cells without mass.

    Returns
    -------
    Tensor
        NaN in cells without mass, and along axes in which a cell has no neighbour with mass.

    Raises
    ------
    TypeError
        For states that know H on atoms only.

    Notes
    -----
    Source: survey section 5.1 asks for how long the graph stays smooth.

    Examples
    --------
    >>> import jko
    >>> mesh = jko.ChargedMesh([0.0, 0.5, 2.0], [0.0, 0.25, 4.0], [0.5, 0.5])  # H = theta^2
    >>> jko.diagnostics.graph_slope(mesh)[:, 0].tolist()
    [0.0, 1.0, 4.0]
    """
    checks.kind(
        "the state",
        state,
        ChargedSpan,
        ChargedMesh,
        ChargedDensity,
        hint="atoms alone have no slope: on the line sort them into a jko.ChargedMesh, or give H as a function in a "
        "jko.ChargedSpan",
    )
    if isinstance(state, ChargedSpan):
        return charge_gradient(state)
    if isinstance(state, ChargedMesh):
        order = min(2, len(state.theta) - 1)
        return torch.gradient(state.H, spacing=(state.theta,), edge_order=order)[0][:, None]
    H = torch.where(state.values > 0, state.H, torch.nan)
    columns = [_differences(H, across) for across in state.grid.across]
    return torch.stack(columns, dim=-1).reshape(state.grid.N, state.d)


def _differences(H: Tensor, across: FacesAcross) -> Tensor:
    """The derivative along one axis from the neighbours that are numbers: central, else one-sided."""
    faces = across.diff(H) / across.width
    ahead, behind = across.upper(faces, torch.nan), across.lower(faces, torch.nan)
    further = across.upper(across.after(ahead), torch.nan)
    before = across.lower(across.before(behind), torch.nan)
    choices = (0.5 * (ahead + behind), 1.5 * ahead - 0.5 * further, 1.5 * behind - 0.5 * before)
    slope = torch.full_like(H, torch.nan)
    for choice in (*choices, ahead, behind):
        slope = torch.where(slope.isnan(), choice, slope)
    return slope


def smooth(energy: Energy, why: str) -> Energy:
    """The energy, unless it has entropies or their kin, which need the density of rho."""
    checks.kind("energy", energy, Energy)
    refuse(
        sorted_terms(energy).internal, "the energy has the internal term {c:g} * {energy}: " + why
    )
    return energy


@on_numbers
def slope_of_atoms(state: Pair | ChargedParticles, slope: Any = None) -> Tensor:
    """The slope (N, d) at all atoms of the lift that hold mass: the given one, or :func:`graph_slope`."""
    if slope is not None:
        B = checks.floats("slope", slope, state.atoms.points, "the state")
        B = B[:, None] if B.ndim == 1 and state.d == 1 else B
        return checks.shape("slope", B, (len(state.weights), state.d))
    if isinstance(state, ChargedParticles):
        raise TypeError(
            "ChargedParticles know H on their atoms only; pass slope = grad H there, shape (N, d), or use a "
            "jko.ChargedMesh, jko.ChargedSpan or jko.ChargedDensity"
        )
    B = graph_slope(state)
    unknown = ~B.isfinite().all(-1) & (state.atoms.weights > 0)
    if bool(unknown.any()):
        where = state.support[int(unknown.to(torch.int8).argmax())].tolist()
        raise ValueError(
            f"the slope of H is not known at theta = {where}: along some axis its cell has no neighbour that holds "
            "mass; refine the grid, or pass slope = grad H, shape (N, d)"
        )
    return B
