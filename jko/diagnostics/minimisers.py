"""Minimisers: on a grid the stationary states of F with entropy or a porous-medium term, (4.5) and (4.8)-(4.10)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import overload

import torch
from torch import Tensor

from jko import checks
from jko.deprecation import renamed
from jko.diagnostics.best_measure import BestMeasure, best_measure
from jko.duality.cells import Cells, row_scale
from jko.energies import (
    Energy,
    Interaction,
    Parts,
    Squares,
    joined,
    parts,
    refuse,
    sorted_terms,
    value_of,
)
from jko.measures import ChargedParticles, GridDensity, Particles
from jko.measures.tensors import on_numbers
from jko.shown import Shown
from jko.spaces import Grid
from jko.status import Status
from jko.steps import FrankWolfe


@dataclass(frozen=True, eq=False)
class Minimiser(Shown):
    """The minimiser of an energy over the densities on a grid.

    Attributes
    ----------
    state : GridDensity
        mu*, with ``dF/dmu(mu*) = level`` where it has mass, and >= level elsewhere: (4.9)-(4.10).
    energy : float
        F(mu*).
    gap : float
        ``F(mu*) - min F`` over all densities on the grid is at most this.
    level : float
        The constant lambda of (4.9).
    residual : float
        How far (4.9) is from holding: the norm of ``(f_mu* - f) - g`` over all data.
    iterations : int
        Newton steps.
    status : Status
        CONVERGED, STALLED or MAX_ITERATIONS.
    g : (M,)
        Prices of the data: the residual f_mu* - f.

    Examples
    --------
    >>> import jko
    >>> rest = jko.minimiser(jko.SquaredNorm() + jko.Entropy(), jko.Grid((-6.0, 6.0), 120))
    >>> rest.status.name, round(float(rest.state.covariance()), 3)  # N(0, 1)
    ('CONVERGED', 1.0)
    """

    state: GridDensity
    energy: float
    gap: float
    level: float
    residual: float
    iterations: int
    status: Status
    g: Tensor = field(repr=False)

    def _facts(self) -> dict[str, object]:
        names = ("energy", "gap", "status", "residual", "iterations", "level", "state")
        return {name: getattr(self, name) for name in names}

    def _picture(self) -> str:
        return self.state._picture()

    def __str__(self) -> str:
        return (
            f"energy {self.energy:.6g}  gap {self.gap:.1e}  residual {self.residual:.1e}  "
            f"({self.iterations} iterations; {self.status.name})"
        )


@overload
def minimiser(
    energy: Energy,
    start: Grid | GridDensity,
    *,
    tol: float = ...,
    max_iterations: int = ...,
    solver: None = ...,
) -> Minimiser: ...


@overload
def minimiser(
    energy: Energy,
    start: Particles | ChargedParticles,
    *,
    tol: float = ...,
    max_iterations: int = ...,
    solver: FrankWolfe | None = ...,
) -> BestMeasure: ...


@renamed(where="start", grid="start")
@on_numbers
def minimiser(
    energy: Energy,
    start: Grid | GridDensity | Particles | ChargedParticles,
    *,
    tol: float = 1e-12,
    max_iterations: int = 100,
    solver: FrankWolfe | None = None,
) -> Minimiser | BestMeasure:
    """The minimiser of F over all densities on a grid, or, from atoms, over all measures; F convex in the measure.

    **On a grid**, F with an internal energy.  With entropy it is the Gibbs measure ``mu* = exp(-(phi + V)/c) / Z`` of
    its own ``phi = <f_mu* - f, Phi>``, with the porous medium ``(l - phi - V)_+ / c``, and in general
    ``(U*)'(l - phi - V)``.  It is the only stationary state with full support, (4.5); the porous medium has others, but
    this one is the minimum, (4.8).  The dual problem has one unknown for each data point and is solved by Newton's
    method.

    **From atoms**, F a risk with a potential, or another energy of atoms that is convex in the measure: the infinite
    step of :class:`jko.FrankWolfe`, which adds atoms where dF/dmu is lowest, solves for their masses and slides both,
    until ``F - min F`` is at most ``solver.gap |F(start)|``.  The number of atoms is found, not given.  No flow is run,
    in either case.

    Parameters
    ----------
    energy : Energy
        On a grid, sums of risks, potentials (+inf where no mass may be), interactions with convex=True, entropies and
        porous-medium terms, all with positive coefficients but the potentials; one internal energy at least.
        From atoms, risks, potentials and terms declared convex in the measure.
    start : Grid, GridDensity, Particles or ChargedParticles
        The cells; of a density, its residual is the first guess.  Atoms are the first guess too, and their domain is
        kept.
    tol, max_iterations
        On a grid: of the residual, relative to ``1 + |f|``, and Newton steps.
    solver : FrankWolfe, optional
        From atoms: the gap, and limits of rounds and time.

    Returns
    -------
    Minimiser or BestMeasure
        Unconverged results say so in ``status``; their gap is as rigorous.

    Raises
    ------
    ValueError
        On a grid for an energy without internal energy (its minimiser is no density: start from atoms), from atoms for
        one that is not convex in the measure, or has no minimum; for terms that this cannot treat.

    Notes
    -----
    Source: survey (4.5), (4.8)-(4.10), Remark 2.1.  As printed, (4.8) is an equality and stationary states have full
    support; for the porous medium neither holds: ``F(mu) - F(mu*)`` has the further term
    ``int (dF/dmu(mu*) - l) dmu >= 0``.

    Examples
    --------
    >>> import jko
    >>> found = jko.minimiser(jko.SquaredNorm() + 0.5 * jko.Entropy(), jko.Grid((-6.0, 6.0), 200))
    >>> round(float(found.state.covariance()[0, 0]), 6)
    0.5
    >>> wells = jko.Potential(lambda x: ((x**2 - 1) ** 2 + 0.1 * x)[:, 0])
    >>> best = jko.minimiser(wells, jko.Particles([[1.0]]))  # from the wrong well
    >>> round(float(best.state.points[0, 0]), 3)
    -1.012
    """
    checks.kind("energy", energy, Energy)
    kinds = (Grid, GridDensity, Particles, ChargedParticles)
    checks.kind("start", start, *kinds, hint="a jko.Grid(bounds, shape), or jko.Particles(points)")
    if isinstance(start, (Particles, ChargedParticles)):
        solver = FrankWolfe() if solver is None else solver
        return best_measure(energy, start, checks.kind("solver", solver, FrankWolfe))
    if solver is not None:
        raise TypeError("solver is for atoms; on a grid give tol and max_iterations")
    return _on_cells(energy, start, tol, max_iterations)


def _on_cells(
    energy: Energy, grid: Grid | GridDensity, tol: float, max_iterations: int
) -> Minimiser:
    """Newton's method on the dual of the cells."""
    checks.number("tol", tol, above=0)
    checks.count("max_iterations", max_iterations)
    start = grid if isinstance(grid, GridDensity) else _uniform(energy, grid)
    terms = with_squares(parts(energy, start))
    _refuse(terms)
    cells = Cells.of(terms)
    found = cells.maximise(cells.residual(start.weights[cells.open]), max_iterations, tol)
    best = found.best
    rho = start.values.new_zeros(start.grid.N)
    rho[cells.open] = best.rho
    state = GridDensity.of(start.grid, rho.reshape(start.grid.shape))
    status = Status.STALLED if found.iterations < max_iterations else Status.MAX_ITERATIONS
    scale = row_scale(energy, best.g)  # of the data; interactions have rows behind them
    level, squared = best.level, len(best.g) > len(scale)
    with torch.no_grad():
        value = value_of(energy, state)
        if squared:  # squares have the slope of an interaction up to a constant
            level = float(state.integrate(energy.variation(state)))
    return Minimiser(
        state,
        value,
        cells.gap(best.rho * cells.volumes, best),
        level,
        float(best.gradient.norm()),
        found.iterations,
        Status.CONVERGED if found.converged else status,
        best.g[: len(scale)] / scale,
    )


