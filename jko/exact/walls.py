"""A constant drift into a wall, ``V(x) = -x``: no flux through it (3.11), and the Gibbs state with entropy (4.3)."""

import numpy as np

from jko.exact.rules import Array, NotNegativeNumbers, Numbers, Positive, Real, formula, pointwise


@pointwise
def wall_step(x: Numbers, *, tau: NotNegativeNumbers, wall: Numbers = 1.0) -> Array:
    """The JKO step of ``V(x) = -x`` on ``(-inf, wall]``: ``x+ = min(x + tau, wall)``; ``tau`` may be a time.

    Steps and the flow with no flux through the wall are the same map.

    Source: survey (3.11).

    Examples
    --------
    >>> from jko import exact
    >>> exact.wall_step([0.2, 0.9], tau=0.3).tolist()
    [0.5, 1.0]
    """
    return np.minimum(x + tau, wall)


@formula
def wall_rest(x: Numbers, *, beta: Positive, low: Real = 0.0, wall: Real = 1.0) -> Array:
    """The stationary density of ``int -x dmu + beta Ent(mu)`` on [low, wall]: ``e^{x/beta} / Z``, 0 outside.

    ``Z = beta (e^{wall/beta} - e^{low/beta})``; it is the minimiser, with no flux through either end.

    Source: survey (4.3), (4.5).

    Examples
    --------
    >>> from jko import exact
    >>> exact.wall_rest([-0.1, 1.0], beta=0.1).round(6).tolist()
    [0.0, 10.000454]
    """
    _ordered(low, wall)
    inside = (low <= x) & (x <= wall)
    height = 1 / (beta * -np.expm1((low - wall) / beta))
    return np.where(inside, height * np.exp(np.minimum(x - wall, 0) / beta), 0.0)


@formula
def wall_rest_mass(x: Numbers, *, beta: Positive, low: Real = 0.0, wall: Real = 1.0) -> Array:
    """The mass of :func:`wall_rest` in [low, x]: its distribution function, for the masses of cells.

    Examples
    --------
    >>> from jko import exact
    >>> exact.wall_rest_mass([-1.0, 1.0, 2.0], beta=0.1).tolist()
    [0.0, 1.0, 1.0]
    """
    _ordered(low, wall)
    x = np.clip(x, low, wall)
    empty = np.exp((low - wall) / beta)
    return (np.exp((x - wall) / beta) - empty) / (1 - empty)


def _ordered(low: float, wall: float) -> None:
    if not low < wall:
        raise ValueError(f"low = {low:g} and wall = {wall:g}; the interval needs low < wall")
