"""Units: inputs and targets as the network sees them, by the mean and deviation of the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jko.datasets.cells import Array

FLAT = (
    1e-12  # a column whose deviation is a smaller fraction of its size is constant up to rounding
)


@dataclass(frozen=True, eq=False)
class Scaling:
    """``(values - centre) / scale``, column by column; a gap becomes 0, which is the mean.

    Attributes
    ----------
    columns : tuple of n str
        The inputs that vary on the training rows.
    dropped : tuple of str
        Those that are constant there, and so carry no information.
    centre, scale : (n,)
        Mean and standard deviation on the training rows, of the cells that are there; 0 and 1 for indicators.

    Examples
    --------
    >>> import numpy as np
    >>> from jko.datasets import Scaling
    >>> x = np.array([[1.0, 7.0], [3.0, 7.0], [np.nan, 7.0]])
    >>> scaling = Scaling.of(("a", "flat"), x, (True, True))
    >>> scaling.dropped, scaling(("a", "flat"), x).tolist()
    (('flat',), [[-1.0], [1.0], [0.0]])
    """

    columns: tuple[str, ...]
    dropped: tuple[str, ...]
    centre: Array
    scale: Array

    @classmethod
    def of(cls, names: Sequence[str], x: Array, measured: Sequence[bool]) -> Scaling:
        """Of the training rows x (M, n), which may have gaps; columns that are not ``measured`` are 0 or 1."""
        centre, scale = _of_each(x)
        with np.errstate(invalid="ignore"):
            varies = scale > FLAT * np.abs(centre)
        unit = np.asarray(measured, dtype=bool)
        centre, scale = np.where(unit, centre, 0.0), np.where(unit, scale, 1.0)
        return cls(
            columns=tuple(name for name, keep in zip(names, varies, strict=True) if keep),
            dropped=tuple(name for name, keep in zip(names, varies, strict=True) if not keep),
            centre=centre[varies],
            scale=scale[varies],
        )

    def __call__(self, names: Sequence[str], x: Array) -> Array:
        """The inputs ``columns`` of x (M, len(names)), scaled."""
        at = {name: k for k, name in enumerate(names)}
        scaled = (x[:, [at[name] for name in self.columns]] - self.centre) / self.scale
        scaled[np.isnan(scaled)] = 0.0
        return scaled


@dataclass(frozen=True, eq=False)
class Units:
    """The target in its own units is ``centre + scale * f``; of several, one number for each.

    Examples
    --------
    >>> import numpy as np
    >>> from jko.datasets import Units
    >>> units = Units.of(np.array([-1.0, 1.0]) * 4)
    >>> units.own(np.array([-1.0, 0.0])).tolist()
    [-4.0, 0.0]
    """

    centre: Any = 0.0
    scale: Any = 1.0

    @classmethod
    def of(cls, f: Array) -> Units:
        """Mean and deviation of the training rows, (M,) or (M, k)."""
        return cls(*centre_and_scale(f))

    def own(self, f: Array) -> Array:
        """The network's outputs, in the target's units."""
        return self.centre + self.scale * f

    def scaled(self, f: Array) -> Array:
        """The inverse."""
        return (f - self.centre) / self.scale


def centre_and_scale(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation along the rows; no square overflows, whatever the units."""
    size = np.abs(values).max(0)
    unit = values / np.where(size > 0, size, 1.0)
    return size * unit.mean(0), size * unit.std(0)


def _of_each(x: Array) -> tuple[Array, Array]:
    """Mean and deviation of the cells that are there; 0 and 0 of a column that has none."""
    gaps = np.isnan(x)
    centre, scale = centre_and_scale(np.where(gaps, 0.0, x))
    for k in np.flatnonzero(gaps.any(0)):
        there = x[~gaps[:, k], k]
        centre[k], scale[k] = centre_and_scale(there) if len(there) else (0.0, 0.0)
    return centre, scale
