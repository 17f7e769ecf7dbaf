"""The natural solver of each kind of state; that of a span stands in ``split``, which asks here for that of its rho."""

from __future__ import annotations

import math
from functools import singledispatch

from jko.measures import ChargedDensity, ChargedMesh, GridDensity, LineMesh, NormalLaws, State
from jko.steps.bures import BuresNewton
from jko.steps.dynamic import Dynamic
from jko.steps.lbfgs import LBFGS
from jko.steps.line import MeshNewton, Quantile
from jko.steps.remapped import Remapped
from jko.steps.solver import Solver, sharpened


@singledispatch
def natural_solver(state: State) -> Solver:
    """The solver for a kind of state, whose metric is :func:`jko.metrics.natural_metric`: LBFGS, which moves atoms.

    The nearest of its classes that has one: for a kind of one's own ``@natural_solver.register``.

    Examples
    --------
    >>> import jko
    >>> type(jko.steps.natural_solver(jko.Particles([[0.0]]))).__name__
    'LBFGS'
    """
    return LBFGS()


@natural_solver.register
def _(state: GridDensity) -> Solver:
    return Dynamic()


@natural_solver.register
def _(state: LineMesh) -> Solver:
    return Quantile()


@natural_solver.register
def _(state: ChargedMesh) -> Solver:
    return MeshNewton()


@natural_solver.register
def _(state: ChargedDensity) -> Solver:
    return Remapped()


@natural_solver.register
def _(state: NormalLaws) -> Solver:
    return BuresNewton()


def told(solver: Solver | None, state: State, residual: float) -> Solver | None:
    """The solver, by default that of the state, told to leave a residual of at most this, if it can be told."""
    if residual == math.inf:
        return solver
    return sharpened(natural_solver(state) if solver is None else solver, residual)
