"""The step in D on the line as a function of the nodes and their charges.

With masses M_i of the nodes z_i = (H_i, theta_i) the Gram form is ``sum_i M_i |z_i - z_i^k|^2``, and G sees the nodes
themselves: ``sum_i M_i delta_{z_i}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from jko.duality import Gap
from jko.measures import ChargedMesh, Particles
from jko.metrics import Certificate, as_array, certify
from jko.numerics.banded import Banded
from jko.steps.line.objective import Objective, Spot

Array = NDArray[np.float64]

FOLDED = 1e-10  # of its width, a cell whose nodes have met


@dataclass(frozen=True, eq=False)
class Nodes(Objective):
    """J in the nodes of a :class:`ChargedMesh`: k = 2, in the order H_0, theta_0, H_1, ..."""

    mesh: ChargedMesh

    k = 2

    @cached_property
    def start(self) -> Array:
        """(H_k, theta_k)."""
        return as_array(self.problem.base.points).ravel()

    @cached_property
    def gram(self) -> Banded:
        """The masses of the nodes, twice each."""
        return Banded.of(np.repeat(as_array(self.mesh.weights), 2))

    def state(self, u: Array) -> ChargedMesh:
        """The mesh with these nodes and charges."""
        z = torch.from_numpy(u.reshape(-1, 2)).to(self.mesh.theta)
        return self.mesh.moved(z[:, 1].contiguous(), z[:, 0].contiguous())

    def atoms(self, u: Array) -> Particles:
        """The nodes."""
        base = self.problem.base
        return base.moved(torch.from_numpy(self.moves(u)).to(base.points))

    def moves(self, v: Array) -> Array:
        """The nodes' own, (n, 2)."""
        return v.reshape(-1, 2)

    def carried(self, field: Array) -> Array:
        """Forces at the nodes."""
        weighed = (as_array(self.mesh.weights) * field.T).T
        return weighed.reshape(len(self.start), *field.shape[2:])

    def bends(self, blocks: Array) -> Array:
        """Curvatures at the nodes."""
        bands = np.zeros((3, len(self.start)))
        bands[0, 0::2], bands[0, 1::2] = blocks[:, 0, 0], blocks[:, 1, 1]
        bands[1, 0::2] = blocks[:, 0, 1]
        return self.gram.diagonal * bands

    def folded(self, spot: Spot) -> bool:
        """Whether two nodes have met."""
        return bool((spot.widths < FOLDED * np.diff(self.start[self.places])).any())

    def coupling(self, spot: Spot) -> Certificate:
        """Whether the index coupling is optimal in D.

        An optimal one moves nodes by ``-grad p``: p is integrated along the graph, and its dual constraint then
        checked.
        """
        z, old = self.moves(spot.u), self.moves(self.start)
        d = z - old
        rises = (0.5 * (d[1:] + d[:-1]) * np.diff(z, axis=0)).sum(1)
        return certify(z, old, as_array(self.mesh.weights), -np.append(0.0, rises.cumsum()))

    def gap(self, spot: Spot, residual: float) -> Gap | None:
        """With internal energies no lower bound is at hand; without them it is that of the atoms."""
        if not self.internal.summands:
            return None
        reason = "no lower bound is known for internal energies on a mesh whose nodes carry charges"
        return Gap.unknown(reason, spot.value)
