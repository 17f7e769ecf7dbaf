"""The minorant of an energy: what convexity says about *every* measure from one function phi_g.

With one vector g of "prices", one number for each data point,

``E(nu) >= constant - |g|_q^2 / 2 - <g, f>_q + int phi_g dnu    for every nu``,    phi_g = <g, Phi>_q + V

because ``|a|^2 / 2 >= <g, a> - |g|^2 / 2`` with a = f_nu - f; equality at nu where g is the residual f_nu - f.  Of
another loss the same holds with its conjugate for ``|g|^2 / 2 + <g, f>``, and equality where g is its slope.  Terms
of E that are linear in nu are in V as they are; other convex terms enter V by their first variation at a reference
measure, and the constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from jko.duality.fit import Fit
from jko.energies import Energy, Linear, Risk, SortedTerms, SquaredNorm, negative, sorted_terms
from jko.measures import Particles
from jko.networks import FeatureMap, Pullback


def obstacle(energy: Energy) -> str | None:
    """Why the energy has no minorant of this form; None where it has one.

    Examples
    --------
    >>> import jko
    >>> jko.duality.obstacle(jko.SquaredNorm()) is None
    True
    """
    terms = sorted_terms(energy).without(Linear)
    for _, E in terms:
        if not E.convex:
            return (
                f"{type(E).__name__} is not declared convex in the measure, so its linearisation bounds nothing; "
                "declare convex=True if it is"
            )
    for _, R in sorted_terms(energy).risks:
        if not R.loss.has_conjugate:
            return f"{type(R.loss).__name__} has no conjugate(g, f) and answer(g, f), so no bound is known for its risk"
    for c, E in negative(terms):
        return f"{type(E).__name__} has the coefficient {c:g} < 0, so the energy is not convex in the measure"
    return None


@dataclass(frozen=True, eq=False)
class Minorant:
    """phi_g and its derivatives, for the energy of one state.

    Attributes
    ----------
    fit
        The risk terms c_j R_j; data of all of them stand one after the other, M in all, k numbers for each.
    others
        The terms in V.
    reference : Particles
        Where terms that are neither risks nor linear are linearised.
    constant : float
        What the linearised terms leave behind: ``sum c E(reference) - int c dE/dmu dreference``.
    residual : (M,)
        The residual ``f_mu - f`` of the reference, of another loss its slope: the g at which the minorant touches.

    Examples
    --------
    >>> import jko, torch
    >>> F = jko.Risk(jko.Data([[1.0]], [1.0]), activation=jko.Ridge(torch.tanh))
    >>> mu = jko.Particles([[0.5, 0.5, 0.0]])
    >>> jko.optimality(F + jko.SquaredNorm(), mu).lower_bound <= float((F + jko.SquaredNorm())(mu))
    True
    """

    fit: Fit
    others: SortedTerms
    reference: Particles
    constant: float
    residual: Tensor

    @classmethod
    def of(cls, energy: Energy, mu: Particles) -> Minorant:
        """The minorant that touches ``energy`` at ``mu``; ``obstacle(energy)`` must be None."""
        mu.refuse_part("a lower bound over all measures")
        terms = sorted_terms(energy)
        others = SortedTerms(terms.without(Risk))
        fit = Fit(terms.risks, mu.points.new_zeros(0))
        with torch.no_grad():
            constant = sum(
                c * float(E(mu) - mu.integrate(E.variation(mu))) for c, E in others.without(Linear)
            )
            return cls(fit, others, mu, constant, fit.slope(fit.outputs(mu)))

    @property
    def risks(self) -> tuple[Risk, ...]:
        """The risks."""
        return tuple(R for _, R in self.fit.terms)

    @property
    def q(self) -> Tensor:
        """Quadrature weights, with the coefficients c_j in them, (M,)."""
        return self.fit.q

    @property
    def f(self) -> Tensor:
        """Targets, (M,)."""
        return self.fit.f

    def concave_part(self, g: Tensor) -> float:
        """``constant - |g|_q^2 / 2 - <g, f>_q``, of another loss constant less its conjugate."""
        return self.constant - self.fit.conjugate(g)

    @property
    def exact(self) -> bool:
        """Whether no term is linearised, so that the minorant touches E at every measure."""
        return not self.others.without(Linear)

    def excess(self, nu: Particles) -> float:
        """How far the terms that are linearised lie above their linearisation at ``nu``, >= 0."""
        with torch.no_grad():
            above = (
                c * float(E(nu) - nu.integrate(E.variation(self.reference, nu.points)))
                for c, E in self.others.without(Linear)
            )
            return sum(above) - self.constant

    @property
    def lam(self) -> float | None:
        """The number with ``V = lam |xi|^2 / 2``; None where V is of another kind."""
        return None if self.others.without(SquaredNorm) else self.others.lam

    @property
    def width(self) -> int:
        """The number of outputs, at most."""
        return max((R.data.k for R in self.risks), default=1)

    @property
    def activations(self) -> tuple[FeatureMap, ...] | None:
        """The h of every risk, so that ``<g, Phi> = w . c_g(theta)``; None if there is a risk without, or no risk."""
        found = [risk.activation for risk in self.risks if risk.data.k == self.width]
        known = tuple(h for h in found if h is not None)
        return known if known and len(known) == len(self.risks) else None

    def charge(self, g: Tensor, theta: Tensor) -> Tensor:
        """c_g(theta) = <g, h(theta, .)>_q, shape (b,), of several outputs (b, k), where there are activations."""
        assert self.activations is not None
        parts = zip(self.activations, self.risks, self.charges(g), strict=True)
        charges = (h(theta, risk.data.x) @ part for h, risk, part in parts)
        return reduce(torch.add, charges)

    def charges(self, g: Tensor) -> tuple[Tensor, ...]:
        """q g of each risk, (M,), of several outputs with a row for each data point, (M, k)."""
        pieces, k = self.prices(g), self.width
        return pieces if k == 1 else tuple(piece.view(-1, k) for piece in pieces)

    def features(self, z: Tensor) -> Tensor:
        """Phi(z, x_m), shape (b, M)."""
        with torch.no_grad():
            return torch.cat(
                [z[:, :0], *(risk.features(z, risk.data.x) for risk in self.risks)], dim=1
            )

    def jacobian(self, z: Tensor) -> Tensor:
        """grad_z Phi(z, x_m), shape (b, M, dim)."""
        with torch.no_grad():
            return torch.cat(
                [
                    z[:, None, :][:, :0],
                    *(risk.features.jacobian(z, risk.data.x) for risk in self.risks),
                ],
                dim=1,
            )

    def potential(self, z: Tensor) -> Tensor:
        """V(z), shape (b,)."""
        with torch.no_grad():
            return sum(
                (c * E.variation(self.reference, z) for c, E in self.others.all),
                torch.zeros_like(z[:, 0]),
            )

    def value(self, g: Tensor, z: Tensor) -> Tensor:
        """phi_g(z), shape (b,)."""
        with torch.no_grad():
            pairs = zip(self.risks, self.prices(g), strict=True)
            return sum((risk.pairing(part, z) for risk, part in pairs), self.potential(z))

    def slope(self, g: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """phi_g(z) and its gradient, shapes (b,) and (b, dim)."""
        with torch.no_grad():
            value = self.potential(z)
            gradient = sum(
                (c * E.gradient(self.reference, z) for c, E in self.others.all), torch.zeros_like(z)
            )
            for risk, part in zip(self.risks, self.prices(g), strict=True):
                pull: Pullback = risk.features.linearise(z, risk.data.x)[1]
                v, d = pull(part)
                value, gradient = value + v, gradient + d
        return value, gradient

    def hessian(self, g: Tensor, z: Tensor) -> Tensor:
        """Second derivatives of phi_g, shape (b, dim, dim)."""
        total = torch.zeros(*z.shape, z.shape[1], dtype=z.dtype, device=z.device)
        with torch.no_grad():
            for risk, part in zip(self.risks, self.prices(g), strict=True):
                total += risk.features.hessian(z, risk.data.x, part)
        if self.lam is not None:
            total.diagonal(dim1=1, dim2=2).add_(self.lam)
            return total
        return total + sum(
            (c * E.hessian(self.reference, z) for c, E in self.others.all), torch.zeros_like(total)
        )

    def prices(self, g: Tensor) -> tuple[Tensor, ...]:
        """q g, in the pieces that belong to the risks."""
        sizes = [risk.data.f.numel() for risk in self.risks]
        return torch.split(self.q * g, sizes) if self.risks else ()
