"""The Wasserstein gradient flow (3.7) of atoms: the ordinary differential equation (2.4) with its potential.

It shares the energy's gradient with the JKO steps and nothing else: no step, no flow, no metric.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from jko import checks
from jko.energies import Energy
from jko.limits.densities import evolve
from jko.measures import ChargedParticles, GridDensity, Particles, State, lifted, placed
from jko.spaces import Domain
from jko.trajectory import Trajectory

Array = NDArray[np.float64]

RTOL, RTOL_CELLS = 1e-8, 1e-3  # of atoms, of densities
PARTS = 50  # equal parts of the time of a density, unless told otherwise
INSIDE = 8  # points within each integrator step at which the atoms are held against their domain


def wasserstein(
    energy: Energy,
    start: State,
    *,
    t1: float,
    rtol: float | None = None,
    atol: float | None = None,
    times: Sequence[float] | NDArray[np.float64] | Tensor | None = None,
) -> Trajectory:
    """The gradient flow of an energy in W2, atom by atom: ``xi_i' = -grad (dF/dmu)(xi_i)``; of densities, the equation.

    On a pair (rho, H) it is the flow in D, (3.23)-(3.24): the same equation on the graph lift.  On a
    :class:`GridDensity` it is (3.7), with an entropy (4.2), with a porous medium (4.7), no flux through the box, by
    finite volumes of second order: :mod:`jko.limits.densities`.

    Parameters
    ----------
    energy : Energy
        F for :class:`Particles`, G for :class:`ChargedParticles`.
    start : Particles, ChargedParticles or GridDensity
        The measure at time zero, any weights.
    t1 : float
        End time, > 0.
    rtol, atol
        Error allowed in a step of the integrator (explicit Runge-Kutta of order 8, DOP853): ``rtol`` (default 1e-8)
        relative to each coordinate plus ``atol``; default ``rtol`` times the largest coordinate of the start.  Of a
        density ``rtol`` (default 1e-3) bounds the sum of the estimated errors of time in L1, times the mass: the
        estimate is of a result of second order, the step one of third, so that the true error is far smaller
        (5e-6 and below seen at the default).  The error of space comes on top, and ``atol`` is not used.
    times : (K,), optional
        Increasing times in [0, t1] to keep, besides 0 and t1; default: the steps of the integrator, of densities 50
        equal parts.  Between kept times :meth:`Trajectory.at` takes straight lines, which are not accurate to
        ``rtol``.

    Returns
    -------
    Trajectory
        ``times``, ``energies``, ``states`` of the kind of ``start``; it has no columns.

    Raises
    ------
    ValueError
        Times out of order or range; a tolerance below the rounding of the state.
    RuntimeError
        If the gradient stops being finite, the integrator fails, an atom leaves its domain, or the steps of a density
        fall to nothing (the sentence says whether by the velocity or by ``rtol``).

    Notes
    -----
    Source: survey (3.7), which on atoms is (2.4), and (3.23)-(3.24).  As printed, (2.9) has ``sum V(xi_i)`` and (2.4)
    has no potential; as implemented the potential enters as its mean ``(1/N) sum V(xi_i)``, and the factor N of (2.4)
    is absorbed: for any weights m the derivative of F in xi_i is ``m_i grad (dF/dmu)(xi_i)``.

    A domain is only watched.  While every atom stays in it the flow without it is the flow with no flux (3.11) through
    its boundary; an atom that would cross it ends the integration, since from there on the velocity jumps.

    Examples
    --------
    >>> import jko
    >>> run = jko.limits.wasserstein(jko.SquaredNorm(), jko.Particles([[1.0]]), t1=1.0)
    >>> round(float(run.final.points), 6)
    0.367879
    """
    checks.kind(
        "energy", energy, Energy, hint="build it from jko.Risk, jko.Potential, ... by + and *"
    )
    checks.kind(
        "start",
        start,
        Particles,
        ChargedParticles,
        GridDensity,
        hint="build it by jko.Particles(points)",
    )
    mu = lifted(start)
    t1 = checks.number("t1", t1, above=0)
    default = RTOL_CELLS if isinstance(start, GridDensity) else RTOL
    rtol = tolerance(default if rtol is None else rtol, mu.points)
    wanted = None if times is None else kept_times(times, t1)
    if isinstance(start, GridDensity):
        kept = np.linspace(0, t1, PARTS + 1) if wanted is None else wanted
        return evolve(energy, start, t1, kept, rtol)
    atol = (
        rtol * (float(mu.points.abs().max()) or 1.0)
        if atol is None
        else checks.number("atol", atol, above=0)
    )

    def velocity(t: float, flat: Array) -> Array:  # (3.7)
        gradient = energy.gradient(_at(mu, flat)).cpu()
        if t == 0 and not bool(torch.isfinite(gradient).all()):
            raise RuntimeError(
                "the gradient of the energy is not finite at the start; check data and features"
            )
        return -gradient.numpy().astype(np.float64).ravel()

    dense = wanted is not None or mu.domain is not None
    flat = mu.points.cpu().numpy().astype(np.float64).ravel()
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # a trial step too far is tried again, shorter
        solution = solve_ivp(
            velocity, (0.0, t1), flat, "DOP853", rtol=rtol, atol=atol, dense_output=dense
        )
    if not solution.success:
        raise RuntimeError(
            f"the integration stopped at t = {solution.t[-1]:g} of {t1:g}: {solution.message} The velocity blows up or "
            "jumps there (ReLU features have jumps): lower t1, loosen rtol, or use a smooth activation"
        )
    if mu.domain is not None:
        _watch(mu, mu.domain, solution)
    kept = solution.t if wanted is None else wanted
    columns = solution.y.T if wanted is None else solution.sol(wanted).T
    measures = [mu, *(_at(mu, column) for column in columns[1:])]
    return Trajectory(
        times=kept,
        energies=np.array([float(energy(measure)) for measure in measures]),
        states=(start, *(placed(start, measure.points) for measure in measures[1:])),
        kept=np.arange(len(kept)),
    )


def kept_times(times: Sequence[float] | NDArray[np.float64] | Tensor, t1: float) -> Array:
    """The times to keep, with 0 and t1."""
    given = (
        checks.shape("times", checks.floats("times", times), ("K",))
        .cpu()
        .numpy()
        .astype(np.float64)
    )
    if not (np.diff(given) > 0).all() or given[0] < 0 or given[-1] > t1:
        raise ValueError(f"times = {given}; they must increase and lie in [0, t1] with t1 = {t1:g}")
    return np.unique(np.concatenate([[0.0], given, [t1]]))


def tolerance(rtol: float, points: Tensor) -> float:
    """A tolerance that the state's numbers can tell apart."""
    least = 100 * torch.finfo(points.dtype).eps
    rtol = checks.number("rtol", rtol, above=0)
    if rtol < least:
        raise ValueError(
            f"rtol = {rtol:g}, but the state is {points.dtype}, which resolves {least:.1e} at best; "
            + (
                "raise rtol"
                if points.dtype == torch.float64
                else "raise rtol, or convert state and data to float64"
            )
        )
    return rtol


def _at(mu: Particles, flat: Array) -> Particles:
    """mu with its atoms moved to the rows of a flat vector."""
    return mu.moved(
        torch.from_numpy(np.ascontiguousarray(flat)).to(mu.points).view(mu.points.shape)
    )


def _watch(mu: Particles, domain: Domain, solution) -> None:  # type: ignore[no-untyped-def]
    """Refuse a solution that leaves the domain, looking at ``INSIDE`` points of every step of the integrator."""
    for a, b in zip(solution.t[:-1], solution.t[1:], strict=True):
        for t in np.linspace(a, b, INSIDE + 1)[1:]:
            points = _at(mu, solution.sol(t)).points
            try:
                domain.check("atoms", points)
            except ValueError:
                raise RuntimeError(
                    f"an atom leaves {domain!r} by t = {t:g}; from there on the flow with no flux (3.11) has a "
                    f"velocity that jumps, which this integrator does not follow. Take t1 below {a:g}, drop the "
                    "domain, or follow the constrained flow by jko.flow with small tau"
                ) from None
