"""A run at a glance, and as a movie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jko import checks
from jko.plots.lengths import step_lengths, varies
from jko.plots.names import energy_name
from jko.plots.scenes import scene
from jko.plots.style import BLUE, ORANGE, canvas, whole
from jko.plots.ticks import calm
from jko.trajectory import Trajectory

MOMENTS = 4  # states in an overview
MOST = 100  # frames of a movie, unless times are given


def overview(trajectory: Trajectory, names: Sequence[str] | None = None) -> Figure:
    """A figure of a run: its energy, how fast it falls, and its states at up to four kept times on one scale.

    Where the steps of a flow differ in length, that is shown too.

    ``names`` are those of the coordinates, as in :func:`particles`.  It is what :meth:`jko.Trajectory.plot` shows.

    Raises
    ------
    ValueError
        Pairs on cells in d > 1, which have no scale in common: ``plots.pair`` draws each.
    """
    chosen = np.unique(np.linspace(0, len(trajectory.states) - 1, MOMENTS).round().astype(int))
    draw = scene([trajectory.states[j] for j in chosen], names)
    figure = Figure(figsize=(12.0, 6.4), dpi=150, layout="constrained")
    above, below = figure.subfigures(2, 1).tolist()  # type: ignore[union-attr]
    differ = varies(trajectory)
    left, right, *more = above.subplots(1, 3 if differ else 2)
    _energies(trajectory, left, right)
    for ax in more:
        ax.spines[["top", "right"]].set_visible(False)
        step_lengths(trajectory, ax)
    axes = below.subplots(1, len(chosen), squeeze=False)[0]
    for ax, j in zip(axes, chosen, strict=True):
        ax.spines[["top", "right"]].set_visible(False)
        draw(trajectory.states[j], ax)
        ax.set_title(f"$t$ = {trajectory.times[trajectory.kept[j]]:.4g}", fontsize=10)
    for ax in axes[1:]:
        ax.set_ylabel("")
    return figure


def animate(
    trajectory: Trajectory,
    path: str | Path,
    *,
    times: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    fps: float = 12.0,
    size: tuple[float, float] = (5.2, 4.2),
) -> Path:
    """Write a run as a GIF, by Pillow, one frame for each time, with limits and colours that stay the same.

    Parameters
    ----------
    trajectory : Trajectory
        Of atoms, of pairs in d = 1 or as atoms, of densities in d = 1, 2, 3 (there the marginal on two axes).
    path
        Where to, ending in ``.gif``; written whole or not at all.
    times : sequence of float, optional
        The frames, as :meth:`jko.Trajectory.at` takes them.  Default: the kept times, at most 100 of them.
    names : sequence of str, optional
        Names of the coordinates, as in :func:`particles`.
    fps : float
        Frames per second.
    size : (float, float)
        In inches, of 100 dots.

    Raises
    ------
    ValueError
        A name that does not end in .gif; pairs on cells in d > 1.
    """
    from matplotlib.animation import PillowWriter

    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"path = {str(path)!r}; a movie is a .gif, which needs nothing but Pillow")
    checks.number("fps", fps, above=0)
    if times is None:
        kept = trajectory.times[trajectory.kept]
        times = kept[np.unique(np.linspace(0, len(kept) - 1, MOST).round().astype(int))].tolist()
    states = [trajectory.at(t) for t in times]
    draw, (figure, _) = scene(states, names), canvas(1, 1, size)
    writer = PillowWriter(fps=fps)  # type: ignore[arg-type]
    with whole(path) as aside, writer.saving(figure, str(aside), dpi=100):
        for t, state in zip(times, states, strict=True):
            figure.clear()
            ax = figure.add_subplot()
            ax.spines[["top", "right"]].set_visible(False)
            draw(state, ax)
            ax.set_title(f"$t$ = {t:.4g}", fontsize=10)
            writer.grab_frame()
    return path


def _energies(trajectory: Trajectory, left: Axes, right: Axes) -> None:
    """The energy, and how fast it falls between the times."""
    times, energies = trajectory.times, trajectory.energies
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlabel("flow time $t$")
    left.plot(times, energies, color=BLUE, lw=1.6)
    left.set_ylabel(energy_name([trajectory.states[0]]))
    rate = -np.diff(energies) / np.diff(times)
    right.stairs(np.where(rate > 0, rate, np.nan), times, color=ORANGE, lw=1.6, baseline=None)
    right.set_ylabel("dissipation $-dE/dt$")
    if (rate > 0).any():
        right.set_yscale("log")
        calm(right)
