"""Newton's direction where far nodes act on each other: conjugate gradients, preconditioned by the banded part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jko.steps.charged_mesh.banded import Banded

Array = NDArray[np.float64]

ROUNDS, LEFT = (
    100,
    1e-5,
)  # of conjugate gradients; of the first residual, in the norm of the preconditioner


def conjugate(H: Banded, far: Callable[[Array], Array], g: Array, held: list[int]) -> Array | None:
    """The solution d of ``(H + far) d = -g`` with the unknowns ``held`` at zero.

    None where H, or H + far along a direction that was met, is not positive.
    """
    near = H.held(held)
    d, r = np.zeros_like(g), -g
    z = near.solve(r)
    if z is None:
        return None
    p, square = z, float(r @ z)
    enough = LEFT**2 * square
    for _ in range(ROUNDS):
        image = H @ p + far(p)
        image[held] = 0.0
        bend = float(p @ image)
        if not bend > 0:
            return None
        d = d + square / bend * p
        r = r - square / bend * image
        z = near.solve(r)
        if z is None:
            return None
        before, square = square, float(r @ z)
        if square <= enough:
            break
        p = z + square / before * p
    return d
