"""Obstacles may cut the grid into chambers between which no mass can move: each keeps its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from jko.steps.dynamic.layout import Array


def opened(V: Array, rho0: Array) -> Array:
    """V with the chambers that hold no mass made obstacles too: nothing can enter them."""
    if np.isfinite(V).all():
        return V
    names, count = label(np.isfinite(V))
    masses = np.bincount(names.ravel(), rho0.ravel(), count + 1)
    return np.where(masses[names] > 0, V, np.inf)


def factors(V: Array, rho: Array, rho0: Array) -> Array:
    """What rho must be multiplied with, cell by cell, so that each chamber has the mass it had in rho0."""
    free: NDArray[np.bool_] = np.isfinite(V)
    if free.all():
        return np.full(V.shape, rho0.sum() / rho.sum())
    names, count = label(free)
    new, old = (np.bincount(names.ravel(), r.ravel(), count + 1) for r in (rho, rho0))
    return np.divide(old, new, out=np.ones_like(new), where=new > 0)[names]
