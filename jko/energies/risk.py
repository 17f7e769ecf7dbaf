"""The risk of a shallow network, as a functional of the measure of its neurons.

``R(mu) = 1/2 sum_m q_m (f_mu(x_m) - f(x_m))^2`` with ``f_mu(x) = int Phi(xi, x) mu(dxi)``: survey (2.5)-(2.6); on a
pair (rho, H), read through its lift, it is the first term of G (2.12)-(2.13).  Here q is the quadrature of D.
The operators of (3.3)-(3.8) are its expansion ``R = 1/2 |f|^2 + int int K dmu dmu + int S dmu``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.energies.base import Curvature, Energy, Evaluation
from jko.measures import Particles, State
from jko.networks import Block, Data, FeatureMap, Neuron, Passes, feature_map
from jko.shown import joined, short

BLOCK = 2**21  # bytes of feature values at a time, so that the passes over a block stay in cache
KEEP = 2**22  # feature values kept between the passes of an evaluation; beyond, recomputed


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
    whatever N times M is.  Data and states have one dtype, in which all is computed: float32 takes half the time and
    memory of float64, and its sums are exact to about 1e-7.

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

    def _facts(self) -> dict[str, Any]:
        h = self.features if self.activation is None else self.activation
        return {"features" if self.activation is None else "activation": h} | self.data._facts()

    def _line(self) -> str:
        h = getattr(self.activation, "sigma", self.activation or self.features)
        data = (f"{name}={value}" for name, value in self.data._facts().items())
        return joined("Risk(", [short(h), *data])

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
        if _recorded(mu.points, mu.weights, x):
            return mu.integrate_blocks(
                lambda block: block.integrate(self.features(block.points, x)), _rows(x)
            )
        with torch.no_grad(), self.features.passes(x, _rows(x)) as passes:
            return _network(mu, passes, _rows(x))

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
        x = self.data.x
        blocks = at.split(_rows(x))
        if _recorded(g, at):
            return torch.cat([self.features(z, x) @ g for z in blocks])
        with torch.no_grad(), self.features.passes(x, _rows(x)) as passes:
            return torch.cat([passes.at(z).pairing(g) for z in blocks])

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """The Wasserstein gradient grad <r, Phi(xi, .)>, shape (n, dim). Source: (3.5)."""
        mu, x = state.atoms, self.data.x
        if at is None:
            return self.evaluate(mu).gradient
        with torch.no_grad(), self.features.passes(x, _rows(x)) as passes:
            g = self.data.weights * self.residual(mu)
            return _pulled_back(at, map(passes.at, at.split(_rows(x))), g)[1]

    def evaluate(self, mu: Particles) -> Evaluation:
        """Value, variation and gradient: one pass forward for f_mu, one back for the rest."""
        data, rows = self.data, _rows(self.data.x)
        checks.alike("the points of the state", mu.points, "the data x", data.x)
        keep = len(mu.points) * data.M <= KEEP and not mu.has_empty_atoms
        kept: list[Block] = []
        with torch.no_grad(), self.features.passes(data.x, rows, keep) as passes:
            r = _network(mu, passes, rows, kept if keep else None) - data.f
            g = data.weights * r
            blocks = kept or (passes.at(block.points) for block in mu.blocks(rows))
            return Evaluation(0.5 * (g @ r), *_pulled_back(mu.points, blocks, g))

    def second_order(self, mu: Particles) -> Curvature:
        """Blocks Hess <r, Phi>(xi_i) and the factor J_im = sqrt(q_m) grad_xi Phi(xi_i, x_m)."""
        q = self.data.weights
        with torch.no_grad():
            g = q * self.residual(mu)
            chunks = [block.points for block in mu.blocks(_rows(self.data.x))]
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


def _rows(x: Tensor) -> int:
    """Atoms in a block."""
    return max(1, BLOCK // (len(x) * x.element_size()))


def _recorded(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def _network(mu: Particles, passes: Passes, rows: int, kept: list[Block] | None = None) -> Tensor:
    """int Phi(xi, x) dmu block by block, which are ``kept``; where there is no mass features may be infinite."""
    some_empty = mu.has_empty_atoms

    def integral(block: Particles) -> Tensor:
        points, weights = block.points, block.weights
        if some_empty:
            points, weights = points[weights > 0], weights[weights > 0]
        features = passes.at(points)
        if kept is not None:
            kept.append(features)
        return features.integral(weights)

    return mu.integrate_blocks(integral, rows)


def _pulled_back(at: Tensor, blocks: Iterable[Block], g: Tensor) -> tuple[Tensor, Tensor]:
    """sum_m g[m] Phi(., x_m) and its gradient at the points, of which ``blocks`` are the features."""
    variation, gradient, start = at.new_empty(len(at)), torch.empty_like(at), 0
    for block in blocks:
        here = 0, start, len(block)
        block.pull_back(g, variation.narrow(*here), gradient.narrow(*here))
        start += len(block)
    return variation, gradient