def with_squares(terms: Parts) -> Parts:
    """The interactions that are convex in the measure as squares, beside those of the risks."""
    assert terms.state is not None
    rest: list[tuple[float, Energy]] = []
    for c, E in terms.rest.terms if terms.rest is not None else ():
        if not (isinstance(E, Interaction) and E.convex and c > 0):
            rest.append((c, E))
            continue
        like = terms.potential
        slope, rows, targets, constant = Squares.of(c, E, terms.state.atoms)
        terms = replace(
            terms,
            potential=like + torch.from_numpy(slope).to(like),
            features=torch.cat([terms.A, torch.from_numpy(rows).to(like)]),
            targets=torch.cat([terms.b, torch.from_numpy(targets).to(like)]),
            constant=terms.constant + constant,
        )
    return replace(terms, rest=joined(rest))


def _refuse(terms: Parts) -> None:
    """Raise where the minimiser is no density, or not within reach."""
    refuse(
        terms.rest.terms if terms.rest is not None else (),
        "the minimiser of an energy with {c:g} * {name} is not computed here: only risks of the squared "
        "loss, potentials, entropies and porous-medium terms with positive coefficients; run jko.flow for a long time "
        "instead",
    )
    if not terms.internal:
        raise ValueError(
            "the energy has no internal energy, so its minimiser is no density; add 0.01 * jko.Entropy() or "
            "0.01 * jko.PorousMedium(), or start from atoms, jko.Particles(points)"
        )


def _uniform(energy: Energy, grid: Grid) -> GridDensity:
    """The uniform density on the cells where no potential is +inf."""
    centres = grid.centres
    state = GridDensity.of(grid, centres.new_full(grid.shape, 1 / (grid.N * grid.cell)))
    blocked = torch.zeros(grid.N, dtype=torch.bool, device=centres.device)
    with torch.no_grad():
        for c, E in sorted_terms(energy).linear:
            blocked |= (c * E.variation(state)).isposinf()
    if not bool(blocked.any()) or bool(blocked.all()):
        return state
    values = (~blocked).double() / (float((~blocked).sum()) * grid.cell)
    return GridDensity.of(grid, values.reshape(grid.shape))
