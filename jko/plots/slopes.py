"""Pictures of convexity: steps of all lengths, energies along geodesics, and what a modulus says of flows."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from jko.diagnostics import (
    EVI,
    Contraction,
    Convexity,
    ErrorBounds,
    MaximalSlope,
    Modulus,
    Variational,
)
from jko.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, legend_below


def variational(found: Variational, ax: Axes) -> Axes:
    """How fast mu_s is reached, ``d(mu_s, mu_k) / s``, above the slope there; jumps of the step are marked.

    Examples
    --------
    >>> import jko
    >>> found = jko.diagnostics.variational(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.variational(found, ax) is ax
    True
    """
    s, speeds, slopes = found.lengths, found.speeds, found.slopes
    cuts = np.searchsorted(s, [jump.s for jump in found.jumps])
    for k, part in enumerate(np.split(np.arange(len(s)), cuts)):
        name = "$d(\\mu_s, \\mu_k)/s$" if k == 0 else None
        ax.plot(s[part], speeds[part], color=BLUE, lw=2, label=name)
        name = "slope $|\\partial E|(\\mu_s)$" if k == 0 else None
        ax.plot(s[part], slopes[part], color=ORANGE, lw=1.5, ls="--", label=name)
    for jump in found.jumps:
        ax.axvline(jump.s, color=RED, lw=1)
        ax.annotate(
            f"jump at {jump.s:.4g}", (jump.s, 1), (3, -3), xycoords=("data", "axes fraction"),
            textcoords="offset points", va="top", fontsize=9, color=RED,
        )  # fmt: skip
    ax.set_xlim(0, found.tau)
    ax.set_ylim(bottom=0)
    ax.set(xlabel="length of the step $s$", ylabel="speed")
    legend_below(ax, columns=2)
    return ax


def maximal_slope(found: MaximalSlope, ax: Axes) -> Axes:
    """What each step lowered per time, cut into what it paid for its move and what its slopes are worth.

    Examples
    --------
    >>> import jko
    >>> E = jko.SquaredNorm()
    >>> run = jko.flow(E, jko.Particles([[1.0]]), tau=0.5, steps=3, solver=jko.BlockNewton())
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.maximal_slope(jko.diagnostics.maximal_slope(E, run), ax) is ax
    True
    """
    taus = np.diff(found.times)
    moved, sloped = found.moved / taus, found.sloped / taus
    ax.stairs(moved, found.times, fill=True, color=BLUE, alpha=0.7, label="$d^2/2\\tau$")
    ax.stairs(
        moved + sloped, found.times, baseline=moved, fill=True, color=ORANGE, alpha=0.7,
        label="$\\frac{1}{2}\\int (d/s)^2 ds$",
    )  # fmt: skip
    ax.stairs(found.lowered / taus, found.times, color=BLACK, lw=1.2, label="$E_k - E_{k+1}$")
    ax.set_ylim(bottom=0)
    ax.set(xlabel="flow time $t$", ylabel="energy per time")
    legend_below(ax, columns=3)
    return ax


def convexity(found: Convexity, ax: Axes) -> Axes:
    """An energy along a geodesic over its chord, and the least parabola below it that its modulus allows.

    Examples
    --------
    >>> import jko
    >>> ends = jko.Particles([[0.0]]), jko.Particles([[2.0]])
    >>> found = jko.diagnostics.convexity(jko.SquaredNorm(), *ends)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.convexity(found, ax) is ax
    True
    """
    t, E = found.times, found.values
    chord = (1 - t) * E[0] + t * E[-1]
    most = chord - 0.5 * found.least * t * (1 - t) * found.squared
    ax.plot(t, E, color=BLUE, lw=2, label="$E(\\mu_t)$")
    ax.plot(t, chord, color=GREY, lw=1, label="chord")
    name = f"at most, with the modulus {found.least:.4g}"
    ax.plot(t, most, color=ORANGE, lw=1.5, ls="--", label=name)
    ax.set(xlabel="along the geodesic, $t$", ylabel="energy")
    legend_below(ax, columns=3)
    return ax


def modulus(found: Modulus, ax: Axes) -> Axes:
    """The least eigenvalue of the Hessian along a run.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, steps=3)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.modulus(jko.diagnostics.modulus(jko.SquaredNorm(), run), ax) is ax
    True
    """
    ax.axhline(0, color=GREY, lw=1)
    ax.plot(found.times, found.values, color=BLUE, lw=1.8, marker="o", ms=3)
    ax.set(xlabel="flow time $t$", ylabel="least eigenvalue of the Hessian")
    return ax


def evi(found: EVI, ax: Axes) -> Axes:
    """The constants with which the inequality holds, a curve for each nu, and the least of them.

    Examples
    --------
    >>> import jko
    >>> E = jko.SquaredNorm()
    >>> run = jko.flow(E, jko.Particles([[1.0]]), tau=0.5, steps=3)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.evi(jko.diagnostics.evi(E, run, [jko.Particles([[0.0]])]), ax) is ax
    True
    """
    for k, constants in enumerate(found.constants.T):
        name = "largest $\\lambda$ for one $\\nu$" if k == 0 else None
        ax.plot(found.times, constants, color=BLUE, lw=0.9, alpha=0.6, label=name)
    ax.axhline(0, color=GREY, lw=1)
    name = f"least: {found.constant:.4g}"
    ax.axhline(found.constant, color=RED, lw=1.4, ls="--", label=name)
    ax.set(xlabel="flow time $t$", ylabel="constant $\\lambda$ of the inequality")
    legend_below(ax, columns=2)
    return ax


def contraction(found: Contraction, ax: Axes) -> Axes:
    """The distance of two runs below ``e^{-lam t}`` times the first.

    Examples
    --------
    >>> import jko
    >>> E, times = jko.SquaredNorm(), [0.0, 0.5, 1.0]
    >>> runs = [
    ...     jko.limits.wasserstein(E, jko.Particles([[x]]), t1=1.0, times=times) for x in (1.0, 3.0)
    ... ]
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.contraction(jko.diagnostics.contraction(E, *runs), ax) is ax
    True
    """
    ax.plot(found.times, found.distances, color=BLUE, lw=2, label="$d(\\mu_t, \\nu_t)$")
    name = f"$e^{{-\\lambda t}}\\,d(\\mu_0, \\nu_0)$, $\\lambda$ = {found.lam:.4g}"
    ax.plot(found.times, found.bound, color=ORANGE, lw=1.5, ls="--", label=name)
    ax.set(xlabel="flow time $t$", ylabel="distance")
    legend_below(ax, columns=2)
    return ax


def error_bounds(found: ErrorBounds, ax: Axes, measured: object = None) -> Axes:
    """The two bounds on the error of steps, and an error that was measured, (K + 1,), if there is one.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, steps=3)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> found = jko.diagnostics.error_bounds(jko.SquaredNorm(), run, lam=1.0)
    >>> jko.plots.error_bounds(found, ax) is ax
    True
    """
    curves = {"a priori": (found.prior, ORANGE, "--"), "a posteriori": (found.posterior, BLUE, "-")}
    if measured is not None:
        curves["error"] = (np.asarray(measured, dtype=np.float64), GREEN, "-")
    for name, (values, colour, style) in curves.items():
        seen = (values > 0) & np.isfinite(values)
        ax.semilogy(found.times[seen], values[seen], color=colour, lw=1.6, ls=style, label=name)
    ax.set(xlabel="flow time $t$", ylabel="distance from the limit")
    legend_below(ax, columns=3)
    return ax
