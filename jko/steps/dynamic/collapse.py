"""Whether an attraction has gathered mass where the grid cannot tell how narrow it is.

An attraction stronger than its diffusion, such as Keller-Segel's above the critical mass, has no density to go to.  On
cells it ends in single ones, which is a minimiser of the cells' problem and says nothing of the equation.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from jko.steps.dynamic.layout import Array

PART = 0.1  # of the mass, in the two cells on each axis where there is most
NARROW = 0.6845  # and of what is within six, for each axis: that of a Gaussian as wide as a cell


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
