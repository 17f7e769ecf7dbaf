"""Enclosures of the envelope: lower bounds that hold for every z, not only for those that were tried.

For neurons with tanh, sigmoid or the bump and V = lam |xi|^2 / 2 the inner problem has derivatives bounded by the
data.  If it is thereby strongly convex, one point with its gradient proves the minimum; else theta is searched by
branch and bound.  All bounds are proofs in exact arithmetic; rounding (1e-15 in float64) is not enclosed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.duality.branching import branch_and_bound
from jko.duality.envelope import Envelope
from jko.duality.minima import Minima
from jko.duality.reduced import ReducedEnvelope
from jko.duality.slopes import Slopes
from jko.spaces import projected

DIMENSIONS = 3  # of theta, up to which it is searched


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Lower bounds ``lowest`` (N,) on the envelopes, whether all are proved, and a sentence.

    ``missed`` are points (k, dim) and blocks (k,) where an envelope was found to be lower than its minima.
    """

    lowest: Tensor
    proved: bool
    reason: str
    missed: tuple[Tensor, Tensor] | None = None


def enclose(envelope: Envelope, g: Tensor, minima: Minima) -> Enclosure:
    """Prove the envelopes' values at g where that can be done; else say why they are estimates."""
    minorant, k = envelope.minorant, envelope.stiffness
    if k is not None and (not minorant.risks or bool((minorant.q * g == 0).all())):
        return _closed_form(envelope, k, minima)
    if k is None or minorant.activations is None:
        what = "potentials other than SquaredNorm" if k is None else "general features"
        return _estimate(minima, f"since {what} come without bounds on their derivatives")
    slopes = Slopes.of(minorant, g)
    flat = k == 0 and minorant.width > 1  # its minimum over w is at one of 2^k corners
    if slopes is None or envelope.w_range is None or k < 0 or flat:
        what = (
            "this activation" if slopes is None else "this domain" if k >= 0 else "this potential"
        )
        return _estimate(minima, f"since no bounds are known for {what}")
    reduced = ReducedEnvelope.of(envelope, slopes)
    lowest, convex = reduced.strongly_convex(minima)
    if bool(convex.all()):
        reason = "the inner problems are strongly convex, so their stationary points are minima"
        return Enclosure(lowest, True, reason)
    if envelope.anchors.shape[1] - minorant.width > DIMENSIONS:
        share = int((~convex).sum())
        return _estimate(minima, f"{share} of {len(convex)} inner problems not proved convex")
    bounds, finished, missed = branch_and_bound(
        reduced.rows(torch.nonzero(~convex).flatten()), minima
    )
    lowest = torch.where(convex, lowest, bounds)
    if finished:
        return Enclosure(lowest, True, "the inner minima are enclosed by branch and bound", missed)
    loose = float((minima.lowest - lowest).max())
    why = f"since branch and bound ran out of boxes with the minima proved to {loose:.1e} only"
    return _estimate(minima, why, missed)


def _estimate(minima: Minima, why: str, missed: tuple[Tensor, Tensor] | None = None) -> Enclosure:
    """The lowest minima that were found, and why they are no bounds."""
    found = "multistart estimate: the lowest of many local minima from fixed starts"
    return Enclosure(minima.lowest, False, f"{found}, {why}", missed)


def _closed_form(envelope: Envelope, k: float, minima: Minima) -> Enclosure:
    """min over the domain of ``lam |z|^2 / 2 + rate |z - y|^2 / 2``."""
    y, domain = envelope.anchors, envelope.domain
    if k < 0 or (k == 0 and bool((envelope.rate * y != 0).any())):
        return Enclosure(
            minima.lowest, False, "the potential is not bounded below by its curvature"
        )
    z = envelope.rate / k * y if k > 0 else y
    z = projected(z, domain)
    every = torch.arange(len(y), device=y.device)
    return Enclosure(envelope.cost(z, every), True, "the inner problem is quadratic")
