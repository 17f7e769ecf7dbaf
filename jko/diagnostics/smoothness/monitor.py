"""How high and how steep a density becomes along its flow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.integrate import cumulative_trapezoid
from torch import Tensor

from jko import checks
from jko.diagnostics.graphs.folding import FoldFree, fold_free
from jko.diagnostics.graphs.slopes import smooth
from jko.diagnostics.smoothness.carried import PAIRS, Carried
from jko.diagnostics.smoothness.result import Array, Smoothness
from jko.energies import Energy
from jko.limits.integration import EVALUATIONS, integrate
from jko.limits.stopped import LimitStopped
from jko.measures import State
from jko.measures.tensors import on_numbers
from jko.spaces import refuse_wrapped

LOOKS = 128  # parts of the time at whose ends the suprema are taken
BEFORE = 1e-6  # relative: how long before a fold the density is looked at for the last time


@np.errstate(over="ignore")
@on_numbers
def smoothness(
    energy: Energy,
    start: State,
    *,
    t1: float,
    log_density: Callable[[Tensor], Any] | None = None,
    slope: Any = None,
    factor: float = 10.0,
    rtol: float = 1e-8,
    max_evaluations: int = EVALUATIONS,
) -> Smoothness:
    """Follow the density of (3.7), or rho of (3.23), along characteristics: how high and steep it becomes, and when.

    Parameters
    ----------
    energy : Energy
        Smooth enough for second derivatives, for the slope for third ones; no internal energies.
    start : Particles, GridDensity, or a pair (rho, H)
        Its atoms are the labels at which the density is watched, and they make the force: choose them dense.
    t1 : float
        Look no further than this.
    log_density : callable, optional
        Of a measure: ``log mu_0`` at points (n, dim), to (n,), up to a constant.  Then heights are those of the density
        itself, and its slope is followed.  A :class:`jko.GridDensity` and a :class:`jko.ChargedDensity` know it in
        their cells, without a slope.
    slope : (N, d), optional
        Of a pair of atoms: grad H_0, as in :func:`fold_free`.
    factor : float
        The growth of the density, > 1, up to which the times ``guaranteed`` and ``measured`` reach.
    rtol, max_evaluations
        Of the integrator, as in :func:`jko.limits.wasserstein`.

    Returns
    -------
    Smoothness

    Raises
    ------
    ValueError
        An internal energy; a log-density of a pair; a slope of another shape.
    LimitStopped
        A RuntimeError: the gradient is not finite, or the evaluations are used up.

    Notes
    -----
    Source: survey 5.1 (i), which asks whether smoothness is kept.  Suprema are over labels and 128 parts of the time,
    so that ``guaranteed`` is one along the computed run; :func:`smooth_time` needs no run.

    Examples
    --------
    A normal law in a well: all is squeezed alike, by ``e^{t}`` in each of two directions.

    >>> import jko, torch
    >>> mu = jko.Particles.normal(50, 2, generator=torch.Generator().manual_seed(0))
    >>> found = jko.diagnostics.smoothness(
    ...     jko.SquaredNorm(), mu, t1=2.0, log_density=lambda x: -0.5 * (x**2).sum(-1)
    ... )
    >>> round(found.guaranteed, 6), round(found.measured, 6)  # log(10) / 2
    (1.151293, 1.151293)
    """
    smooth(energy, "diffusion smooths, and is none of characteristics")
    t1, factor = checks.number("t1", t1, above=0), checks.number("factor", factor, above=1)
    rtol = checks.number("rtol", rtol, above=0)
    checks.count("max_evaluations", max_evaluations)
    checks.kind("start", start, State)
    refuse_wrapped("following a density", start.domain)
    lifetime = None
    if isinstance(start, PAIRS):
        if log_density is not None:
            raise ValueError(
                "log_density is of a measure; of a pair the density of rho is compared with itself, so leave it out"
            )
        lifetime = fold_free(energy, start, t1=t1, slope=slope, rtol=rtol)
        t1 = min(t1, lifetime.fold * (1 - BEFORE), lifetime.wall)
    flow = Carried.of(energy, start, log_density, slope)
    times = np.linspace(0.0, t1, LOOKS + 1)
    run = integrate(
        flow.rates, flow.start, t1, rtol, times, event=flow.room, evaluations=max_evaluations
    )
    if run.failure is not None:
        raise LimitStopped(run.failure)
    wall, rows = math.inf if lifetime is None else lifetime.wall, [*run.rows]
    times = run.times
    if run.stopped is not None:
        wall, rows, times = run.stopped, [*rows, run.last], np.append(times, run.stopped)
    return _found(flow, times, [flow.look(y) for y in rows], run.last, factor, wall, lifetime)


def _found(
    flow: Carried,
    times: Array,
    looks: list[tuple[float, ...]],
    last: Array,
    factor: float,
    wall: float,
    lifetime: FoldFree | None,
) -> Smoothness:
    squeeze, heights, least, largest, steep, doubt = np.array(looks).T
    turned = cumulative_trapezoid(squeeze, times, initial=0.0)
    mu, T, _, score = flow.split(last)
    J, known = T[:, -flow.k :], flow.log_density
    return Smoothness(
        times=times,
        heights=heights,
        bounds=np.exp(turned),
        least=least,
        largest=largest,
        slopes=None if score is None else steep,
        factor=factor,
        guaranteed=_reached(times, turned, math.log(factor)),
        measured=_reached(times, np.log(heights), math.log(factor)),
        wall=wall,
        doubt=float(doubt.max()) if flow.whole else None,
        lifetime=lifetime,
        final=mu,
        J=J,
        log_density=None if known is None else known - torch.linalg.det(J).log(),
        score=score,
    )


def _reached(times: Array, values: Array, level: float) -> float:
    """When values first reach a level, on straight lines between times; inf if they do not."""
    above = np.flatnonzero(values >= level)
    if not len(above):
        return math.inf
    k = int(above[0])
    if k == 0:
        return 0.0
    share = (level - values[k - 1]) / (values[k] - values[k - 1])
    return float(times[k - 1] + share * (times[k] - times[k - 1]))
