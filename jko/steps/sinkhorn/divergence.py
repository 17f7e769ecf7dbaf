"""The Sinkhorn divergence: the entropic cost without its bias.

``OT(a, b) = min over plans of <c, gamma> + epsilon KL(gamma | a x b)`` is not zero for a = b.  The divergence
``S(a, b) = OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2`` is, is not negative, and differs from W2^2 by a higher order of
epsilon.  Source: Feydy, Sejourne, Vialard, Amari, Trouve and Peyre (2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.steps.sinkhorn.kernels import PLAIN, Kernel, deep_sums

ROUNDS = 300
TOL = 1e-6  # L1; what it costs in the value is its square


@dataclass(frozen=True, eq=False)
class SelfTransport:
    """The plan ``d_i v_i K_ij v_j d_j`` of a measure with itself.

    Attributes
    ----------
    log : (N,)
        log d; -inf outside the support.
    value : float
        OT(a, a).
    applications : int
        Of the kernel.
    """

    log: Tensor
    value: float
    applications: int


def self_transport(
    kernel: Kernel, masses: Tensor, volumes: Tensor, start: Tensor | None = None, tol: float = TOL
) -> SelfTransport:
    """Solve ``d K d = a`` by the averaged iteration ``d <- sqrt(d a / K d)``, from log d = ``start``.

    Source: Knight, Ruiz and Ucar (2014); Feydy et al. (2019), section 3.
    """
    where = masses > 0
    density, log_volumes = (masses / volumes).log(), volumes.log()
    log = 0.5 * density if start is None else torch.where(start.isfinite(), start, 0.5 * density)
    log, depth, count = log.masked_fill(~where, -torch.inf), PLAIN, 0
    while True:
        sums, depth = deep_sums(kernel, log_volumes + log, where, depth)
        count += 1
        change = torch.where(where, density - sums.log - log, 0)
        excess = masses * torch.expm1(-change)  # of the marginal
        if float(excess.abs().sum()) <= tol or count >= ROUNDS:
            break
        log = torch.where(where, log + 0.5 * change, -torch.inf)
    potential = torch.where(where, log - density, 0)
    value = kernel.epsilon * float(2 * (masses * potential).sum() - excess.sum())
    return SelfTransport(log, value, count)
