"""Whether an attraction has gathered mass where the grid cannot tell how narrow it is.

An attraction stronger than its diffusion, such as Keller-Segel's above the critical mass, has no density to go to.  On
cells it ends in single ones, which is a minimiser of the cells' problem and says nothing of the equation.  A heap may
as well be narrow for other reasons; it collapses if the energy would fall further were it half as wide:

``M^2/2 (W(h) - W(h/2)) > sum_K |K| [2^-d U(2^d rho) - U(rho)]``

for its mass M and cells of width h.  Of Keller-Segel's, in the plane, that is ``M > 4 / c``, the critical mass.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from jko.energies import Parts, sorted_terms
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.steps.dynamic.layout import Array

PART = 0.1  # of the mass, in the two cells on each axis where there is most
NARROW = 0.6845  # and of what is within six, for each axis: that of a Gaussian as wide as a cell


def collapses(terms: Parts, before: Array, after: GridDensity) -> bool:
    """Whether a step from ``before`` (grid shape) has ended in such a heap."""
    rho, grid = after.values, after.grid
    pairs = () if terms.rest is None else sorted_terms(terms.rest).interactions
    if not pairs or not gathered(before, as_array(rho)):
        return False
    sums = blocks(as_array(rho))
    at = np.unravel_index(int(sums.argmax()), sums.shape)
    heap = rho[tuple(slice(i, i + 2) for i in at)]
    M, more = grid.cell * float(heap.sum()), 2.0**grid.dim
    h = torch.diag(rho.new_tensor(grid.spacing))
    closer = sum(c * float((E.even(h) - E.even(0.5 * h)).mean()) for c, E in pairs)
    dearer = terms.mixture.U(more * heap) / more - terms.mixture.U(heap)
    return 0.5 * M**2 * closer > grid.cell * float(dearer.sum())


def gathered(before: Array, after: Array) -> bool:
    """Whether a heap in ``after`` is narrower than a cell, and more so than in ``before``; both grid shape.

    Examples
    --------
    >>> x = np.arange(20.0) - 9.5
    >>> wide, narrow = (np.exp(-0.5 * (x / s) ** 2) for s in (1.5, 0.5))
    >>> gathered(wide, narrow), gathered(narrow, wide), gathered(wide, wide)
    (True, False, False)
    """
    mass, pairs = float(after.sum()), blocks(after)
    at = np.unravel_index(int(pairs.argmax()), pairs.shape)
    near = float(after[tuple(slice(max(i - 2, 0), i + 4) for i in at)].sum())
    inside, was = float(pairs[at]), float(blocks(before).max()) * mass / float(before.sum())
    return inside > PART * mass and inside > NARROW**after.ndim * near and inside > was


def blocks(values: Array) -> Array:
    """Sums over two neighbouring cells along each axis that has so many."""
    ends = [(slice(None, -1), slice(1, None)) if n > 1 else (slice(None),) for n in values.shape]
    return sum((values[corner] for corner in product(*ends)), np.zeros(()))
