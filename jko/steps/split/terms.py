"""What of G the alternating step takes: a risk of the span's features, lam times the quadratic potential, and rho."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.energies import Energy, Internal, OnTheta, Risk, SquaredNorm
from jko.energies.base import Sum
from jko.measures import ChargedSpan
from jko.networks import Data, feature_map
from jko.steps.split.held import Charge, HeldFeatures, HeldNorm


@dataclass(frozen=True, eq=False)
class Terms:
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

    def held(self, span: ChargedSpan) -> Energy:
        """``G(., H)`` for the H of the span, an energy of measures on Theta."""
        charge = Charge.of(span)
        features = HeldFeatures(charge)
        parts = [c * Risk(_with(risk.data, span.x), features=features) for c, risk in self.risks]
        parts += [c * E for c, E in self.of_rho]
        if self.lam or not parts:
            parts.append(self.lam * HeldNorm(charge))
        return Sum(tuple(parts))

    def prices(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Quadrature q and targets f, (M,) each: all risks are ``1/2 |int H h drho - f|_q^2`` and a constant."""
        q = sum((c * risk.data.weights for c, risk in self.risks), torch.zeros_like(like))
        qf = sum(
            (c * risk.data.weights * risk.data.f for c, risk in self.risks), torch.zeros_like(like)
        )
        return q, qf / q if self.risks else torch.zeros_like(like)


def _with(data: Data, x: Tensor) -> Data:
    """The data with x the very tensor of the span, so that h(theta, x) need not be evaluated twice."""
    same = object.__new__(Data)
    for name, value in (("x", x), ("f", data.f), ("weights", data.weights)):
        object.__setattr__(same, name, value)
    return same


def sort_terms(energy: Energy, span: ChargedSpan) -> Terms:
    """Sort the terms of G, or say in a sentence why the step does not take one.

    Raises
    ------
    TypeError
        A term of another kind; a risk with general features.
    ValueError
        A risk of other features than those of the span; a negative coefficient.
    """
    risks: list[tuple[float, Risk]] = []
    of_rho: list[tuple[float, Energy]] = []
    lam = 0.0
    for c, E in energy.terms:
        if c == 0:
            continue
        if isinstance(E, OnTheta):
            of_rho.append((c, E.energy))
            continue
        if not isinstance(E, (Risk, SquaredNorm, Internal)):
            raise TypeError(_other(E))
        if c < 0:
            raise ValueError(
                f"{type(E).__name__} has the coefficient {c:g}; a step in the split metric needs positive ones "
                "(of energies of theta alone, jko.OnTheta(E) may have a negative one)"
            )
        if isinstance(E, Risk):
            _check_risk(E, span)
            risks.append((c, E))
        elif isinstance(E, SquaredNorm):
            lam += c
        else:
            of_rho.append((c, E))
    return Terms(tuple(risks), lam, tuple(of_rho))


def _other(E: Energy) -> str:
    name = type(E).__name__
    return (
        f"a step in the split metric does not take {name} of (H, theta): H stays in the span of H_0 and the features "
        "only for a potential that is quadratic in H. Write Vbar as lam * jko.SquaredNorm() + "
        f"jko.OnTheta(jko.Potential(V)) (jko.OnTheta({name}...) is {name} of theta alone); a general Vbar is "
        "integrated by jko.limits.separated"
    )


def _check_risk(risk: Risk, span: ChargedSpan) -> None:
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
