"""Lower bounds by convex duality: how far a step, or an energy, is from its minimum over all measures.

One idea a file: the minorant phi_g, its Moreau envelope (multistart Newton), the bundle of minimisers met with its
restricted problem, the enclosures that turn estimates into proofs, and the second look where nothing is proved.
"""

from jko.duality.dual import Dual
from jko.duality.envelope import Envelope
from jko.duality.gap import Gap
from jko.duality.grids import grid_gap
from jko.duality.minorant import Minorant, obstacle
from jko.duality.steps import split_atoms, step_gap

__all__ = [
    "Dual",
    "Envelope",
    "Gap",
    "Minorant",
    "grid_gap",
    "obstacle",
    "split_atoms",
    "step_gap",
]
