"""``maximal_slope``: the identities of all steps of a flow, which sum to the equality of energy and dissipation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.convergence import Convergence
from jko.diagnostics.identities import Residuals, step_identity
from jko.diagnostics.slope.branches import Jump, OnBranch
from jko.diagnostics.slope.interpolation import NODES, TOL, Variational, interpolated
from jko.diagnostics.slope.proximal import proximal
from jko.energies import Energy
from jko.flows import flow
from jko.measures import State
from jko.measures.tensors import on_numbers
from jko.shown import Shown
from jko.trajectory import Trajectory

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MaximalSlope(Residuals):
    """The equality of energy and dissipation of a run of JKO steps; prints as a table.

    ``E_0 - E_K = sum_k d_k^2 / (2 tau_k) + 1/2 int (d(mu_s, mu_k) / s)^2 ds``, step by step

    Attributes
    ----------
    times : (K + 1,)
        Flow time.
    lowered, moved, sloped : (K,)
        ``E_k - E_{k+1}`` and ``cost / (2 tau)`` of the run; ``1/2 int_0^tau (d / s)^2 ds``.
    left : (K,)
        ``1/2 int (d / s)^2 - |dE|^2(mu_s) ds``: what the slopes along the interpolation leave, not negative.
    missed : (K,)
        How far the objective of the run's step is above the lowest that was found: how inexactly it was solved, or
        that it went to another minimum.  It is the residual, but for the error of the integral and rising steps.
    jumps : tuple of (int, Jump)
        Where the proximal map of mu_k has two values, with k.

    Examples
    --------
    >>> import jko
    >>> E, start = jko.SquaredNorm(), jko.Particles([[1.0], [3.0]])
    >>> run = jko.flow(E, start, tau=0.2, steps=3, solver=jko.BlockNewton())
    >>> found = jko.diagnostics.maximal_slope(E, run)
    >>> found.worst < 1e-12, abs(found.total) < 1e-12
    (True, True)
    """

    times: Array
    lowered: Array
    moved: Array
    sloped: Array
    left: Array
    missed: Array
    jumps: tuple[tuple[int, Jump], ...]

    @property
    def residuals(self) -> Array:
        """``lowered - moved - sloped``, (K,)."""
        return self.lowered - self.moved - self.sloped

    @property
    def total(self) -> float:
        """Their sum: what is left of ``E_0 - E_K``."""
        return float(self.residuals.sum())

    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {"steps": len(self.moved), "total": self.total}
        facts["worst"] = self.worst
        names = ("moved", "sloped", "left", "missed")
        facts |= {name: float(getattr(self, name).sum()) for name in names}
        return facts | ({"jumps": len(self.jumps)} if self.jumps else {})

    def __str__(self) -> str:
        head = f"{'t':>10}  {'lowered':>11}  {'cost/2tau':>11}  {'1/2 int (d/s)^2':>15}  {'residual':>10}  {'left':>9}"
        columns = self.times[1:], self.lowered, self.moved, self.sloped, self.residuals, self.left
        rows = [
            f"{t:10.4g}  {a:11.4e}  {b:11.4e}  {c:15.4e}  {r:10.2e}  {d:9.1e}"
            for t, a, b, c, r, d in zip(*columns, strict=True)
        ]
        said = [
            f"the step from t = {self.times[k]:.4g} jumps at s = {jump.s:.6g}"
            for k, jump in self.jumps
        ]
        return "\n".join([head, *rows, *said])


@on_numbers
def maximal_slope(
    energy: Energy, run: Trajectory, *, nodes: int = NODES, tol: float = TOL
) -> MaximalSlope:
    """Hold a run against the equality of energy and dissipation, exactly, by variational interpolation of its steps.

    As tau -> 0 the three sums become ``E_0 - E(t) = 1/2 int |mu'|^2 dt + 1/2 int |dE|^2(mu_t) dt``, which makes the
    limit a curve of maximal slope.

    Parameters
    ----------
    energy : Energy
        That of the run.
    run : Trajectory
        Of :func:`jko.flow` with ``save=1``, the implicit scheme and the natural metric.
    nodes, tol
        As for :func:`variational`.

    Raises
    ------
    TypeError
        What is no energy or no trajectory; states whose steps of all lengths are not known.
    ValueError
        A run without costs, in another metric, or one that did not keep all of its states.

    Notes
    -----
    Each step of the run is solved again, tightly, for all lengths up to tau; so a run of inexact steps (``jko.LBFGS()``
    solves to a tenth of a step's length) leaves residuals, ``missed`` says how much.

    Examples
    --------
    >>> import jko
    >>> E = jko.SquaredNorm() + jko.Entropy()
    >>> start = jko.LineMesh([-2.0, -1.0, 0.5, 1.0], [0.25, 0.5, 0.25])
    >>> run = jko.flow(E, start, tau=0.1, steps=2)
    >>> jko.diagnostics.maximal_slope(E, run).worst < 1e-9
    True
    """
    checks.kind("energy", energy, Energy, hint="that of the run")
    checks.kind("the run", run, Trajectory, hint="what jko.flow gave back")
    _refuse(run)
    steps = list(_steps(energy, run, nodes, tol))
    taus = np.diff(run.times)
    moved, lowered = run.costs / (2 * taus), -np.diff(run.energies)
    best = np.array([v.lowered - v.moved for v in steps])
    return MaximalSlope(
        run.times,
        lowered,
        moved,
        np.array([v.sloped for v in steps]),
        np.array([v.left for v in steps]),
        best - (lowered - moved),
        tuple((k, jump) for k, v in enumerate(steps) for jump in v.jumps),
    )


def refuse_others(run: Trajectory) -> None:
    """Refuse what is no run of JKO steps in the natural metric."""
    run.costs  # noqa: B018 (there are none of a limit equation)
    if "metrics" in run.columns:
        raise ValueError(
            f"the run moved in {run.columns['metrics'][-1]}; the slopes and steps here are those of the natural metric"
        )
    if "fallback" in run.columns:
        raise ValueError(
            "the run's steps are those of a scheme that is made of several, or goes on from elsewhere; the identity is "
            "that of JKO steps: run jko.flow without scheme="
        )


def _refuse(run: Trajectory) -> None:
    """Besides, a run that did not keep all states."""
    refuse_others(run)
    if len(run.states) != len(run.times):
        raise ValueError(
            f"the run keeps {len(run.states)} of its {len(run.times)} states, and each is the start of a step: run "
            "jko.flow with save=1"
        )


def _steps(energy: Energy, run: Trajectory, nodes: int, tol: float) -> Iterator[Variational]:
    """The interpolation of each step, which begins where the run's own ended."""
    for k, tau in enumerate(np.diff(run.times).tolist()):
        steps = proximal(energy, run.states[k])
        end = OnBranch.of(steps.at(tau, run.states[k + 1]))
        yield interpolated(steps, tau, end, nodes, tol)


@dataclass(frozen=True, eq=False)
class EnergyDissipation(Shown):
    """The equality of energy and dissipation for several tau; prints as a table.

    Attributes
    ----------
    taus : (K,)
        Time steps.
    residuals : (K,)
        ``E_0 - E(t1) - sum d^2 / (2 tau) - 1/2 int (d / s)^2 ds``: rounding, whatever tau is.
    left : (K,)
        What the slopes ``|dE|(mu_s)`` leave of it.
    ends : Convergence
        The same with the slopes where the steps end, ``tau/2 |dE|^2(mu_{k+1})``, in place of the integral: of order
        one in tau.

    Examples
    --------
    >>> import jko
    >>> found = jko.diagnostics.energy_dissipation(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), t1=0.4, taus=[0.1, 0.05]
    ... )
    >>> float(abs(found.residuals).max()) < 1e-12, round(found.ends.order, 1)
    (True, 0.9)
    """

    taus: Array
    residuals: Array
    left: Array
    ends: Convergence

    def _facts(self) -> dict[str, object]:
        worst = float(np.abs(self.residuals).max())
        return {"residual": worst, "left": float(self.left.max()), "order of ends": self.ends.order}

    def __str__(self) -> str:
        head = f"{'tau':>10}  {'residual':>10}  {'left':>10}  {'ends':>10}  {'order':>6}"
        orders = np.append(np.nan, self.ends.orders)
        columns = self.taus, self.residuals, self.left, self.ends.errors, orders
        rows = [
            f"{tau:10.4g}  {r:10.1e}  {d:10.1e}  {e:10.3e}  {'' if np.isnan(o) else f'{o:.2f}':>6}"
            for tau, r, d, e, o in zip(*columns, strict=True)
        ]
        return "\n".join([head, *rows])


@on_numbers
def energy_dissipation(
    energy: Energy,
    start: State,
    *,
    t1: float,
    taus: Sequence[float],
    nodes: int = NODES,
    tol: float = TOL,
) -> EnergyDissipation:
    """The equality of energy and dissipation along flows with several tau, and the order of what is not exact in it.

    Parameters
    ----------
    energy, start
        Of the flow; a state that :func:`variational` takes.
    t1 : float
        The end time.
    taus : sequence of float
        Time steps.
    nodes, tol
        As for :func:`variational`; with ``tol=float("inf")`` the residuals are those of n nodes in one panel a step,
        of the order 2 n in tau.

    Raises
    ------
    TypeError, ValueError
        As :func:`maximal_slope`.

    Examples
    --------
    >>> import jko
    >>> E = jko.Potential(lambda x: x[:, 0].cosh())
    >>> found = jko.diagnostics.energy_dissipation(
    ...     E, jko.Particles([[1.0]]), t1=0.4, taus=[0.2, 0.1], nodes=1, tol=float("inf")
    ... )
    >>> bool(found.residuals[0] / found.residuals[1] > 3.4)  # one node: of order two
    True
    """
    steps = np.array(
        [checks.number("a tau of taus", tau, above=0) for tau in checks.items("taus", taus)]
    )
    solver = proximal(energy, start).solver
    found = []
    for tau in steps.tolist():
        run = flow(energy, start, tau=tau, t1=t1, solver=solver)
        exact = maximal_slope(energy, run, nodes=nodes, tol=tol)
        first = step_identity(energy, run, _rate)
        ends = float(first.residuals @ np.diff(run.times))
        found.append((exact.total, float(exact.left.sum()), ends))
    residuals, left, at_ends = np.array(found).T
    return EnergyDissipation(steps, residuals, left, Convergence(steps, np.abs(at_ends)))


def _rate(energy: Energy, state: State) -> float:
    """Minus the squared slope."""
    return -(proximal(energy, state).slope(state) ** 2)
