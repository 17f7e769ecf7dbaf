"""What of G the alternating step takes: a risk of the span's features, lam times the quadratic potential, and rho."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jko.energies import (
    Energy,
    Internal,
    OnTheta,
    Risk,
    SquaredLoss,
    SquaredNorm,
    negative,
    refuse,
    sorted_terms,
)
from jko.energies.base import Sum
from jko.measures import ChargedSpan
from jko.networks import feature_map
from jko.steps.split.held import Charge, HeldFeatures, HeldNorm

OTHER = (
    "a step in the split metric does not take {name} of (H, theta): H stays in the span of H_0 and the features "
    "only for a potential that is quadratic in H. Write Vbar as lam * jko.SquaredNorm() + "
    "jko.energies.OnTheta(jko.Potential(V)) (jko.energies.OnTheta({name}...) is {name} of theta alone); a general Vbar "
    "is integrated by jko.limits.separated"
)
NEGATIVE = (
    "{name} has the coefficient {c:g}; a step in the split metric needs positive ones "
    "(of energies of theta alone, jko.energies.OnTheta(E) may have a negative one)"
)


@dataclass(frozen=True, eq=False)
class SplitTerms:
    """``G = sum_j c_j Risk_j + lam SquaredNorm + energies of rho``.

    Attributes
    ----------
    risks : tuple of (c, Risk)
        All with the features of the span.
    lam : float
        Of the potential ``lam/2 (H^2 + |theta|^2)`` (3.15).
    of_rho : tuple of (c, Energy)
        Energies of the measure rho alone.
    """

    risks: tuple[tuple[float, Risk], ...]
    lam: float
    of_rho: tuple[tuple[float, Energy], ...]

    @classmethod
    def of(cls, energy: Energy, span: ChargedSpan) -> SplitTerms:
        """Those of G, or a sentence why the step does not take one.

        Raises
        ------
        TypeError
            A term of another kind; a risk with general features.
        ValueError
            A risk of other features than those of the span; a negative coefficient.
        """
        terms = sorted_terms(energy)
        refuse(terms.without(OnTheta, Risk, SquaredNorm, Internal), OTHER, TypeError)
        refuse(negative(terms.without(OnTheta)), NEGATIVE)
        for _, risk in terms.risks:
            _check_risk(risk, span)
        of_theta = tuple((c, E.energy) for c, E in terms.of_theta)
        return cls(terms.risks, terms.lam, of_theta + terms.internal)

    def held(self, span: ChargedSpan) -> Energy:
        """``G(., H)`` for the H of the span, an energy of measures on Theta."""
        charge = Charge.of(span)
        parts: list[Energy] = []
        for c, risk in self.risks:
            own = replace(
                charge, x=risk.data.x
            )  # the data of the span: h need not be evaluated twice
            parts.append(c * Risk(risk.data, features=HeldFeatures(own)))
        parts += [c * E for c, E in self.of_rho]
        if self.lam or not parts:
            parts.append(self.lam * HeldNorm(charge))
        return Sum(tuple(parts))

    def prices(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Quadrature q and targets f, (M,) each: all risks are ``1/2 |int H h drho - f|_q^2`` and a constant."""
        data = [(c, risk.data) for c, risk in self.risks]
        q = sum((c * D.weights for c, D in data), torch.zeros_like(like))
        qf = sum((c * D.weights * D.values for c, D in data), torch.zeros_like(like))
        return q, qf / q if self.risks else torch.zeros_like(like)


def _check_risk(risk: Risk, span: ChargedSpan) -> None:
    if not isinstance(risk.loss, SquaredLoss):
        raise ValueError(
            f"the loss of the Risk is {type(risk.loss).__name__}, and the step of H in closed form is that of the "
            "squared loss: take particles, jko.ChargedParticles(theta, H), which move by any"
        )
    if risk.data.k > 1:
        raise ValueError(
            f"the Risk has k = {risk.data.k} outputs, and H of a ChargedSpan is a number; take jko.Particles with "
            "points (w_1 ... w_k, theta), or a risk for each column of f"
        )
    build = "build the state by jko.ChargedSpan(rho, H0, risk.activation, risk.data.x)"
    if risk.activation is None:
        raise TypeError(
            "the Risk has general features Phi(xi, x); a pair whose H is in the span of the features needs "
            "Phi = H(theta) h(theta, x): jko.Risk(data, activation=h)"
        )
    if risk.activation != feature_map("h", span.h):
        raise ValueError(
            f"the activation of the Risk is {risk.activation!r} but the h of the ChargedSpan is {span.h!r}; H moves in "
            f"the span of the risk's features: {build}"
        )
    x = risk.data.x
    if x.shape != span.x.shape or not bool((x == span.x).all()):
        raise ValueError(
            f"the data of the Risk (M = {len(x)}) and the x of the ChargedSpan (M = {len(span.x)}) differ; H moves in "
            f"the span of the features of the data: {build}"
        )
