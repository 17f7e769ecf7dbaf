"""Units: tables of numbers to mean zero and spread one, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Standard:
    """``z = (x - mean) / scale`` in each column, computed in float64."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, x: Array, weights: Array) -> Standard:
        """Mean and standard deviation of the rows; a column that does not vary is only centred."""
        x = x.astype(np.float64)
        mean = np.average(x, axis=0, weights=weights)
        scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
        still = scale <= 16 * np.finfo(np.float64).eps * np.abs(mean)
        return cls(mean, np.where(still, 1.0, scale))

    def __call__(self, x: Array) -> Array:
        """Standardised."""
        return (x - self.mean) / self.scale

    def back(self, z: Array) -> Array:
        """In the units of x."""
        return z * self.scale + self.mean
