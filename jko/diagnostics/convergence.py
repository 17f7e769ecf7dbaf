"""Errors against an exact answer as a small parameter tends to zero, with pairwise orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.deprecation import renamed
from jko.diagnostics import tables
from jko.diagnostics.norms import natural_norm
from jko.measures import State
from jko.shown import Shown, call, svg
from jko.shown.cells import table
from jko.trajectory import Trajectory

Array = NDArray[np.float64]


FLAT = 0.6  # of the best order before: errors that fall slower than this do so for another reason
INEXACT = 1e-2  # of a step's speed: residuals above it show in the orders


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
    inexact : float
        The largest residual of the runs' steps, as a part of their speed: how inexactly they were solved.
    orders : (K - 1,)
        ``log(e_k / e_{k+1}) / log(h_k / h_{k+1})`` between neighbours, h the parameter; nan where an error vanishes.
    order : float
        The slope of the line of least squares through ``(log h, log e)``, over all errors above the floor.
    floor : int or None
        The index of the first error that rests on a floor: from there on all orders are below six tenths of the best
        before.  Something else than the parameter holds the error up: a grid, a tolerance, the reference.
    remarks : list of str
        What to know before the orders are believed.

    Examples
    --------
    >>> import numpy as np
    >>> from jko.diagnostics import Convergence
    >>> h = np.array([0.4, 0.2, 0.1, 0.05])
    >>> table = Convergence(h, h + 0.1)
    >>> table.floor, table.orders.round(2).tolist()
    (2, [0.74, 0.58, 0.42])
    >>> Convergence(h[:2], np.array([1.0, 0.5])).to_csv().splitlines()
    ['tau,error,order', '0.4,1.0,', '0.2,0.5,1.0']
    """

    parameters: Array
    errors: Array
    name: str = "tau"
    inexact: float = 0.0

    @property
    def orders(self) -> Array:
        """Orders between neighbours: a single fit over all of them would hide a trend."""
        with np.errstate(divide="ignore", invalid="ignore"):
            order = np.diff(np.log(self.errors)) / np.diff(np.log(self.parameters))
        return np.where(np.isfinite(order), order, np.nan)

    @property
    def order(self) -> float:
        """One slope over all errors above the floor; nan if fewer than two are left."""
        end = len(self.errors) if self.floor is None else self.floor
        h, e = self.parameters[:end], self.errors[:end]
        seen = (e > 0) & np.isfinite(e)
        if seen.sum() < 2:
            return float("nan")
        return float(np.polyfit(np.log(h[seen]), np.log(e[seen]), 1)[0])

    @property
    def floor(self) -> int | None:
        """The index of the first error that rests on a floor."""
        orders = self.orders
        for k in range(1, len(orders)):
            best = np.nanmax(orders[:k], initial=0.0)
            if best > 0 and (orders[k:] < FLAT * best).all():
                return k
        return None

    @property
    def remarks(self) -> list[str]:
        """What to know before the orders are believed."""
        said = []
        if self.floor is not None:
            best, last = np.nanmax(self.orders[: self.floor]), self.orders[-1]
            said.append(
                f"from {self.name} = {self.parameters[self.floor]:.4g} on errors meet a floor (order {best:.2f} -> "
                f"{last:.2f}): refine what holds them up, a grid, a solver's tolerance, or the reference"
            )
        if self.inexact > INEXACT:
            said.append(
                f"steps were solved to {self.inexact:.1g} of their speed, which blurs orders: pass the flow a solver "
                "with a small tol, such as jko.LBFGS(tol=1e-10)"
            )
        return said

    def to_latex(self) -> str:
        """The table as a ``tabular`` of LaTeX, which needs no package."""
        return tables.latex(self.name, *self._columns())

    def to_csv(self, path: str | Path | None = None) -> str:
        """The table as comma-separated values, all digits; written to ``path`` too, if there is one."""
        text = tables.csv(self.name, *self._columns())
        if path is not None:
            Path(path).write_text(text, "utf-8")
        return text

    def _columns(self) -> tuple[Array, Array, Array]:
        return self.parameters, self.errors, np.concatenate([[np.nan], self.orders])

    def __str__(self) -> str:
        return "\n".join([tables.plain(self.name, *self._columns()), *self.remarks])

    def _facts(self) -> Mapping[str, object]:
        h, e = self.parameters, self.errors
        runs = {self.name: f"{h[0]:.4g} -> {h[-1]:.4g}", "error": f"{e[0]:.3g} -> {e[-1]:.3g}"}
        floor = {} if self.floor is None else {"floor": f"from {h[self.floor]:.4g}"}
        return (
            {"order": round(self.order, 3)}
            | floor
            | runs
            | ({"remark": "; ".join(self.remarks)} if self.remarks else {})
        )

    def _line(self) -> str:
        known = {name: value for name, value in self._facts().items() if name != "remark"}
        return call(type(self).__name__, known)

    def _picture(self) -> str:
        rows = zip(*tables.texts(*self._columns()), strict=True)
        picture = svg.curve(self.parameters, self.errors, "error, logarithmic", log=True)
        return table([self.name, "error", "order"], rows) + picture


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
        one grid ``int |rho - rho_exact| dx``; between all others the distance, W2 or D, also of two kinds of
        state, such as a density on a grid and a mesh, or a pair on cells and one of atoms.
    name : str
        What the small parameter is, for the table and the picture.

    Returns
    -------
    Convergence
        Errors, orders between neighbours and over all, and remarks where a floor or inexact steps blur them.

    Notes
    -----
    The default ``jko.LBFGS()`` solves a step to a tenth of its length, which is right for a flow and wrong here: its
    error falls with tau too, and blurs the order.  Pass ``solver=jko.LBFGS(tol=1e-10)``, as below.

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
    errors, inexact = [], 0.0
    for tau in steps:
        result = run(tau)
        errors.append(float(norm(_state(result), target)))
        inexact = max(inexact, _inexact(result))
    return Convergence(np.array(steps), np.array(errors), name, inexact)


def _inexact(result: Any) -> float:
    """The residuals of a run's steps as a part of their speeds, both in L2 over time; 0 where they are not known."""
    columns = getattr(result, "columns", {})
    if not {"residuals", "costs"} <= columns.keys():
        return 0.0
    tau = np.diff(result.times)
    speed = float((columns["costs"] / tau).sum())
    return float((columns["residuals"] ** 2 * tau).sum() / speed) ** 0.5 if speed > 0 else 0.0


def _state(result: Any) -> Any:
    return result.final if isinstance(result, Trajectory) else result
