"""Normal laws and mixtures of them: ellipses in a plane, densities on the line, and the ways of a flow."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Ellipse

from jko import checks
from jko.measures import NormalLaws
from jko.plots.names import PLACES
from jko.plots.style import BLUE, GREY
from jko.trajectory import Trajectory

DEVIATIONS = (1.0, 2.0)  # of the ellipses
REACH, PLACES_ON_LINE = 4.0, 400  # deviations, and points of a curve
LIGHTEST = 0.25  # opacity of a component beside the heaviest


def ellipses(
    state: NormalLaws,
    ax: Axes,
    plane: tuple[int, int] = (0, 1),
    colour: str = BLUE,
    label: str | None = None,
) -> Axes:
    """Each component as the ellipses of one and two standard deviations; on the line, the density.

    Parameters
    ----------
    state : Gaussian or GaussianMixture
    ax : Axes
        Where to draw.
    plane : (int, int), optional
        The coordinates that are drawn: of more than two, the ellipses are those of the marginal.
    colour : str
        Heavy components are darker.
    label : str, optional
        For a legend.

    Examples
    --------
    >>> import jko
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.ellipses(jko.Gaussian([0.0, 1.0], [[1.0, 0.5], [0.5, 2.0]]), ax) is ax
    True
    """
    checks.kind("the state", state, NormalLaws)
    if state.dim == 1:
        return _curve(state, ax, colour, label)
    i, j = _plane(plane, state.dim)
    masses = state.masses.detach().cpu().numpy()
    for mass, m, S in zip(masses, *_marginals(state, (i, j)), strict=True):
        strength = LIGHTEST + (1 - LIGHTEST) * mass / masses.max()
        for k in DEVIATIONS:
            _ellipse(ax, m, S, k, colour, strength)
        ax.plot(*m, "+", color=colour, alpha=strength, label=label)
        label = None
    ax.set(xlabel=PLACES[i], ylabel=PLACES[j])
    ax.autoscale_view()
    return ax


def ellipse_ways(
    run: Trajectory, ax: Axes, plane: tuple[int, int] = (0, 1), colour: str = BLUE, between: int = 4
) -> Axes:
    """The first state of a flow in grey, the last in colour, some between them, and the ways of the means.

    Parameters
    ----------
    run : Trajectory
        Of normal laws or mixtures, in two dimensions or more.
    ax : Axes
    plane, colour
        As for :func:`ellipses`.
    between : int
        How many states between the two are drawn, with one deviation.

    Examples
    --------
    >>> import jko
    >>> start = jko.Gaussian([2.0, 1.0], [[1.0, 0.5], [0.5, 2.0]])
    >>> run = jko.flow(jko.SquaredNorm() + jko.Entropy(), start, tau=0.2, steps=5)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.ellipse_ways(run, ax) is ax
    True
    """
    states = [checks.kind("a state of the run", state, NormalLaws) for state in run.states]
    i, j = _plane(plane, states[0].dim)
    ellipses(states[0], ax, plane, GREY)
    for k in np.unique(np.linspace(0, len(states) - 1, between + 2).round().astype(int))[1:-1]:
        for m, S in zip(*_marginals(states[k], (i, j)), strict=True):
            _ellipse(ax, m, S, DEVIATIONS[0], colour, LIGHTEST)
    way = np.stack([state.means.detach().cpu().numpy()[:, [i, j]] for state in states])
    for k in range(way.shape[1]):
        ax.plot(*way[:, k].T, color=colour, lw=0.8, alpha=0.7)
    return ellipses(states[-1], ax, plane, colour)


def _plane(plane: tuple[int, int], dim: int) -> tuple[int, int]:
    i, j = checks.items("plane", plane, 2)
    for k in (i, j):
        if not (isinstance(k, int) and 0 <= k < dim):
            raise ValueError(
                f"plane = {plane}: the laws have {dim} coordinates, 0 to {dim - 1}; on the line there is no plane, "
                "and ellipses(state, ax) draws the density"
            )
    return i, j


def _marginals(state: NormalLaws, plane: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Means (K, 2) and covariances (K, 2, 2) of the components in a plane."""
    m, S = (t.detach().cpu().numpy() for t in (state.means, state.covariances))
    return m[:, plane], S[:, plane][:, :, plane]


def _ellipse(
    ax: Axes, m: np.ndarray, S: np.ndarray, deviations: float, colour: str, strength: float
) -> None:
    size, turn = np.linalg.eigh(S)
    width, height = 2 * deviations * np.sqrt(size)
    angle = np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))
    face, edge = (to_rgba(colour, alpha * strength) for alpha in (0.12, 0.9))
    ax.add_patch(Ellipse(tuple(m), width, height, angle=angle, fc=face, ec=edge, lw=1.0))


def _curve(state: NormalLaws, ax: Axes, colour: str, label: str | None) -> Axes:
    m, s = state.means[:, 0].detach(), state.covariances[:, 0, 0].detach().sqrt()
    ends = float((m - REACH * s).min()), float((m + REACH * s).max())
    x = np.linspace(*ends, PLACES_ON_LINE)
    rho = state.detach().log_density(m.new_tensor(x)[:, None]).exp()
    ax.plot(x, rho.cpu(), color=colour, label=label)
    ax.fill_between(x, rho.cpu().numpy(), color=colour, alpha=0.12, lw=0)
    ax.set(xlabel="$x$", ylabel="density")
    return ax
