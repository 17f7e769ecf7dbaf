"""States of one run on Axes, one after another, with limits and colours that stay the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from jko.measures import ChargedDensity, ChargedMesh, GridDensity, LineMesh, State
from jko.plots import cells
from jko.plots.atoms import particles, signed
from jko.plots.densities import density
from jko.plots.names import coordinates, upright
from jko.plots.pairs import pair

Draw = Callable[[Any, Axes], object]


def scene(states: Sequence[State], names: Sequence[str] | None = None) -> Draw:
    """How to draw each of the states, on a scale that holds for all of them.

    Raises
    ------
    ValueError
        Pairs on cells in d > 1, which have no scale in common.
    """
    first = states[0]
    given: dict[str, Any] = {} if names is None else {"names": names}
    if isinstance(first, (GridDensity, LineMesh)) and first.dim == 1:
        return _limited(states, lambda state, ax: density(state, ax, **given))
    if isinstance(first, GridDensity):
        tops = [cells.marginal(state, (0, 1)).max() for state in states]  # type: ignore[arg-type]
        norm = Normalize(0, max(tops))
        return lambda state, ax: density(state, ax, norm=norm, **given)
    if isinstance(first, (ChargedDensity, ChargedMesh)):
        if first.d > 1:
            raise ValueError(
                f"pairs on cells share a scale in d = 1 only; this one has d = {first.d}: draw "
                "jko.plots.pair(state, ax) for each"
            )
        return _limited(states, pair)
    return _cloud(states, names)


def _cloud(states: Sequence[State], names: Sequence[str] | None) -> Draw:
    """Atoms, w shown by one scale of colours."""
    named, dim = coordinates(states[0], names), states[0].atoms.dim
    plane = upright(named, dim) if dim > 1 else None
    norm = signed(np.concatenate([s.atoms.points[:, 0].detach().cpu().numpy() for s in states]))
    options: dict[str, Any] = {"plane": plane, "names": named, "norm": norm}
    return _limited(states, lambda state, ax: particles(state, ax, **options))


def _limited(states: Sequence[State], draw: Draw) -> Draw:
    """The same, within the limits of all states together, found by drawing each once."""
    from matplotlib.figure import Figure

    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for state in states:
        ax = Figure().add_subplot()
        draw(state, ax)
        ax.set_aspect("auto")
        ends = np.array([ax.get_xlim(), ax.get_ylim()])
        low, high = np.minimum(low, ends[:, 0]), np.maximum(high, ends[:, 1])

    def limited(state: State, ax: Axes) -> None:
        draw(state, ax)
        ax.set_aspect("auto")
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))

    return limited
