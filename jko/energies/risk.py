"""The risk of a shallow network, as a functional of the measure of its neurons.

``R(mu) = 1/2 sum_m q_m (f_mu(x_m) - f(x_m))^2`` with ``f_mu(x) = int Phi(xi, x) mu(dxi)``: survey (2.5)-(2.6); on a
pair (rho, H), read through its lift, it is the first term of G (2.12)-(2.13).  Here q is the quadrature of D.
The operators of (3.3)-(3.8) are its expansion ``R = 1/2 |f|^2 + int int K dmu dmu + int S dmu``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.energies.base import Curvature, Energy, Evaluation
from jko.measures import Particles, State
from jko.networks import Data, FeatureMap, Neuron, Pullback, feature_map

BLOCK = 2**17  # feature values at a time: 1 MiB, so that the passes over a block stay in cache
KEEP = 2**27  # feature values kept between passes of an evaluation: 1 GiB; beyond, recomputed


@dataclass(frozen=True, eq=False)
class Risk(Energy):
    """``R(mu) = 1/2 sum_m q_m (f_mu(x_m) - f_m)^2``, convex in mu.

    Parameters
    ----------
    data : Data
        Inputs x (M, n), targets f (M,), quadrature weights q (M,).
    activation
        h(theta, x): :class:`jko.Ridge`, :class:`jko.GaussianBump` or a callable (theta (N, d), x (M, n)) -> (N, M);
        then ``Phi(xi, x) = w h(theta, x)`` with xi = (w, theta).
    features
        Instead of ``activation``: a general Phi, callable (xi (N, dim), x (M, n)) -> (N, M).
    gradient
        The derivative in theta (in xi) of such a callable that is not written in torch, (N, M, d) (or (N, M, dim)).
        Both then get tensors of which torch records nothing, and may return arrays (see :class:`jko.Potential`).

    Notes
    -----
    Source: survey (2.6), (2.12), (3.3).  Features are evaluated in blocks of atoms, so memory stays bounded
    whatever N times M is.

    Examples
    --------
    >>> import jko, torch
    >>> data = jko.Data([[0.0], [1.0]], [1.0, 1.0])
    >>> R = jko.Risk(data, activation=jko.Ridge(torch.tanh))
    >>> float(R(jko.Particles([[0.0, 0.0, 0.0]])))
    0.5
    """

    data: Data
    features: FeatureMap
    activation: FeatureMap | None
    convex = True

    def __init__(
        self,
        data: Data,
        activation: FeatureMap | Callable[[Tensor, Tensor], Any] | None = None,
        features: FeatureMap | Callable[[Tensor, Tensor], Any] | None = None,
        gradient: Callable[[Tensor, Tensor], Any] | None = None,
    ) -> None:
        checks.kind("data", data, Data, hint="build it by jko.Data(x, f)")
        if (activation is None) == (features is None):
            raise TypeError(
                "Risk needs exactly one of activation=h (then Phi = w h(theta, x)) and features=Phi(xi, x); "
                f"got {'both' if features is not None else 'neither'}"
            )
        h = None if activation is None else feature_map("activation", activation, gradient)
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "activation", h)
        phi = Neuron(h) if h else feature_map("features", features, gradient)
        object.__setattr__(self, "features", phi)

    def predict(self, state: State, x: Any = None) -> Tensor:
        """The network f_mu(x) = int Phi(xi, x) mu(dxi), shape (M,); default at the data. Source: (2.5), (2.12)."""
        mu = state.atoms
        data = self.data.x
        x = (
            data
            if x is None
            else checks.shape("x", checks.floats("x", x, data), ("M", self.data.n))
        )
        checks.alike("the points of the state", mu.points, "x", x)
        return mu.integrate_blocks(
            lambda block: block.integrate(self.features(block.points, x)), _rows(len(x))
        )

    def residual(self, state: State) -> Tensor:
        """r = f_mu - f at the data, shape (M,)."""
        return self.predict(state) - self.data.f

    def __call__(self, state: State) -> Tensor:
        """The risk (2.6), a 0-d tensor."""
        r = self.residual(state)
        return 0.5 * (self.data.weights * r * r).sum()

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """phi(xi) = <r, Phi(xi, .)> at the points ``at`` (n, dim), shape (n,). Source: (3.5)."""
        g = self.data.weights * self.residual(state)
        return self.pairing(g, state.atoms.points if at is None else at)

    def pairing(self, g: Tensor, at: Tensor) -> Tensor:
        """sum_m g[m] Phi(at, x_m), shape (n,)."""
        rows = _rows(self.data.M)
        return torch.cat([self.features(z, self.data.x) @ g for z in at.split(rows)])

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """The Wasserstein gradient grad <r, Phi(xi, .)>, shape (n, dim). Source: (3.5)."""
        mu = state.atoms
        if at is None:
            return self.evaluate(mu).gradient
        with torch.no_grad():
            g = self.data.weights * self.residual(mu)
            return self._pull_back(g, at.split(_rows(self.data.M)))[1]

    def evaluate(self, mu: Particles) -> Evaluation:
        """Value, variation and gradient: one pass forward for f_mu, one back for the rest."""
        data, rows = self.data, _rows(self.data.M)
        checks.alike("the points of the state", mu.points, "the data x", data.x)
        keep = mu.N * data.M <= KEEP
        pulls: list[Pullback] = []

        def forward(block: Particles) -> Tensor:
            values, pull = self.features.linearise(block.points, data.x)
            if keep:
                pulls.append(pull)
            return block.integrate(values)

        with torch.no_grad():
            r = mu.integrate_blocks(forward, rows) - data.f
            g = data.weights * r
            blocks = [block.points for block in mu.blocks(rows)]
            return Evaluation(0.5 * (g @ r), *self._pull_back(g, blocks, pulls))

    def _pull_back(
        self, g: Tensor, blocks: Sequence[Tensor], pulls: Sequence[Pullback] = ()
    ) -> tuple[Tensor, Tensor]:
        """sum_m g[m] Phi(., x_m) and its gradient at blocks of points, from pullbacks kept or made again.

        Blocks are written into place: small results kept between large temporaries would tear the heap.
        """
        sizes = [len(points) for points in blocks]
        variation = g.new_empty(sum(sizes))
        gradient = g.new_empty(sum(sizes), blocks[0].shape[1])
        split = (variation.split(sizes), gradient.split(sizes))
        for k, (points, *into) in enumerate(zip(blocks, *split, strict=True)):
            pull = pulls[k] if pulls else self.features.linearise(points, self.data.x)[1]
            for target, result in zip(into, pull(g), strict=True):
                target.copy_(result)
        return variation, gradient

    def second_order(self, mu: Particles) -> Curvature:
        """Blocks Hess <r, Phi>(xi_i) and the factor J_im = sqrt(q_m) grad_xi Phi(xi_i, x_m)."""
        q = self.data.weights
        with torch.no_grad():
            g = q * self.residual(mu)
            chunks = mu.points.split(_rows(self.data.M))
            blocks = torch.cat([self.features.hessian(z, self.data.x, g) for z in chunks])
            factor = torch.cat([self.features.jacobian(z, self.data.x) for z in chunks])
            return Curvature(blocks, factor.mul_(q.sqrt()[:, None]).transpose(1, 2).contiguous())

    # The operators of the expansion (3.3), and their twins on Theta (3.13)

    def K(self, xi: Tensor, other: Tensor) -> Tensor:
        """K(xi, xi') = 1/2 int_D Phi(xi, x) Phi(xi', x) dx, shape (a, b). Source: (3.4)."""
        return _kernel(self.features, self.data, xi, other)

    def S(self, xi: Tensor) -> Tensor:
        """S(xi) = - int_D Phi(xi, x) f(x) dx, shape (a,). Source: (3.4)."""
        return -(self.features(xi, self.data.x) @ (self.data.weights * self.data.f))

    def L(self, state: State, xi: Tensor) -> Tensor:
        """L(mu)(xi) = 2 int K(xi, xi') mu(dxi'), shape (a,). Source: (3.8).

        As printed, footnote 8 has int L(mu) dmu = 1/2 |f_mu|^2; as computed from (3.4) it is |f_mu|^2.
        """
        return self.pairing(self.data.weights * self.predict(state), xi)

    def Kbar(self, theta: Tensor, other: Tensor) -> Tensor:
        """Kbar(theta, theta') = 1/2 int_D h(theta, x) h(theta', x) dx, shape (a, b). Source: (3.14)."""
        return _kernel(self._h, self.data, theta, other)

    def Sbar(self, theta: Tensor) -> Tensor:
        """Sbar(theta) = - int_D h(theta, x) f(x) dx, shape (a,). Source: (3.14)."""
        return -(self._h(theta, self.data.x) @ (self.data.weights * self.data.f))

    def Lbar(self, state: State, theta: Tensor) -> Tensor:
        """Lbar(rho, H)(theta) = 2 int Kbar(theta, theta') H(theta') rho(dtheta'), shape (a,). Source: (3.18)."""
        return self._h(theta, self.data.x) @ (self.data.weights * self.predict(state))

    @property
    def _h(self) -> FeatureMap:
        if self.activation is None:
            raise TypeError(
                "this Risk has general features Phi(xi, x); Kbar, Sbar and Lbar need activation=h(theta, x)"
            )
        return self.activation


def _kernel(phi: FeatureMap, data: Data, a: Tensor, b: Tensor) -> Tensor:
    return 0.5 * (phi(a, data.x) * data.weights) @ phi(b, data.x).T


def _rows(M: int) -> int:
    """Atoms in a block."""
    return max(1, math.ceil(BLOCK / M))
