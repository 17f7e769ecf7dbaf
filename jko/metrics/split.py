"""The split metric behind (3.19): W2 for rho, and L2 of the new rho for H as a function of theta."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from jko import checks
from jko.measures import ChargedSpan, State
from jko.measures.tensors import on_numbers
from jko.metrics.base import Distance, Metric
from jko.metrics.couplings import SQUARES, as_array, norm
from jko.metrics.wasserstein import Wasserstein


@dataclass(frozen=True)
class SplitWasserstein(Metric):
    """``W2(rho, rho_k)^2 + int |H - H_k|^2 drho`` between pairs whose H is known on all of Theta.

    H is compared at one theta, not along the transport: the gradient flow is (3.19), where H changes in place, while
    that of D (:class:`jko.GraphWasserstein`) carries H along, (3.23).

    The second term is taken in L2 of the *first* argument, the new rho.  In L2(rho_k) the step would be degenerate:
    put rho on atoms off the atoms of rho_k, and H is free there.  So this is no symmetric distance.

    Source: survey (3.19).

    Examples
    --------
    >>> import jko, torch
    >>> a = jko.ChargedSpan(
    ...     jko.Particles([[0.0]]), lambda t: t[:, 0] + 4, jko.GaussianBump(), [[0.0]]
    ... )
    >>> b = jko.ChargedSpan(jko.Particles([[3.0]]), lambda t: t[:, 0], jko.GaussianBump(), [[0.0]])
    >>> jko.metrics.SplitWasserstein().distance(a, b).value
    5.0
    """

    def cost(self, state: State, base: State) -> Tensor:
        """``sum_i m_i |theta_i - theta'_i|^2`` by index, plus the integral of ``(H - H_k)^2`` against the new rho."""
        new, old = _span("state", state), _span("base", base)
        move = Wasserstein().cost(new.rho.atoms, old.rho.atoms)
        return move + charge_cost(new, old)

    @on_numbers
    def distance(self, a: State, b: State) -> Distance:
        """``W2(rho_a, rho_b)^2 + int |H_a - H_b|^2 drho_a``, with the plan and potentials of W2."""
        new, old = _span("a", a), _span("b", b)
        found = Wasserstein().distance(new.rho, old.rho)
        charge = float(charge_cost(new, old))
        apart, m = (as_array(t) for t in (_change(new, old), new.rho.weights))
        length = math.hypot(found.value, norm(m, apart[:, None], charge))
        squared = found.squared + charge
        plain = SQUARES[0] < squared < SQUARES[1]
        return replace(found, squared=squared, length=math.sqrt(squared) if plain else length)


def charge_cost(new: ChargedSpan, old: ChargedSpan) -> Tensor:
    """``int |H_new - H_old|^2 drho_new``, 0-d."""
    return new.rho.integrate(_change(new, old) ** 2)


def _change(new: ChargedSpan, old: ChargedSpan) -> Tensor:
    theta = new.support
    return new.H(theta) - old.H(theta)


def _span(name: str, state: State) -> ChargedSpan:
    hint = "the split metric compares H at one theta, so H must be known on all of Theta"
    return checks.kind(name, state, ChargedSpan, hint=hint)
