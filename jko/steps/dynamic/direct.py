"""The Hessian of a step factored, where conjugate gradients with multigrid are too slow.

A potential that carries mass many cells far without diffusion makes the Hessian a diffusion along the flow, thousands
of times stronger than across: no sweep along axes smooths that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import Stepper

MOST = {1: 2**20, 2: 2**17, 3: 2**13}  # cells by dimension: the fill-in of more is too large


@dataclass(frozen=True)
class Factor:
    """``H = L L^T`` in the cells that are no obstacles, scaled to a diagonal of ones; a call solves."""

    inner: NDArray[np.int64]
    scale: Array
    lu: Any

    @classmethod
    def of(cls, step: Stepper) -> Factor | None:
        """Factor what the stepper has prepared; None where that is too large."""
        L = step.layout
        inner = np.flatnonzero(np.isfinite(step.V)).astype(np.int64)
        if len(inner) > MOST[L.dim]:
            return None
        numbers = np.full(L.size, -1.0)
        numbers[inner] = np.arange(len(inner))
        number = step.echo(numbers).astype(int)  # a cell beyond a seam is the one at home
        scale = step.D[inner] ** -0.5
        rows, columns, entries = [], [], []
        for A, offset in zip(step.A, L.offsets[0], strict=True):
            there = number[inner + offset]
            near = np.flatnonzero(there >= 0)
            rows.append(near)
            columns.append(there[near])
            entries.append(A[inner[near]] * scale[near] * scale[there[near]])
        where = (np.concatenate(rows), np.concatenate(columns))
        upper = sparse.coo_array((np.concatenate(entries), where), shape=(len(inner),) * 2)
        H = sparse.csc_matrix(upper + upper.T + sparse.eye_array(len(inner)))
        try:
            lu = splu(H, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        except RuntimeError:  # singular, to rounding
            return None
        return cls(inner, scale, lu)

    def __call__(self, rhs: Array) -> Array:
        """``H x = rhs``."""
        x = np.zeros_like(rhs)
        x[self.inner] = self.scale * self.lu.solve(self.scale * rhs[self.inner])
        return x
