"""Quadratic forms of masses, as a potential and a sum of squares: what solvers of risks know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jko.energies.interaction import Interaction
from jko.measures import Particles

Array = NDArray[np.float64]
INDEFINITE = 1e-9  # of the largest eigenvalue of a kernel: a more negative one is no rounding


class Squares(NamedTuple):
    """``1/2 m . W m = slope . m + 1/2 |rows m - targets|^2 + constant`` for masses m of total one.

    Shapes: slope (n,), rows (r, n), targets (r,).

    Examples
    --------
    >>> import jko, numpy as np
    >>> mu = jko.Particles([[0.0], [2.0]], [0.25, 0.75])
    >>> E = jko.Interaction(lambda z: -z.norm(dim=1), convex=True)
    >>> slope, rows, targets, constant = jko.energies.Squares.of(1.0, E, mu)
    >>> m = mu.weights.numpy()
    >>> value = slope @ m + 0.5 * np.square(rows @ m - targets).sum() + constant
    >>> round(float(value), 12), float(E(mu))
    (-0.375, -0.375)
    """

    slope: Array
    rows: Array
    targets: Array
    constant: float

    @classmethod
    def of(cls, c: float, energy: Interaction, atoms: Particles) -> Squares:
        """``c E`` of masses at these atoms: ``W = L L^T`` on masses of total zero, around equal masses.

        Raises
        ------
        ValueError
            W has a negative eigenvalue on masses of total zero.
        """
        points = atoms.points.detach()
        W = c * energy.between(points, points, atoms.domain).detach().cpu().numpy().astype(
            np.float64
        )
        n = len(W)
        value, vector = np.linalg.eigh(W - W.mean(0) - W.mean(1)[:, None] + W.mean())
        if value[0] < -INDEFINITE * np.abs(value).max():
            raise ValueError(
                f"the kernel of {type(energy).__name__} has the eigenvalue {value[0]:.3g} on masses of total zero on "
                f"these {n} points, so the energy is not convex in the measure, whatever convex=True says; use another "
                "solver"
            )
        some = value > INDEFINITE * max(value[-1], 0.0)
        rows = np.sqrt(value[some])[:, None] * vector[:, some].T
        slope = W.mean(1)
        return cls(slope, rows, rows.mean(1), -0.5 * float(slope.mean()))
