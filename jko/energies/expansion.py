"""The expansion ``R = 1/2 |f|^2 + int int K dmu dmu + int S dmu`` of a risk (3.3), and its twin on Theta (3.13)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from jko.energies.base import Energy
from jko.energies.losses import Loss, SquaredLoss
from jko.measures import State
from jko.networks import Data, FeatureMap


class Expansion(Energy):
    """The operators of the squared loss."""

    data: Data
    features: FeatureMap
    activation: FeatureMap | None
    loss: Loss

    @abstractmethod
    def predict(self, state: State, x: Any = None) -> Tensor:
        """The network f_mu."""

    @abstractmethod
    def pairing(self, g: Tensor, at: Tensor) -> Tensor:
        """sum_m g[m] Phi(at, x_m)."""

    def K(self, xi: Tensor, other: Tensor) -> Tensor:
        """K(xi, xi') = 1/2 int_D Phi(xi, x) Phi(xi', x) dx, shape (a, b). Source: (3.4)."""
        self._refuse_curved("K")
        a, b = (self.features(z, self.data.x) for z in (xi, other))
        return 0.5 * (a * self.data.quadrature) @ b.T

    def S(self, xi: Tensor) -> Tensor:
        """S(xi) = - int_D Phi(xi, x) f(x) dx, shape (a,). Source: (3.4)."""
        self._refuse_curved("S")
        return -(self.features(xi, self.data.x) @ (self.data.quadrature * self.data.values))

    def L(self, state: State, xi: Tensor) -> Tensor:
        """L(mu)(xi) = 2 int K(xi, xi') mu(dxi'), shape (a,). Source: (3.8).

        As printed, footnote 8 has int L(mu) dmu = 1/2 |f_mu|^2; as computed from (3.4) it is |f_mu|^2.
        """
        self._refuse_curved("L")
        return self.pairing(self.data.quadrature * self.predict(state).reshape(-1), xi)

    def Kbar(self, theta: Tensor, other: Tensor) -> Tensor:
        """Kbar(theta, theta') = 1/2 int_D h(theta, x) h(theta', x) dx, shape (a, b). Source: (3.14)."""
        h, x = self._h("Kbar"), self.data.x
        return 0.5 * (h(theta, x) * self.data.weights) @ h(other, x).T

    def Sbar(self, theta: Tensor) -> Tensor:
        """Sbar(theta) = - int_D h(theta, x) f(x) dx, shape (a,) or (a, k). Source: (3.14)."""
        return -(self._h("Sbar")(theta, self.data.x) @ self._weighted(self.data.f))

    def Lbar(self, state: State, theta: Tensor) -> Tensor:
        """Lbar(rho, H)(theta) = 2 int Kbar(theta, theta') H(theta') rho(dtheta'), (a,) or (a, k). Source: (3.18)."""
        return self._h("Lbar")(theta, self.data.x) @ self._weighted(self.predict(state))

    def _weighted(self, y: Tensor) -> Tensor:
        q = self.data.weights
        return q * y if y.ndim == 1 else q[:, None] * y

    def _refuse_curved(self, name: str) -> None:
        if not isinstance(self.loss, SquaredLoss):
            raise TypeError(
                f"{name} belongs to the expansion (3.3), which the squared loss has and {type(self.loss).__name__} has "
                "not; variation(state, xi) is the first variation of this risk"
            )

    def _h(self, name: str) -> FeatureMap:
        self._refuse_curved(name)
        if self.activation is None:
            raise TypeError(
                "this Risk has general features Phi(xi, x); Kbar, Sbar and Lbar need activation=h(theta, x)"
            )
        return self.activation
