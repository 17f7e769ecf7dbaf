"""The risk of a shallow network, as a functional of the measure of its neurons.

``R(mu) = 1/2 sum_m q_m (f_mu(x_m) - f(x_m))^2`` with ``f_mu(x) = int Phi(xi, x) mu(dxi)``: survey (2.5)-(2.6); on a
pair (rho, H), read through its lift, it is the first term of G (2.12)-(2.13).  Here q is the quadrature of D.
The operators of (3.3)-(3.8) are its expansion ``R = 1/2 |f|^2 + int int K dmu dmu + int S dmu``.

With k outputs D is D x {1..k}: features, prices and what else runs over the data are (M k,), all outputs at x_1 first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.energies.base import Evaluation
from jko.energies.curvature import Curvature
from jko.energies.expansion import Expansion
from jko.energies.gauss_newton import COLUMNS, factor, product
from jko.energies.losses import Loss, SquaredLoss
from jko.measures import Particles, State
from jko.measures.state import Lifted
from jko.networks import Block, Data, FeatureMap, Neuron, Outputs, Passes, feature_map

BLOCK = 2**21  # bytes of feature values at a time, so that the passes over a block stay in cache
KEEP = 2**22  # feature values kept between the passes of an evaluation; beyond, recomputed


@dataclass(frozen=True, eq=False)
class Risk(Expansion):
    """``R(mu) = sum_m q_m l(f_mu(x_m), f_m)``, convex in mu; by default ``1/2 sum_m q_m |f_mu(x_m) - f_m|^2``.

    Parameters
    ----------
    data : Data
        Inputs x (M, n), targets f (M,) or (M, k), quadrature weights q (M,).
    activation
        h(theta, x): :class:`jko.Ridge`, :class:`jko.GaussianBump` or a callable (theta (N, d), x (M, n)) -> (N, M);
        then ``Phi(xi, x) = w h(theta, x)`` with xi = (w, theta), and w in R^k for targets (M, k): xi has k + d columns.
    features
        Instead of ``activation``: a general Phi, callable (xi (N, dim), x (M, n)) -> (N, M), or (N, M, k).
    gradient
        The derivative in theta (in xi) of such a callable that is not written in torch, (N, M, d) (or (N, M, dim),
        (N, M, k, dim)).  Both then get tensors of which torch records nothing, and may return arrays (see
        :class:`jko.Potential`).
    loss : Loss
        l(y, f): the squared loss (2.6), the default, or :class:`jko.Logistic` for classes.

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
    loss: Loss
    convex = True
    _bare = 1

    def __init__(
        self,
        data: Data,
        activation: FeatureMap | Callable[[Tensor, Tensor], Any] | None = None,
        features: FeatureMap | Callable[[Tensor, Tensor], Any] | None = None,
        gradient: Callable[[Tensor, Tensor], Any] | None = None,
        loss: Loss | None = None,
    ) -> None:
        checks.kind("data", data, Data, hint="build it by jko.Data(x, f)")
        if (activation is None) == (features is None):
            raise TypeError(
                "Risk needs exactly one of activation=h (then Phi = w h(theta, x)) and features=Phi(xi, x); "
                f"got {'both' if features is not None else 'neither'}"
            )
        loss = SquaredLoss() if loss is None else loss
        checks.kind("loss", loss, Loss, hint="such as jko.Logistic()").check(data.f)
        h = None if activation is None else feature_map("activation", activation, gradient)
        if h is None:
            k = data.k if data.f.ndim == 2 else None
            phi = feature_map("features", features, gradient, outputs=k)
        else:
            phi = Neuron(h) if data.f.ndim == 1 else Outputs(h, data.k)
        for name, value in (("data", data), ("features", phi), ("activation", h), ("loss", loss)):
            object.__setattr__(self, name, value)

    def _facts(self) -> dict[str, Any]:
        h = getattr(self.activation, "sigma", self.activation or self.features)
        loss = {} if self.loss == SquaredLoss() else {"loss": self.loss}
        return {"activation" if self.activation else "features": h} | self.data._facts() | loss

    def predict(self, state: State, x: Any = None) -> Tensor:
        """The network f_mu(x) = int Phi(xi, x) mu(dxi), (M,) or (M, k); default at the data. Source: (2.5), (2.12)."""
        mu, data = self.neurons(state), self.data.x
        x = (
            data
            if x is None
            else checks.shape("x", checks.floats("x", x, data), ("M", self.data.n))
        )
        checks.alike("the points of the state", mu.points, "x", x)
        rows = self._rows(x)
        if self._recorded(mu.points, x, mu.weights):

            def integral(block: Particles) -> Tensor:
                z, m = block.points, block.weights
                if block.has_empty_atoms:  # where features may be infinite
                    return block.integrate(self.features(z, x))
                return self.features.integral(z, x, m)

            return self._shaped(mu.integrate_blocks(integral, rows), x)
        with torch.no_grad(), self.features.passes(x, rows) as passes:
            return self._shaped(_network(mu, passes, rows), x)

    def residual(self, state: State) -> Tensor:
        """r = f_mu - f at the data, shape (M,) or (M, k)."""
        return self.predict(state) - self.data.f

    def prices(self, state: State) -> Tensor:
        """``q_m grad l(f_mu(x_m))``, of the squared loss q r, shape (M k,): the variation is their sum with Phi."""
        return self.prices_of(self.predict(state))

    def prices_of(self, y: Tensor) -> Tensor:
        """The same of outputs y (M,), (M, k) or (M k,) at the data."""
        f, q = self.data.f, self.data.weights
        return self.loss.evaluate(y.view(f.shape), f, q)[1].reshape(-1)

    def divergence(self, y: Tensor, star: Tensor) -> float:
        """``sum_m q_m [l(y) - l(y_*) - l'(y_*)(y - y_*)]`` of outputs; of the squared loss ``|y - y_*|^2 / 2``."""
        return float(self.loss.divergence(y, star, self.data.f, self.data.weights))

    def __call__(self, state: State) -> Tensor:
        """The risk (2.6), a 0-d tensor."""
        return self.loss.total(self.predict(state), self.data.f, self.data.weights)

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """phi(xi) = <grad l, Phi(xi, .)>, of the squared loss <r, Phi(xi, .)>, at (n, dim); (n,). Source: (3.5)."""
        return self.pairing(self.prices(state), state.atoms.points if at is None else at)

    def pairing(self, g: Tensor, at: Tensor) -> Tensor:
        """sum_m g[m] Phi(at, x_m) for g (M k,), shape (n,)."""
        x, rows = self.data.x, self._rows(self.data.x)
        blocks = at.split(rows)
        if self._recorded(at, x, g):
            return torch.cat([self.features.pairing(z, x, g) for z in blocks])
        with torch.no_grad(), self.features.passes(x, rows) as passes:
            return torch.cat([passes.at(z).pairing(g) for z in blocks])

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """The Wasserstein gradient, that of the variation, shape (n, dim). Source: (3.5)."""
        mu, x, rows = self.neurons(state), self.data.x, self._rows(self.data.x)
        if at is None:
            return self.evaluate(mu).gradient
        with torch.no_grad(), self.features.passes(x, rows) as passes:
            g = self.prices(mu)
            return _pulled_back(at, map(passes.at, at.split(rows)), g)[1]

    def evaluate(self, mu: Particles) -> Evaluation:
        """Value, variation and gradient: one pass forward for f_mu, one back for the rest."""
        if self.data.k > 1:
            self.neurons(mu)
        data, rows = self.data, self._rows(self.data.x)
        checks.alike("the points of the state", mu.points, "the data x", data.x)
        keep = len(mu.points) * data.M <= KEEP and not mu.has_empty_atoms
        kept: list[Block] = []
        with torch.no_grad(), self.features.passes(data.x, rows, keep) as passes:
            y = self._shaped(_network(mu, passes, rows, kept if keep else None), data.x)
            value, g = self.loss.evaluate(y, data.f, data.weights)
            blocks = kept or (passes.at(block.points) for block in mu.blocks(rows))
            return Evaluation(value, *_pulled_back(mu.points, blocks, g.reshape(-1)))

    def second_order(self, mu: Particles) -> Curvature:
        """Blocks Hess <grad l, Phi>(xi_i), and the factor ``J_im = sqrt(q_m) grad_xi Phi(xi_i, x_m)``.

        Of a loss whose second derivatives are ``C C^T`` the factor is J C.  Of many outputs it is a product.
        """
        data, many = self.data, self.data.f.numel() > COLUMNS
        with torch.no_grad():
            y = self.predict(mu)
            g, C = self.prices_of(y), self.loss.factor(y, data.f)
            chunks = [block.points for block in mu.blocks(self._rows(data.x))]
            blocks = torch.cat([self.features.hessian(z, data.x, g) for z in chunks])
            if many and isinstance(self.features, Outputs):
                return Curvature(blocks, cross=product(self.features, data, C, mu))
            return Curvature(blocks, factor(self.features, data, C, chunks))

    def _recorded(self, z: Tensor, x: Tensor, by: Tensor) -> bool:
        """Whether torch records: of parameters z, inputs x, numbers by, or what the features themselves read."""
        if not torch.is_grad_enabled():
            return False
        known = z.requires_grad or x.requires_grad or by.requires_grad
        return known or self.features(z[:1].detach(), x).requires_grad

    def neurons(self, state: State) -> Particles:
        """The atoms of a state; refused where they cannot be neurons of k outputs."""
        mu, k = state.atoms, self.data.k
        if k == 1:
            return mu
        if isinstance(state, Lifted):
            raise TypeError(
                f"the Risk has k = {k} outputs, and H of the {type(state).__name__} is a number; take jko.Particles "
                "with points (w_1 ... w_k, theta), or a risk for each column of f"
            )
        if isinstance(self.features, Outputs) and mu.dim < k:
            raise ValueError(
                f"the points have {mu.dim} coordinates and the Risk has k = {k} outputs; neurons are "
                "(w_1 ... w_k, theta): jko.networks.drawn(N, data, generator) draws some"
            )
        return mu

    def _rows(self, x: Tensor) -> int:
        """Atoms in a block; general features are there for each output."""
        whole = self.activation is None
        return _rows(x, self.data.k if whole else 1)

    def _shaped(self, y: Tensor, x: Tensor) -> Tensor:
        """Outputs (M k,) with a row for each input."""
        f = self.data.f
        if f.ndim == 1 and y.shape == x.shape[:1]:
            return y
        if y.numel() != len(x) * self.data.k:
            raise ValueError(
                f"the features have {y.numel() / len(x):g} outputs and f has k = {self.data.k}: give Phi(xi, x) of "
                "shape (N, M, k), as a FeatureMap (N, M k), or activation=h, of which there is one for all outputs"
            )
        return y if f.ndim == 1 else y.view(len(x), -1)


def _rows(x: Tensor, k: int = 1) -> int:
    """Atoms in a block, k features for each input."""
    return max(1, BLOCK // (len(x) * k * x.element_size()))


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
