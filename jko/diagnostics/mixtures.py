"""An energy along the mixtures of two measures, where F is convex: Remark 2.1 and its footnote 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.energies import Energy, value_of
from jko.measures import GridDensity
from jko.measures.mixture import Measure, mixture
from jko.measures.tensors import on_numbers
from jko.shown import Shown

Array = NDArray[np.float64]


@on_numbers
def mixture_slope(energy: Energy, a: Measure, b: Measure, alpha: float = 0.0) -> float:
    """``d/dalpha F(mu_alpha) = int (dF/dmu)(mu_alpha) d(b - a)`` along ``mu_alpha = (1 - alpha) a + alpha b``.

    At alpha = 0 it says whether F falls when a little of b is mixed into a; a is a minimiser of a convex F over all
    measures if and only if it is >= 0 for every b.

    Parameters
    ----------
    energy : Energy
        F.
    a, b, alpha
        As in :func:`jko.measures.mixture`.

    Raises
    ------
    TypeError, ValueError
        As there; also an internal energy of atoms, which have no density.

    Notes
    -----
    Source: survey Remark 2.1, footnote 4, whose formula is this one for (2.7); its densities ``mu_0``, ``mu_1`` are a
    and b.  Of an entropy it is -inf where mass comes to empty cells.

    Examples
    --------
    >>> import jko
    >>> jko.diagnostics.mixture_slope(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), jko.Particles([[3.0]])
    ... )
    4.0
    """
    checks.kind("energy", energy, Energy)
    mu = mixture(a, b, alpha)
    if isinstance(a, GridDensity):
        return float(energy.variation(mu).reshape(-1) @ (b.weights - a.weights))
    ends = (float(state.integrate(energy.variation(mu, state.points))) for state in (b, a))
    return next(ends) - next(ends)


@dataclass(frozen=True, eq=False)
class MixtureLine(Shown):
    """An energy along the mixtures of two measures; prints as a table.

    Attributes
    ----------
    alphas, values, slopes : (K,)
        alpha, ``F(mu_alpha)`` and its derivative in alpha, by formula.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.Particles([[1.0]]), jko.Particles([[3.0]])
    >>> jko.diagnostics.mixture_line(jko.SquaredNorm(), a, b).values[[0, -1]].tolist()
    [0.5, 4.5]
    """

    alphas: Array
    values: Array
    slopes: Array

    @property
    def convex(self) -> bool:
        """Whether every chord is above its slopes, up to rounding: so it is of an F that is convex in the measure."""
        rise, step = np.diff(self.values), np.diff(self.alphas)
        room = 1e-12 * (1 + np.abs(self.values).max())
        low, high = step * self.slopes[:-1], step * self.slopes[1:]
        return bool((low - room <= rise).all() and (rise <= high + room).all())

    def _facts(self) -> dict[str, Any]:
        ends = {"at a": float(self.values[0]), "at b": float(self.values[-1])}
        return ends | {"least": float(self.values.min()), "convex": self.convex}

    def __str__(self) -> str:
        rows = zip(self.alphas, self.values, self.slopes, strict=True)
        lines = [f"{alpha:8.4f}  {value:13.6g}  {slope:13.6g}" for alpha, value, slope in rows]
        return "\n".join([f"{'alpha':>8}  {'F':>13}  {'dF/dalpha':>13}", *lines])


def mixture_line(energy: Energy, a: Measure, b: Measure, alphas: Any = None) -> MixtureLine:
    """F and its derivative along ``(1 - alpha) a + alpha b``.

    Parameters
    ----------
    energy, a, b
        As in :func:`mixture_slope`.
    alphas : (K,), optional
        Increasing, in [0, 1]; default 11 of equal distance.

    Examples
    --------
    >>> import jko
    >>> data = jko.Data([[0.0], [1.0]], [1.0, 0.0])
    >>> F = jko.Risk(data, features=lambda xi, x: xi * (1 + x.T))
    >>> line = jko.diagnostics.mixture_line(F, jko.Particles([[2.0]]), jko.Particles([[-2.0]]))
    >>> line.convex, round(float(line.values.min()), 2)
    (True, 0.25)
    """
    grid = np.linspace(0, 1, 11) if alphas is None else np.asarray(checks.floats("alphas", alphas))
    if grid.ndim != 1 or len(grid) < 2 or not (np.diff(grid) > 0).all():
        raise ValueError("alphas must be two or more increasing numbers in [0, 1]")
    values = [value_of(energy, mixture(a, b, alpha)) for alpha in grid.tolist()]
    slopes = [mixture_slope(energy, a, b, alpha) for alpha in grid.tolist()]
    return MixtureLine(grid.astype(np.float64), np.array(values), np.array(slopes))
