"""How long the steps of a flow were."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from jko.plots.style import BLUE, GREY, RED
from jko.plots.ticks import calm
from jko.trajectory import Trajectory

VARY = 1.5  # the longest over the shortest step, from where on the lengths are worth a picture


def step_lengths(trajectory: Trajectory, ax: Axes) -> Axes:
    """The time step over flow time, on logarithmic axes; steps that were made again are marked.

    Of a flow with ``tau=jko.Adaptive(tol)`` also the estimated error of each step, dashed, in the unit of the metric.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[1.0, 0.0], [0.0, 2.0]])
    >>> run = jko.flow(jko.SquaredNorm(), mu, tau=jko.Adaptive(1e-2), t1=8.0)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.step_lengths(run, ax) is ax
    True
    """
    times, columns = trajectory.times, trajectory.columns
    tau, nothing = np.diff(times), np.zeros(len(times) - 1)
    ax.stairs(tau, times, color=BLUE, lw=1.6, baseline=None, label="time step $\\tau$")
    again = columns.get("rejected", nothing) + columns.get("halvings", nothing) > 0
    if again.any():
        ax.plot(
            times[1:][again], tau[again], color=RED, marker="v", ls="none", ms=5, label="made again"
        )
    if "estimates" in columns:
        errors = np.where(columns["estimates"] > 0, columns["estimates"], np.nan)
        ax.plot(times[1:], errors, color=GREY, lw=1.2, ls="--", label="estimated error of the step")
    if len(times) > 2:
        ax.set_xscale("log")
        ax.set_xlim(times[1] / 2, times[-1])
    ax.set_yscale("log")
    ax.set(xlabel="flow time $t$", ylabel="length of the step")
    calm(ax)
    if len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend(loc="best", frameon=False, fontsize=9)
    return ax


def varies(trajectory: Trajectory) -> bool:
    """Whether the lengths differ: the last step may be cut, and counts only where there are few."""
    tau = np.diff(trajectory.times)
    tau = tau[:-1] if len(tau) > 2 else tau
    return bool(trajectory.columns) and len(tau) > 1 and tau.max() > VARY * tau.min()
