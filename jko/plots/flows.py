"""Pictures of a flow: its energy, where the energy went, and how its error falls with tau."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from jko.diagnostics import Convergence, ErrorBudget
from jko.plots.names import energy_name
from jko.plots.style import BLACK, BLUE, COLOURS, GREEN, GREY, ORANGE, RED, legend_below
from jko.plots.ticks import calm, named
from jko.trajectory import Trajectory


def energy(
    trajectory: Trajectory, ax: Axes, lower_bound: float | None = None, proved: bool = True
) -> Axes:
    """The energy against flow time, on logarithmic axes from the first step on.

    Parameters
    ----------
    trajectory : Trajectory
        A flow or a limit.
    ax : Axes
        Where to draw.
    lower_bound : float, optional
        A lower bound on the minimum of the energy; the minimum lies in the band up to the last energy.
    proved : bool
        Whether the bound is proved, or estimated.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=4)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.energy(run, ax) is ax
    True
    """
    times, energies = trajectory.times[1:], trajectory.energies
    ax.axhline(energies[0], color=GREY, lw=1, ls=":")
    ax.annotate(
        f"start {energies[0]:.3g}", (1, energies[0]), (-2, -3), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", va="top", color=GREY, fontsize=9,
    )  # fmt: skip
    ax.plot(
        times, energies[1:], color=BLUE, marker="o", ms=3.5, lw=1.5, label="energy after each step"
    )
    if lower_bound is not None and -np.inf < lower_bound < energies[-1]:
        label = "the minimum lies in here" + ("" if proved else " (estimate)")
        ax.axhspan(lower_bound, energies[-1], color=GREEN, alpha=0.18, lw=0, label=label)
    if len(times) > 2:
        ax.set_xscale("log")
    floor = energies.min() if lower_bound is None else min(energies.min(), lower_bound)
    if floor > 0 and energies[0] > 2 * energies[-1]:
        ax.set_yscale("log")
    ax.set(xlabel="flow time $t$", ylabel=energy_name([trajectory.states[0]], "k"))
    calm(ax)
    ax.legend(loc="best", frameon=False, fontsize=9)
    return ax


def energy_ledger(trajectory: Trajectory, ax: Axes) -> Axes:
    """Where the energy went: ``E_0 = E_k + sum cost / (2 tau) + sum slack``, the three terms stacked over flow time.

    The cost of motion ``metric^2 / (2 tau)`` is what a step may spend at most; the slack is what it lowered the energy
    by beyond that.  No slack is negative exactly if no band narrows.  Energies below zero, as entropies are, stand on a
    floor below the last one.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=4)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.energy_ledger(run, ax) is ax
    True
    """
    times, energies = trajectory.times, trajectory.energies
    moved = np.concatenate([[0.0], np.cumsum(trajectory.costs / (2 * np.diff(times)))])
    slack = np.concatenate([[0.0], np.cumsum(trajectory.slacks)])
    lowest = energies.min()
    floor = 0.0 if lowest >= 0 else lowest - 0.15 * (energies[0] - lowest)
    bands = {
        f"{energy_name([trajectory.states[0]], 'k').replace('energy', 'energy left,')}": (
            energies - floor,
            BLUE,
        ),
        "spent on motion, $\\sum d^2(\\mu_{k+1}, \\mu_k)\\,/\\,2\\tau$": (moved, ORANGE),
        "lowered beyond that, $\\sum$ slack": (slack, GREEN),
    }
    below = np.full_like(energies, floor)
    for label, (band, colour) in bands.items():  # mu_k holds on (t_{k-1}, t_k]
        ax.fill_between(
            times, below, below + band, step="pre", color=colour, alpha=0.85, lw=0, label=label
        )
        below = below + band
    ax.axhline(energies[0], color=BLACK, lw=1, ls="--")
    many = len(times) > 2
    ax.annotate(
        f"start {energies[0]:.3g}", (0, energies[0]), (3, 2), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="left", va="bottom", fontsize=9,
    )  # fmt: skip
    if many:
        ax.set_xscale("log")
    ax.set_xlim(times[1] / 2 if many else 0, times[-1])
    ax.set_ylim(floor, energies[0] + 0.09 * (energies[0] - floor))
    ax.set(xlabel="flow time $t$", ylabel="energy")
    calm(ax)
    legend_below(ax)
    return ax


def proofs(trajectory: Trajectory, ax: Axes) -> Axes:
    """What each step proves, on logarithmic axes, as far as its solver reports it.

    Solid, in units of the energy: what the step lowered it by, the slack, and the duality gap.  Dashed, as parts of the
    mass: the residual of a step on a grid, and the correction that made its mass exact.  A slack below zero is missing.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=4)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.proofs(run, ax) is ax
    True
    """
    figures = {"lowered": -np.diff(trajectory.energies)} | trajectory.columns
    lines = {
        "lowered": ("energy lowered by", BLUE, "-"),
        "slacks": ("slack", GREEN, "-"),
        "gap": ("duality gap", RED, "-"),
        "residuals": ("residual", GREY, "--"),
        "correction": ("correction of the mass", ORANGE, "--"),
    }
    for name, (label, colour, style) in lines.items():
        if name in figures:
            shown = np.where(figures[name] > 0, figures[name], np.nan)
            ax.plot(trajectory.times[1:], shown, color=colour, ls=style, lw=1.5, label=label)
    ax.set_yscale("log")
    if len(trajectory.times) > 2:
        ax.set_xscale("log")
    ax.set(xlabel="flow time $t$", ylabel="figure of the step")
    calm(ax)
    legend_below(ax, columns=3)
    return ax


def convergence(tables: dict[str, Convergence], ax: Axes, order: float = 1.0) -> Axes:
    """Errors against tau (or the study's parameter) on logarithmic axes, with the slope of the expected order.

    Errors that rest on a floor (:attr:`jko.diagnostics.Convergence.floor`) stand above a dotted line.

    Examples
    --------
    >>> import jko, numpy as np
    >>> table = jko.diagnostics.Convergence(np.array([0.2, 0.1]), np.array([0.04, 0.01]))
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.convergence({"SDIRK2": table}, ax, order=2) is ax
    True
    """
    for k, (name, table) in enumerate(tables.items()):
        style = {"color": COLOURS[k % 5], "marker": "os^Dv"[k % 5], "mfc": "none", "lw": 1.5}
        # curves may lie on each other
        style |= {"ms": 8 - 1.5 * (k % 5), "ls": ["-", (0, (4, 4))][min(k, 1)]}
        ax.loglog(table.parameters, table.errors, label=name, **style)
        _mark_floor(table, ax)
    first = next(iter(tables.values()))
    line = 0.6 * first.errors[0] * (first.parameters / first.parameters[0]) ** order
    ax.loglog(first.parameters, line, color=BLACK, lw=1, ls="--", label=f"slope {order:g}")
    calm(ax)
    named(ax, np.unique(np.concatenate([table.parameters for table in tables.values()])).tolist())
    ax.grid(axis="y", color=GREY, alpha=0.3, lw=0.6)
    ax.set(
        xlabel="time step $\\tau$" if first.name == "tau" else first.name,
        ylabel="error at the end time",
    )
    ax.legend(loc="best", frameon=False, fontsize=9)
    return ax


def _mark_floor(table: Convergence, ax: Axes) -> None:
    """A dotted line below the errors that rest on a floor, and its name."""
    if table.floor is None:
        return
    level = float(table.errors[-1])
    ax.axhline(level, color=GREY, lw=1, ls=":", zorder=0)
    ax.annotate(
        "floor: not the step's error", (1, level), (-2, 3), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", va="bottom", fontsize=8, color=BLACK,
    )  # fmt: skip


def budget(errors: ErrorBudget, ax: Axes) -> Axes:
    """The parts of an error budget as bars on a logarithmic axis, the largest in red.

    Examples
    --------
    >>> import jko
    >>> errors = jko.diagnostics.error_budget(
    ...     lambda tau: (1 + tau) ** (-1 / tau), at={"tau": 0.1}, orders={"tau": 1}
    ... )
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.budget(errors, ax) is ax
    True
    """
    names = list(errors.errors)
    colours = [RED if name == errors.largest else BLUE for name in names]
    ax.barh(names, [errors.errors[name] for name in names], color=colours, height=0.6)
    ax.set_yticks(range(len(names)), [f"{name} = {errors.at[name]:g}" for name in names])
    ax.set_xscale("log")
    ax.invert_yaxis()
    ax.set_xlabel("estimated error")
    calm(ax)
    return ax
