"""Cells of a grid on Axes: an image of what is on them, the rectangles and the outline of a set of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.image import AxesImage

from jko.measures import GridDensity
from jko.plots.seams import glue
from jko.spaces import Grid

MASS = LinearSegmentedColormap.from_list(
    "mass", ["#ffffff", "#cde4f3", "#7fbde3", "#0072B2", "#003f6b", "#001a33"]
)  # white where there is none
SQUARE = 4  # boxes up to this ratio of sides are drawn with equal units


def faces(grid: Grid, k: int) -> np.ndarray:
    """Ends of the cells along axis k."""
    return np.linspace(*grid.bounds[k], grid.shape[k] + 1)


def layer(grid: Grid, k: int, x: float) -> int:
    """The layer of cells across axis k that holds the coordinate x."""
    lower, upper = grid.bounds[k]
    if not lower <= x <= upper:
        raise ValueError(f"at[{k}] = {x:g} lies outside the grid, {lower:g} .. {upper:g}")
    return min(int((x - lower) / grid.spacing[k]), grid.shape[k] - 1)


def marginal(state: GridDensity, plane: tuple[int, int]) -> np.ndarray:
    """The density on a coordinate plane, integrated over other axes; the horizontal coordinate first."""
    i, j = plane
    if i == j or not all(0 <= k < state.dim for k in plane):
        raise ValueError(
            f"plane = {plane}; it needs two different coordinates from 0 to {state.dim - 1}"
        )
    values = state.values.cpu().numpy()
    for k in set(range(state.dim)) - {i, j}:
        values = values.sum(axis=k) * state.grid.spacing[k]
    return values if i < j else values.T


def image(
    values: np.ndarray,
    grid: Grid,
    ax: Axes,
    plane: tuple[int, int],
    names: Sequence[str],
    norm: Normalize,
) -> AxesImage:
    """Values (horizontal, vertical) on the cells of a plane, each cell in one colour."""
    (left, right), (low, high) = (grid.bounds[k] for k in plane)
    ratio = (right - left) / (high - low)
    picture = ax.imshow(
        values.T, origin="lower", extent=(left, right, low, high), cmap=MASS, norm=norm,
        aspect="equal" if 1 / SQUARE <= ratio <= SQUARE else "auto",
    )  # fmt: skip
    ax.spines[:].set_visible(True)
    ax.set(xlabel=names[plane[0]], ylabel=names[plane[1]])
    glue(ax, grid.domain, *plane)
    return picture


def colour_bar(picture: AxesImage, axes: Sequence[Axes], label: str) -> None:
    """One bar for all Axes."""
    figure = axes[0].figure
    if figure is not None:
        bar = figure.colorbar(picture, ax=list(axes), label=label, shrink=0.85, pad=0.02)
        bar.outline.set_linewidth(0.5)


def rectangles(chosen: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Rectangles that cover the chosen cells (nx, ny): one for each unbroken run along y."""
    runs = []
    for i, row in enumerate(chosen):
        ends = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
        for low, high in zip(y[ends[::2]], y[ends[1::2]], strict=True):
            runs.append(np.array([[x[i], low], [x[i + 1], low], [x[i + 1], high], [x[i], high]]))
    return runs


def outline(chosen: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The faces between chosen cells and others, as segments."""
    i, j = np.nonzero(chosen[1:] != chosen[:-1])
    upright = np.stack([[x[i + 1], y[j]], [x[i + 1], y[j + 1]]])
    i, j = np.nonzero(chosen[:, 1:] != chosen[:, :-1])
    level = np.stack([[x[i], y[j + 1]], [x[i + 1], y[j + 1]]])
    return [*upright.transpose(2, 0, 1), *level.transpose(2, 0, 1)]
