"""Pictures of monitors: energies of several runs, how well each obeys a formula, and how long a graph lives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from jko.diagnostics import FoldFree, Identity
from jko.plots.names import energy_name
from jko.plots.style import BLACK, BLUE, COLOURS, GREEN, GREY, ORANGE, RED, legend_below
from jko.trajectory import Trajectory

STYLES = ("-", (0, (5, 2)), (0, (2, 1.5)))


def energies(
    runs: Mapping[str, Trajectory] | Sequence[Trajectory],
    ax: Axes,
    labels: Sequence[str] | None = None,
) -> Axes:
    """Energies of several runs against flow time, with their names at the ends of the curves.

    ``labels`` names the runs of a sequence; those of a dictionary have theirs.  The axis says F of measures and
    densities, G of pairs (rho, H).

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=4)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.energies({"JKO": run}, ax) is ax
    True
    """
    runs = _labelled(runs, labels)
    ends = []
    for (name, run), colour in zip(runs.items(), COLOURS * len(runs), strict=False):
        ax.plot(run.times, run.energies, color=colour, lw=1.6, label=name)
        ends.append((float(run.energies[-1]), name, colour, float(run.times[-1])))
    low, high = (float(f([f(run.energies) for run in runs.values()])) for f in (np.min, np.max))
    least, above = 0.055 * (high - low), -math.inf
    for energy, name, colour, t in sorted(ends):  # names that would cover each other move up
        above = max(energy, above + least)
        ax.annotate(
            name, (t, above), (5, 0), textcoords="offset points", color=colour, fontsize=9,
            va="center", annotation_clip=False,
        )  # fmt: skip
    ax.set(xlabel="flow time $t$", ylabel=energy_name(run.states[0] for run in runs.values()))
    return ax


def _labelled(
    runs: Mapping[str, Trajectory] | Sequence[Trajectory], labels: Sequence[str] | None
) -> dict[str, Trajectory]:
    """Runs by name."""
    named = isinstance(runs, Mapping)
    names = [*map(str, runs if named else range(1, len(runs) + 1))] if labels is None else labels
    if len(names) != len(runs) or not len(runs):
        raise ValueError(f"there are {len(runs)} runs and {len(names)} labels; each run needs one")
    return dict(zip(names, runs.values() if isinstance(runs, Mapping) else runs, strict=True))


def residuals(identities: Mapping[str, Identity], ax: Axes) -> Axes:
    """The absolute value of ``dE/dt`` less its formula between the kept times, on a logarithmic axis.

    Examples
    --------
    >>> import jko, numpy as np
    >>> E, times = jko.SquaredNorm(), np.linspace(0.0, 1.0, 21)
    >>> run = jko.limits.wasserstein(E, jko.Particles([[1.0]]), t1=1.0, times=times)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.residuals({"(3.9)": jko.diagnostics.dissipation_identity(E, run)}, ax) is ax
    True
    """
    for k, (name, found) in enumerate(identities.items()):
        middle = 0.5 * (found.times[1:] + found.times[:-1])
        size = np.abs(found.residuals)
        ax.semilogy(
            middle, np.where(size > 0, size, np.nan), color=COLOURS[k % len(COLOURS)], lw=1.4,
            ls=STYLES[k // len(COLOURS) % len(STYLES)], label=name,
        )  # fmt: skip
    ax.set(xlabel="flow time $t$", ylabel="$|\\,dE/dt\\,-$ formula$\\,|$")
    legend_below(ax, columns=2 if len(identities) > 3 else 1)
    return ax


def fold(found: FoldFree, ax: Axes) -> Axes:
    """The angle of the steepest part of a graph against the bound on it; at pi/2 the graph folds.

    Examples
    --------
    >>> import jko
    >>> mesh = jko.ChargedMesh.from_function(
    ...     lambda x: 0 * x[:, 0] + 1, lambda x: x[:, 0], (-1.0, 1.0), 21
    ... )
    >>> found = jko.diagnostics.fold_free(jko.SquaredNorm(), mesh, t1=1.0)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.fold(found, ax) is ax
    True
    """
    bound = found.angles[0] + found.turned
    ax.plot(found.times, found.angles, color=BLUE, lw=1.8, label="steepest part of the graph")
    ax.plot(found.times, bound, color=ORANGE, lw=1.5, ls="--", label="bound on it")
    ax.axhline(0.5 * math.pi, color=BLACK, lw=1)
    ax.annotate(
        "vertical: a fold", (1, 0.5 * math.pi), (-2, 3), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", va="bottom", fontsize=9,
    )  # fmt: skip
    ax.axvspan(0, found.guaranteed, color=GREEN, alpha=0.15, lw=0, label="guaranteed free of folds")
    if found.fold < math.inf:
        ax.plot(
            [found.fold], [found.angles[-1]], color=RED, ls="", marker="o", label="first fold seen"
        )
    if found.wall < math.inf:
        ax.axvline(found.wall, color=GREY, lw=1, ls=":", label="a label reaches the wall")
    ax.set_xlim(0, found.times[-1] * 1.03)
    ax.set_ylim(0, 0.5 * math.pi * 1.12)
    ax.set_yticks(
        [0, math.pi / 8, math.pi / 4, 3 * math.pi / 8, math.pi / 2],
        ["0", "$\\pi/8$", "$\\pi/4$", "$3\\pi/8$", "$\\pi/2$"],
    )
    ax.set(xlabel="flow time $t$", ylabel="largest angle, atan$\\,|\\nabla H|$")
    legend_below(ax, columns=2)
    return ax
