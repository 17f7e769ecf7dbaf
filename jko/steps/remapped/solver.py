"""``Remapped``: the step in D of a pair on a grid, by atoms that move and a remap of what they carry."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch

from jko import checks
from jko.duality import Gap
from jko.energies import (
    Congestion,
    Internal,
    PorousMedium,
    joined,
    negative,
    refuse,
    sorted_terms,
    value_of,
)
from jko.measures import ChargedDensity, Particles
from jko.metrics import as_array, natural_metric
from jko.shown import Shown
from jko.status import Status
from jko.steps.lagrangian import solve_lagrangian
from jko.steps.lbfgs import LBFGS
from jko.steps.memory import rounding
from jko.steps.problem import StepProblem
from jko.steps.remapped.newton import CellNewton
from jko.steps.remapped.stretched import Stretched
from jko.steps.result import Falls, StepResult, judged
from jko.steps.solver import Solver, sharpened

NEGATIVE = "{name} has the coefficient {c:g}; Remapped needs a positive one"
FAST = "Remapped knows no fast diffusion ({energy}), whose forces have no bound where rho is small; take m >= 1"
LIMIT = "Remapped knows no hard limit of the density ({energy}); take jko.PorousMedium(m) with a large m"


@dataclass(frozen=True)
class Remapped(Shown):
    """One step in D of a :class:`jko.ChargedDensity`: cells move as atoms do, and are put back on the grid.

    1. Every cell with mass is an atom (H, centre) of the lift, with the mass of its cell; the JKO step of these atoms
       is taken, exact for them, with its certificate.  Empty cells carry no atom.
    2. The cells move with their atoms, stretched as the displacements of their neighbours say, and each hands its mass
       and its charge to the cells of the grid that it comes to lie on, in portions.  Mass and charge are straight lines
       inside a cell, with limited slopes.

    The remap keeps mass and ``int H drho`` to rounding, rho >= 0, and H in the range of the atoms' new charges; its
    error is of second order in the width of the cells where rho, H and the displacement are smooth, whether the atoms
    move by much less than a cell or by many.  Where the moved graph folds over, or atoms come to rest on a wall, a cell
    takes the mean of the charges that meet there.

    With internal energies ``c int U(rho)``, in d = 1, 2, 3, a cell that moves has the density ``rho / J``, with J the
    Jacobian of the map of the centres, by differences to its neighbours; Newton's method minimises

    ``G(T) + c sum over cells |K| J U(rho / J) + int |T - id|^2 drho / (2 tau)``

    over places and charges.  As tau -> 0 the steps converge to (3.23) with H carried by ``-c grad U'(rho)`` too, the
    gradient flow of the sum in D: :data:`jko.limits.chaos`.  That is of first order in tau and of second in the width
    where rho is smooth; at the edge of a porous medium of lower order.

    Parameters
    ----------
    solver
        Of the atoms' step: :class:`jko.LBFGS` by default, or :class:`jko.BlockNewton`.  Of internal energies its
        ``tol`` alone, if it has one, default 1e-6 ``|T - id| / tau``.

    Raises
    ------
    TypeError
        From ``solve``: a state that is no :class:`jko.ChargedDensity`; a hard limit of the density;
        fast diffusion, m < 1.
    ValueError
        From ``solve``: an internal energy with a negative coefficient.

    Notes
    -----
    With internal energies ``cost`` is that of the index coupling, at least ``D^2``, no lower bound of the step is
    known, and ``remap`` has two parts: what the remap did, which lowers an entropy, and how energies by Jacobians
    differ from those of the cells, of second order in the width.  Both grow with the number of steps, so a step should
    move mass by more than a small part of a cell.  A density that is noise from cell to cell has forces of its means.
    Where rho is below 1e-4 of its largest value a pressure is that before the step, so that tails that meet a wall do
    not stop Newton's method; where a step throws much mass against a wall it may stop all the same: take a smaller tau.

    ``cost`` is ``D^2`` between the old state and the moved atoms, with their ``coupling``, ``residual`` and
    ``certificate()``.  ``energy`` is G of the new state on the grid; the column ``remap`` is what the remap added to
    it, of either sign.  ``slack = G_k - G_{k+1} - cost / (2 tau)`` includes that: the atoms' own slack is
    ``slack + remap >= 0``, and the sum of all ``cost / (2 tau)`` is at most ``G_0 - G_n`` plus the sum of ``remap``.  A
    slack below zero says that the remap undid part of what the step gained.  Where it would undo all of it, so that
    the energy rises, the step fails with LOCKED: what is left to gain lies within the width of a cell, as when mass
    gathers at a point between centres.  So G never rises along a flow.

    Source: survey Remark 3.4, for the step; for remaps by sweeps along the axes see :mod:`jko.steps.remapped.sweeps`.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedDensity.from_function(
    ...     jko.Grid((-3.0, 3.0), 60), lambda x: (-2 * x[:, 0] ** 2).exp(), lambda x: x[:, 0]
    ... )
    >>> solver = jko.steps.Remapped(jko.LBFGS(tol=1e-8))
    >>> result = jko.step(jko.SquaredNorm(), pair, tau=0.1, solver=solver)
    >>> print(f"{result.energy:.4f}, of which the remap {result.figures['remap']:.0e}")
    0.2066, of which the remap -4e-06
    >>> run = jko.flow(jko.SquaredNorm() + 0.5 * jko.Entropy(), pair, tau=0.1, steps=3)
    >>> run.status.name, bool((run.slacks + run.columns["remap"] >= 0).all())
    ('FINISHED', True)
    """

    solver: Solver = field(default_factory=LBFGS)

    def sharpened(self, residual: float) -> Remapped:
        """The same, with the step of its atoms told so."""
        return replace(self, solver=sharpened(self.solver, residual))

    def solve(self, problem: StepProblem) -> StepResult:
        """Move the atoms, remap, and account for both."""
        hint = "atoms need no remap: jko.LBFGS() moves them"
        pair = checks.kind("the state of Remapped", problem.previous, ChargedDensity, hint=hint)
        atoms = pair.lift()
        moved = judged(self._moved(problem, pair, atoms))
        if not moved.status.ok:
            return replace(moved, state=pair, problem=problem, memory={})
        state = remapped(pair, atoms, moved.state.atoms)
        return _accounted(problem, moved, state)

    def _moved(self, problem: StepProblem, pair: ChargedDensity, atoms: Particles) -> StepResult:
        """The step of the atoms."""
        here = replace(problem, previous=atoms, metric=natural_metric(atoms))
        terms = sorted_terms(problem.energy)
        if not terms.internal:
            return self.solver.solve(here)
        refuse(negative(terms.internal), NEGATIVE)
        refuse(terms.of(Congestion), LIMIT, TypeError)
        fast = ((c, E) for c, E in terms.of(PorousMedium) if E.m < 1)
        refuse(fast, FAST, TypeError)
        cells = Stretched(terms.mixture, pair)
        energy = joined([*terms.without(Internal), (1.0, cells)])
        assert energy is not None
        minimise = CellNewton(getattr(self.solver, "tol", None))
        found = solve_lagrangian(replace(here, energy=energy, memory={}), minimise, examine=False)
        return replace(found, gap=Gap.unknown("no lower bound is known for cells that move"))


def _accounted(problem: StepProblem, moved: StepResult, state: ChargedDensity) -> StepResult:
    """The atoms' step with the energy of what is on the grid."""
    energy, before, status = value_of(problem.energy, state), moved.before, moved.status
    if not math.isfinite(energy):
        status = Status.NOT_FINITE
    elif energy > before + rounding(before, energy, dtype=state.values.dtype):
        status = Status.LOCKED
    return moved.joined(
        problem,
        state,
        energy=energy,
        cost=moved.cost,
        status=status,
        figures={"remap": energy - moved.energy},
        gap=moved.certificate,
        falls=Falls.ENERGY,
    )


def remapped(pair: ChargedDensity, before: Particles, after: Particles) -> ChargedDensity:
    """The pair whose cells have moved with their atoms, put back on its grid.

    Parameters
    ----------
    pair
        The cells.
    before, after : (n, 1 + d)
        The atoms (w, theta) of the n cells that hold mass, in their order.
    """
    from jko.steps.remapped.sweeps import moved_cells  # numba loads here

    grid = pair.grid
    width = pair.values.new_tensor(grid.spacing)
    moves = (after.points - before.points)[:, 1:] / width
    field_ = pair.values.new_zeros(1 + grid.dim, grid.N)
    field_[:, pair.weights > 0] = torch.cat([after.points[:, :1], moves], dim=1).T
    charges, *displacements = as_array(field_).reshape(-1, *grid.shape)
    masses, H = moved_cells(as_array(pair.weights).reshape(grid.shape), displacements, charges)
    values = torch.from_numpy(masses).to(pair.values) / grid.cell
    return ChargedDensity.of(
        grid, values, torch.from_numpy(H).to(values).masked_fill(values == 0, torch.nan)
    )


__all__ = ["Remapped", "remapped"]
