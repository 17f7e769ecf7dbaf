"""Errors against an exact answer as a small parameter tends to zero, with pairwise orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.deprecation import renamed
from jko.measures import ChargedParticles, GridDensity, LineMesh, Particles, State
from jko.shown import Shown
from jko.trajectory import Trajectory

Array = NDArray[np.float64]


@renamed(taus="parameters")
@dataclass(frozen=True, eq=False)
class Convergence(Shown):
    """How errors fall with a small parameter; prints as a table.

    Attributes
    ----------
    parameters, errors : (K,)
        Time steps (or what ``name`` says), in the order given, and errors.
    name : str
        What the parameter is.
    orders : (K - 1,)
        ``log(e_k / e_{k+1}) / log(h_k / h_{k+1})`` between neighbours, h the parameter; nan where an error vanishes.

    Examples
    --------
    >>> import numpy as np
    >>> from jko.diagnostics import Convergence
    >>> Convergence(np.array([0.2, 0.1]), np.array([0.04, 0.01])).orders.round(6).tolist()
    [2.0]
    """

    parameters: Array
    errors: Array
    name: str = "tau"

    @property
    def orders(self) -> Array:
        """Orders between neighbours: a single fit over all of them would hide a trend."""
        with np.errstate(divide="ignore", invalid="ignore"):
            order = np.diff(np.log(self.errors)) / np.diff(np.log(self.parameters))
        return np.where(np.isfinite(order), order, np.nan)

    def __str__(self) -> str:
        orders = ["", *(f"{order:.3f}" for order in self.orders)]
        rows = [
            f"{h:10.4g}  {error:11.4e}  {order:>6}"
            for h, error, order in zip(self.parameters, self.errors, orders, strict=True)
        ]
        return "\n".join([f"{self.name:>10}  {'error':>11}  {'order':>6}", *rows])


@renamed(taus="parameters")
def convergence(
    run: Callable[[float], State | Trajectory],
    exact: State | Trajectory,
    parameters: Sequence[float],
    norm: Callable[[Any, Any], float] | None = None,
    name: str = "tau",
) -> Convergence:
    """Run a scheme for several time steps and hold every result against the exact one.

    Parameters
    ----------
    run : callable
        tau -> state, or a trajectory, whose last state is taken.
    exact : state or Trajectory
        What the states should converge to; of a trajectory the last state.
    parameters : (K,)
        What ``run`` takes, positive, each other than the one before: time steps, or any other small parameter, such as
        the width of a cell, 1/N of particles, 1/M of data.
    norm : callable, optional
        (state, exact) -> error.  Default: the L2(mu) distance of atoms with the same label,
        ``sqrt(int |xi - xi_exact|^2 dmu)``, which bounds W2 (and D, on lifts) from above; between densities on
        one grid ``int |rho - rho_exact| dx``.
    name : str
        What the small parameter is, for the table and the picture.

    Returns
    -------
    Convergence
        Errors and pairwise orders.

    Examples
    --------
    >>> import jko
    >>> start, E = jko.Particles([[1.0]]), jko.SquaredNorm()
    >>> def run(tau):
    ...     return jko.flow(E, start, tau=tau, t1=1.0, solver=jko.LBFGS(tol=1e-12))
    >>> table = jko.convergence(
    ...     run, jko.limits.wasserstein(E, start, t1=1.0), parameters=[0.1, 0.05]
    ... )
    >>> round(float(table.orders[0]), 1)
    1.0
    """
    checks.function("run", run, hint="it takes tau and gives back a jko.Trajectory or a state")
    steps = [
        checks.number(f"parameters[{k}]", h, above=0)
        for k, h in enumerate(checks.items("parameters", parameters))
    ]
    if not steps or any(a == b for a, b in pairwise(steps)):
        raise ValueError(
            f"parameters = {steps}; at least one is needed, and neighbours must differ"
        )
    norm = natural_norm if norm is None else norm
    checks.function("norm", norm, hint="it takes two states and gives back a number")
    target = _state(exact)
    return Convergence(
        np.array(steps), np.array([float(norm(_state(run(tau)), target)) for tau in steps]), name
    )


def natural_norm(a: State, b: State) -> float:
    """``int |rho - sigma| dx`` between densities on one grid, :func:`labelled_distance` between atoms."""
    if isinstance(a, GridDensity) and isinstance(b, GridDensity):
        if a.grid != b.grid:
            raise ValueError(
                f"the densities live on different grids, {a.grid} and {b.grid}; "
                "pass norm=lambda a, b: jko.distance(a, b).value"
            )
        return float((a.values - b.values).abs().sum()) * a.grid.cell
    return labelled_distance(a, b)


def labelled_distance(a: State, b: State) -> float:
    """``sqrt(int |xi - xi'|^2 dmu)`` between atoms with the same label; both states need the same weights."""
    for name, state in (("the state of the run", a), ("the exact state", b)):
        checks.kind(
            name,
            state,
            Particles,
            ChargedParticles,
            LineMesh,
            hint="pass norm=(state, exact) -> error",
        )
    mu, nu = a.atoms, b.atoms
    if mu.points.shape != nu.points.shape or not bool((mu.weights == nu.weights).all()):
        raise ValueError(
            f"the states have atoms of shapes {tuple(mu.points.shape)} and {tuple(nu.points.shape)}, which must agree, "
            "as must their weights, for atoms to be compared by label; pass norm=lambda a, b: jko.distance(a, b).value"
        )
    return float(mu.integrate(((mu.points - nu.points) ** 2).sum(-1)).sqrt())


def _state(result: Any) -> Any:
    return result.final if isinstance(result, Trajectory) else result
