"""The linear minimisation oracle: where the linearised problem sends each source, from a cloud kept between prices.

For the first variation phi of an energy at a measure: ``min over z of phi(z) + rate |z - y_i|^2 / 2`` for all i, the
best w of each theta eliminated where the network allows it.  A cloud of candidates is priced by one product, and the
lowest few basins of every source are refined by Newton's method, all in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from jko.duality.cloud import Cloud, scattered
from jko.duality.envelope import Envelope
from jko.duality.minima import Minima

POINTS = 1024  # at each scale
STARTS = 3  # of each source from the cloud, and from the places of the others
SINGLE = 200  # where there is one source
OTHERS = (
    2  # dimensions of the places, above which the atoms of all other sources are candidates too
)


@dataclass
class Oracle:
    """The oracle of one problem; ``clouds`` holds the candidates of each turn.

    Examples
    --------
    >>> import jko, torch
    >>> from jko.duality import Envelope, Minorant
    >>> from jko.duality.oracle import Oracle
    >>> mu = jko.Particles([[1.0]])
    >>> envelope = Envelope(Minorant.of(jko.SquaredNorm(), mu), mu.points, 1.0, None, mu.points)
    >>> found = Oracle()(envelope, mu.points, torch.tensor([0]), fine=1e-12)
    >>> round(float(found.lowest), 9)  # z^2 / 2 + (z - 1)^2 / 2 at z = 1/2
    0.25
    """

    clouds: dict[int, Cloud] = field(default_factory=dict)

    def __call__(
        self, envelope: Envelope, points: Tensor, block: Tensor, fine: float, turn: int = 0
    ) -> Minima:
        """Local minimisers at the residual of the envelope's measure, each source's lowest first.

        Parameters
        ----------
        envelope : Envelope
            phi, the sources and the rate.
        points, block : (n, dim), (n,)
            Where mass is now, and of which source: starts as well, at least one of each.
        fine : float
            Minima are found to this value, at least.
        turn : int
            0, 1, ...: no two turns have the same candidates.
        """
        g = envelope.minorant.residual
        count = STARTS if envelope.N > 1 else SINGLE
        clouds = [self._cloud(envelope, turn)]
        if envelope.N > 1 and (turn or clouds[0].places.shape[1] > OTHERS):
            clouds.append(Cloud.of(envelope, points))
        starts = [(points, block), *(cloud.basins(envelope, g, count) for cloud in clouds)]
        z, at = (torch.cat(column) for column in zip(*starts, strict=True))
        return envelope.descended(g, z, at, fine)

    def _cloud(self, envelope: Envelope, turn: int) -> Cloud:
        """Candidates around the atoms; new ones where these have left the old."""
        cloud = self.clouds.get(turn)
        if cloud is not None:
            low, high = cloud.points.amin(0), cloud.points.amax(0)
            if bool(((envelope.own >= low) & (envelope.own <= high)).all()):
                return cloud
        found = Cloud.of(envelope, scattered(envelope, POINTS, turn), keep=True)
        self.clouds[turn] = found
        return found
