"""The step of H in L2(rho), rho held: quadratic, so in closed form.

With c = (-b, alpha) the coefficients of H and ``r = int H_+ h drho - f``, the minimiser of
``G(rho, H) + |H - H_k|^2 / (2 tau)`` is ``H_+ = (H_k - tau sum_m q_m r_m h(., x_m)) / (1 + tau lam)``, where

``(1 + tau/(1 + tau lam) K q) r = int H_k h drho / (1 + tau lam) - f``,    ``K = int h h^T drho``.

Source: survey (3.19), of which this is the implicit Euler step of the second line.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jko.measures import ChargedSpan, Particles
from jko.measures.span import Measure
from jko.steps.split.held import BLOCK
from jko.steps.split.terms import SplitTerms


@dataclass(frozen=True, eq=False)
class Charged:
    """One step of H.

    Attributes
    ----------
    start : ChargedSpan
        With H_k.
    rho : Particles, LineMesh or GridDensity
        The measure of the step.
    increment : (M + 1,)
        The coefficients of H_+ - H_k: of the features, then of H0.
    gram : (M + 1, M + 1)
        Inner products of the features and H0 in L2(rho).
    residual : float
        The L2(rho) norm of ``dG/dH + (H_+ - H_k) / tau``.
    """

    start: ChargedSpan
    rho: Measure
    increment: Tensor
    gram: Tensor
    residual: float

    def reach(self, ratio: float = 1.0) -> ChargedSpan:
        """(rho, H_k + ratio (H_+ - H_k))."""
        c = coefficients(self.start) + ratio * self.increment
        old = self.start
        return ChargedSpan(self.rho, old.H0, old.h, old.x, float(c[-1]), -c[:-1])

    def square(self, c: Tensor) -> float:
        """The squared norm in L2(rho) of the function with coefficients c."""
        return max(float(c @ self.gram @ c), 0.0)

    @property
    def finite(self) -> bool:
        """Whether H_+ is a number at every atom that holds mass."""
        return bool(torch.isfinite(self.increment).all())


def coefficients(span: ChargedSpan) -> Tensor:
    """(-b, alpha): H is their product with (h(., x_1), ..., h(., x_M), H0)."""
    return torch.cat([-span.b, span.b.new_full((1,), span.alpha)])


def gram(rho: Measure, span: ChargedSpan) -> Tensor:
    """``int v v^T drho`` of v = (h(., x_1), ..., h(., x_M), H0), shape (M + 1, M + 1)."""

    def block(part: Particles) -> Tensor:
        theta, m = part.points[part.weights > 0], part.weights[part.weights > 0]
        v = torch.cat([span.h(theta, span.x), span.H0(theta)[:, None]], dim=1)
        return (v * m[:, None]).T @ v

    rows = max(1, BLOCK // (len(span.x) + 1))
    with torch.no_grad():
        return rho.atoms.integrate_blocks(block, rows)


def charge_step(rho: Measure, span: ChargedSpan, terms: SplitTerms, tau: float) -> Charged:
    """The minimiser of ``G(rho, H) + |H - H_k|^2_{L2(rho)} / (2 tau)`` over H, with H_k that of the span."""
    c, G = coefficients(span), gram(rho, span)
    q, f = terms.prices(span.b)
    K, damp = G[:-1, :-1], 1 + tau * terms.lam
    right = G[:-1] @ c / damp - f
    r = _solve(tau / damp * K, q, right)
    pull = torch.cat([q * r, r.new_zeros(1)])
    increment = -tau / damp * (terms.lam * c + pull)
    left = q * (G[:-1] @ (c + increment) - f - r)
    return Charged(span, rho, increment, G, max(float(left @ K @ left), 0.0) ** 0.5)


def _solve(K: Tensor, q: Tensor, right: Tensor) -> Tensor:
    """``(1 + K q) r = right`` by Cholesky: with s = sqrt(q), s r solves the symmetric ``1 + s K s``; NaN if K is."""
    if not bool(torch.isfinite(K).all()):
        return torch.full_like(right, torch.nan)
    s = q.sqrt()
    system = s[:, None] * K * s
    system.diagonal().add_(1)
    root = torch.linalg.cholesky(system)
    return right - K @ (s * torch.cholesky_solve((s * right)[:, None], root)[:, 0])
