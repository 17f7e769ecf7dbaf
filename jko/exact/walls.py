"""A constant drift into a wall, ``V(x) = -x``: no flux through it (3.11), and the Gibbs state with entropy (4.3)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jko import checks

Array = NDArray[np.float64]


def wall_step(x: Any, *, tau: float, wall: float = 1.0) -> Array:
    """The JKO step of ``V(x) = -x`` on ``(-inf, wall]``: ``x+ = min(x + tau, wall)``; ``tau`` may be a time.

    Steps and the flow with no flux through the wall are the same map.

    Source: survey (3.11).

    Examples
    --------
    >>> from jko import exact
    >>> exact.wall_step([0.2, 0.9], tau=0.3).tolist()
    [0.5, 1.0]
    """
    return np.minimum(np.asarray(x, dtype=float) + tau, wall)


def wall_rest(x: Any, *, beta: float, low: float = 0.0, wall: float = 1.0) -> Array:
    """The stationary density of ``int -x dmu + beta Ent(mu)`` on [low, wall]: ``e^{x/beta} / Z``, 0 outside.

    ``Z = beta (e^{wall/beta} - e^{low/beta})``; it is the minimiser, with no flux through either end.

    Source: survey (4.3), (4.5).

    Examples
    --------
    >>> from jko import exact
    >>> exact.wall_rest([-0.1, 1.0], beta=0.1).round(6).tolist()
    [0.0, 10.000454]
    """
    x, beta = np.asarray(x, dtype=float), checks.number("beta", beta, above=0)
    inside = (low <= x) & (x <= wall)
    height = 1 / (beta * -np.expm1((low - wall) / beta))
    return np.where(inside, height * np.exp(np.minimum(x - wall, 0) / beta), 0.0)


def wall_rest_mass(x: Any, *, beta: float, low: float = 0.0, wall: float = 1.0) -> Array:
    """The mass of :func:`wall_rest` in [low, x]: its distribution function, for the masses of cells.

    Examples
    --------
    >>> from jko import exact
    >>> exact.wall_rest_mass([-1.0, 1.0, 2.0], beta=0.1).tolist()
    [0.0, 1.0, 1.0]
    """
    x = np.clip(np.asarray(x, dtype=float), low, wall)
    beta = checks.number("beta", beta, above=0)
    empty = np.exp((low - wall) / beta)
    return (np.exp((x - wall) / beta) - empty) / (1 - empty)
