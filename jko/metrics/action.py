"""The action of a path of pairs (rho_s, H_s): as it should be, and as it is printed in Remark 3.4.

The length that belongs to D follows each atom of the lift: theta moves with v and its charge changes at the material
rate ``d_s H + v . grad H``.  So, with ``d_s rho + div(rho v) = 0``,

    corrected      int_0^1 int (|v|^2 + |d_s H + v . grad H|^2) rho dtheta ds
    printed        int_0^1 int |v|^2 (1 + |d_s H|^2) rho dtheta ds
    printed_slope  int_0^1 int |v|^2 (1 + |grad H|^2) rho dtheta ds

The printed one is degenerate: with v = 0 it lets H change for nothing.  Both readings of its Hdot are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jko import checks
from jko.measures import ChargedDensity, Pair, Particles, State
from jko.measures.tensors import on_numbers
from jko.metrics.continuity import Faces
from jko.metrics.couplings import Array, as_array
from jko.shown import Shown
from jko.spaces import refuse_wrapped

MASS = 1e-9  # what the mass may change along a path


@dataclass(frozen=True)
class Action(Shown):
    """The action of a path, three times.

    Parameters
    ----------
    corrected
        ``int int (|v|^2 + |d_s H + v . grad H|^2) rho``; over a unit of time it is at least D^2 of the ends.
    printed
        ``int int |v|^2 (1 + |d_s H|^2) rho``, Remark 3.4 with Hdot the time derivative.  NaN along atoms, which do not
        say how H changes at one theta.
    printed_slope
        ``int int |v|^2 (1 + |grad H|^2) rho``, the same with Hdot the slope.  NaN along atoms.
    residual
        Largest L1 norm, over the slabs of time, of ``d_s rho + div(rho v)``; zero along atoms.

    Examples
    --------
    >>> import jko
    >>> path = [jko.ChargedParticles([[s]], [0.0]) for s in (0.0, 0.5, 1.0)]
    >>> jko.metrics.action(path).corrected
    1.0
    """

    corrected: float
    printed: float
    printed_slope: float
    residual: float


@on_numbers
def action(path: Sequence[State], times: Any = None, velocity: Any = None) -> Action:
    """The action of a given path, of second order in the spacing of the grid and of the times.

    Parameters
    ----------
    path
        S + 1 states: :class:`jko.ChargedDensity` on one grid; or atoms (:class:`jko.ChargedParticles`,
        :class:`jko.ChargedMesh`, or lifts) with one vector of weights, where atom i of each state is where atom i went:
        ``sum m_i (|dtheta_i|^2 + |dH_i|^2) / ds``.
    times : (S + 1,), optional
        Increasing; default: equidistant from 0 to 1.
    velocity : (S, *grid.shape, d), optional
        v in the centres of the cells at the middle of each slab of time.  Default: the velocity of least kinetic energy
        that moves rho_s.  In d = 1 it is the only one.  In d >= 2 it is ``grad psi`` with
        ``- div(rho grad psi) = d_s rho`` and no flux through the walls, a sparse elimination for each slab; then the
        result is the action of *this* flow, and another v may have a smaller one.

    Notes
    -----
    rho and H at the middle of a slab are the means of its ends.  Fluxes live on faces, where rho is the mean of the
    cells beside them, but at least 1e-12 of its maximum: mass that jumps through a vacuum has a huge action, not an
    infinite one.

    Source: survey Remark 3.4; as printed and as corrected.

    Raises
    ------
    ValueError
        Fewer than two states, grids or masses or weights that do not match, times that do not increase, H that is not
        finite where mass arrives or leaves.
    TypeError
        Kinds of state that are no path.

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((0.0, 1.0), 10)
    >>> flat = [1.0] * 10
    >>> found = jko.metrics.action(
    ...     [jko.ChargedDensity(grid, flat, [s] * 10) for s in (0.0, 1.0, 2.0)]
    ... )
    >>> found.corrected, found.printed
    (4.0, 0.0)
    """
    states = checks.items("path", path)
    refuse_wrapped("the action of a path", *(getattr(s, "domain", None) for s in states))
    steps = _steps(states, times)
    if all(isinstance(s, ChargedDensity) for s in states):
        return _on_grid([s for s in states if isinstance(s, ChargedDensity)], steps, velocity)
    if velocity is not None:
        raise ValueError("velocity is for densities on a grid; atoms carry their own")
    return _along_atoms(states, steps)


def _steps(states: Sequence[State], times: Any) -> Array:
    if len(states) < 2:
        raise ValueError(f"the path has {len(states)} states; it needs at least two, its ends")
    if times is None:
        return np.full(len(states) - 1, 1 / (len(states) - 1))
    at = as_array(checks.shape("times", checks.floats("times", times), (len(states),)))
    steps = np.diff(at)
    if not (steps > 0).all():
        k = int(steps.argmin())
        raise ValueError(
            f"times[{k}] = {at[k]:g} and times[{k + 1}] = {at[k + 1]:g}; times must increase"
        )
    return steps


def _along_atoms(states: Sequence[State], steps: Array) -> Action:
    """``sum over slabs of sum_i m_i |dxi_i|^2 / ds``."""
    for k, state in enumerate(states):
        checks.kind(f"path[{k}]", state, Particles, Pair, hint="a path is of pairs (rho, H)")
        if isinstance(state, ChargedDensity):
            raise TypeError(
                f"path[{k}] is a ChargedDensity among atoms; a path is of densities on one grid, or of atoms"
            )
    atoms = [state.atoms for state in states]
    for k, other in enumerate(atoms):
        if other.points.shape != atoms[0].points.shape:
            raise ValueError(
                f"path[{k}] has atoms of shape {tuple(other.points.shape)} but path[0] {tuple(atoms[0].points.shape)}; "
                "along a path atom i goes to atom i, so there must be one for each"
            )
        worst = float((other.weights - atoms[0].weights).abs().max())
        if worst > MASS:
            raise ValueError(
                f"the weights of path[{k}] differ from those of path[0] by {worst:.3g}; atoms carry their mass along"
            )
    points = np.stack([as_array(a.points) for a in atoms])
    squares = (np.diff(points, axis=0) ** 2).sum(-1) @ as_array(atoms[0].weights)
    return Action(float((squares / steps).sum()), np.nan, np.nan, 0.0)


class Slab(NamedTuple):
    """The integrands at the middle of a slab of time, integrated over Theta."""

    kinetic: float  # |v|^2
    material: float  # |d_s H + v . grad H|^2
    by_rate: float  # |v|^2 |d_s H|^2
    by_slope: float  # |v|^2 |grad H|^2
    residual: float


def _on_grid(states: Sequence[ChargedDensity], steps: Array, velocity: Any) -> Action:
    grid, like = states[0].grid, states[0].values
    for k, state in enumerate(states):
        if state.grid != grid:
            raise ValueError(
                f"path[{k}] lives on {state.grid} but path[0] on {grid}; along a path the grid must be the same"
            )
        if abs(float(state.mass - states[0].mass)) > MASS:
            raise ValueError(
                f"path[{k}] has mass {float(state.mass):.12g} but path[0] {float(states[0].mass):.12g}; "
                "v moves mass and makes none, so it must stay the same: divide by it"
            )
    given = None
    if velocity is not None:
        expected = (len(steps), *grid.shape, grid.dim)
        given = as_array(
            checks.shape("velocity", checks.floats("velocity", velocity, like, "rho"), expected)
        )
    faces, slabs = Faces(grid.spacing, grid.shape), []
    for k, ds in enumerate(steps):
        v = None if given is None else given[k]
        slabs.append(_slab(faces, states[k], states[k + 1], float(ds), v, f"path[{k}]"))
    kinetic, material, by_rate, by_slope, residual = np.array(slabs).T
    return Action(
        float(steps @ (kinetic + material)),
        float(steps @ (kinetic + by_rate)),
        float(steps @ (kinetic + by_slope)),
        float(residual.max()),
    )


def _slab(
    faces: Faces, a: ChargedDensity, b: ChargedDensity, ds: float, v: Array | None, name: str
) -> Slab:
    one, two = as_array(a.values), as_array(b.values)
    rho, change = 0.5 * (one + two), (two - one) / ds
    H, charge_rate = _charge(a, b, rho, ds, name)
    if v is None:
        flux = faces.least_flux(rho, change)
        kinetic, v = faces.kinetic(flux, rho), faces.velocity(flux, rho)
    else:
        flux = faces.flux(rho, v)
        kinetic = faces.cell * float((rho * (v**2).sum(-1)).sum())
    residual = faces.cell * float(np.abs(change + faces.divergence(flux)).sum())
    grad = faces.gradient(H)
    speed = (v**2).sum(-1)
    material, by_rate, by_slope = (
        faces.cell * float((rho * square).sum())
        for square in (
            (charge_rate + (v * grad).sum(-1)) ** 2,
            speed * charge_rate**2,
            speed * (grad**2).sum(-1),
        )
    )
    return Slab(kinetic, material, by_rate, by_slope, residual)


def _charge(
    a: ChargedDensity, b: ChargedDensity, rho: Array, ds: float, name: str
) -> tuple[Array, Array]:
    """H at the middle of a slab (NaN where rho is zero), and its rate of change (zero there)."""
    full, one, two = rho > 0, as_array(a.H), as_array(b.H)
    bad = full & ~np.isfinite(one + two)
    if bad.any():
        raise ValueError(
            f"H is not finite in {int(bad.sum())} cells that mass enters or leaves between {name} and the next state; "
            "d_s H needs H at both ends: extend it around the support"
        )
    H = np.where(full, 0.5 * (one + two), np.nan)
    return H, np.where(full, (two - one) / ds, 0.0)
