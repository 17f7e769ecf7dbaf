"""Which way the constraints of all pairs are checked: by boxes in low dimension, by blocks of pairs else."""

from __future__ import annotations

from jko.metrics.couplings import Array, Plan
from jko.metrics.pricing import Pricing, price

FEW = 2**18  # pairs: up to here blocks of them are quick, and need no compiled code
BOXES_DIM = 4


def price_beside(x: Array, y: Array, alpha: Array, beta: Array, plan: Plan) -> Pricing:
    """:func:`jko.metrics.pricing.price` for potentials that come with a plan, which says where atoms go."""
    if x.shape[1] > BOXES_DIM or len(x) * len(y) <= FEW or min(len(x), len(y)) < 2:
        return price(x, y, alpha, beta)
    from jko.metrics.boxes import price_in_boxes  # numba loads here

    forth, back = plan.barycentres(y), plan.transposed.barycentres(x)
    return price_in_boxes(x, y, alpha, beta, forth, back)
