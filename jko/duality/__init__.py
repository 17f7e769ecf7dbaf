"""Lower bounds by convex duality: how far a step, or an energy, is from its minimum over all measures.

One idea a file: the minorant phi_g, its Moreau envelope (multistart Newton), the bundle of minimisers met with its
restricted problem, and the enclosures that turn estimates into proofs.
"""

from jko.duality.envelope import Envelope
from jko.duality.gap import Dual, Gap, split_atoms, step_gap
from jko.duality.minorant import Minorant, obstacle

__all__ = ["Dual", "Envelope", "Gap", "Minorant", "obstacle", "split_atoms", "step_gap"]
