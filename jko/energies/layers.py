"""The risk of a network with two hidden layers, as a functional of a measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import Differentiable, leaf, recording, slope
from jko.energies.base import Energy
from jko.measures import Particles, State
from jko.networks import Data


@dataclass(frozen=True, eq=False, init=False)
class TwoLayerRisk(Energy):
    """``1/2 sum_m q_m (f(x_m) - f_m)^2`` for ``f(x) = (1/N2) sum_j w_j sigma(int b_j sigma(theta . x) dnu)``.

    An atom of nu is a neuron of the first layer, ``(theta, b, w)`` in R^n x R^N2 x R^N2: its inner weights theta, its
    connections b_j to the N2 neurons of the second layer, and a copy of their outer weights; ``w_j = int w_j dnu``.
    Copies that start equal stay equal, and then W2 of nu is the distance of the product of both layers:
    ``int |d theta|^2 + |d b|^2 dnu + |d w|^2``.  So a JKO step in W2 is one in the product.

    The limit N1 -> infinity is taken, that of N2 is not: there the survey leaves the form of the functional open.  It
    is not convex in nu.

    The mean over the N2 neurons is in the value, not in W2: there the velocities of w and b are of order 1/N2, that of
    theta is not, and the second layer freezes as N2 grows.  The product metric with the same means,
    ``int |d theta|^2 + (1/N2) |d b|^2 dnu + (1/N2) |d w|^2``, is the one to flow in: all layers keep their speeds, and
    flows for different N2 are flows of one problem.  Pass ``metric=jko.metrics.ScaledWasserstein.two_layers(n, N2)`` to
    :func:`jko.step` and :func:`jko.flow`.

    Parameters
    ----------
    data : Data
        Inputs x (M, n) and targets (M,).
    N2 : int
        Neurons of the second layer; points of nu have dimension ``n + 2 N2``.
    sigma : callable
        An elementwise torch function.
    gradient : callable, optional
        The derivative of a sigma that is not written in torch, as in :class:`jko.Ridge`.

    Raises
    ------
    ValueError
        From its methods: points of another dimension; copies of w that are not equal, for which W2 is another metric.

    Notes
    -----
    Source: survey (5.1), which has no normalisation, as a mean over both layers.

    Examples
    --------
    >>> import jko, torch
    >>> E = jko.energies.TwoLayerRisk(jko.Data([[0.5], [1.0]], [1.0, 1.0]), N2=3)
    >>> nu = jko.Particles(torch.zeros(4, 7, dtype=torch.float64))
    >>> float(E(nu))
    0.5
    """

    data: Data
    N2: int
    sigma: Callable[[Tensor], Any]
    slope: Callable[[Tensor], Any] | None
    convex = False

    def __init__(
        self,
        data: Data,
        N2: int,
        sigma: Callable[[Tensor], Any] = torch.tanh,
        gradient: Callable[[Tensor], Any] | None = None,
    ) -> None:
        checks.kind("data", data, Data, hint="build it by jko.Data(x, f)")
        if data.f.ndim == 2:
            raise ValueError(
                f"f has shape {tuple(data.f.shape)}, and TwoLayerRisk is of one output, f (M,); take the sum of one "
                "for each column, jko.Data(x, f[:, j]), or jko.Risk(data, activation=h), which knows k outputs"
            )
        checks.count("N2", N2)
        for name, value in (("data", data), ("N2", N2), ("sigma", sigma), ("slope", gradient)):
            object.__setattr__(self, name, value)
        self._sigma  # noqa: B018 (refuses what is no callable)

    @cached_property
    def _sigma(self) -> Differentiable:
        return Differentiable("the activation sigma", self.sigma, self.slope, elementwise=True)

    def __call__(self, state: State) -> Tensor:
        """The risk, a 0-d tensor."""
        r = self.predict(state) - self.data.f
        return 0.5 * (self.data.weights * r * r).sum()

    def predict(self, state: State, x: Tensor | None = None) -> Tensor:
        """The network at the inputs x (M, n), default the data's; shape (M,)."""
        s, w = self._second_layer(state.atoms, self.data.x if x is None else x)
        return self._sigma(s) @ w / self.N2

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """``<r, (1/N2) sum_j (w_j sigma(s_j) + W_j sigma'(s_j) b_j sigma(theta . x))>`` at points (theta, b, w), (n,).

        W_j and s_j are those of the state; r is its residual.
        """
        mu = state.atoms
        theta, b, w = self._split(mu.points if at is None else at)
        s, W = self._second_layer(mu, self.data.x)
        recorded = torch.is_grad_enabled() and s.requires_grad
        with recording():
            inner = s.view_as(s) if recorded else leaf(s)
            rise = slope(self._sigma(inner).sum(), inner, create=recorded)
        outer = self._sigma(s)
        g = self.data.weights * (outer @ W / self.N2 - self.data.f) / self.N2
        first = self._sigma(theta @ self.data.x.T)  # (n, M)
        return w @ (g @ outer) + ((first * g) @ (rise * W) * b).sum(1)

    def _second_layer(self, mu: Particles, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the neurons of the second layer see, s (M, N2), and their outer weights (N2,)."""
        theta, b, w = self._split(mu.points)
        self._refuse_unequal(w)
        first = self._sigma(theta @ x.T)
        return mu.integrate(first[:, :, None] * b[:, None, :]), mu.integrate(w)

    def _refuse_unequal(self, w: Tensor) -> None:
        """Copies that start equal differ by the rounding of steps at most."""
        w = w.detach()
        apart = float((w - w[0]).abs().max())
        if apart > torch.finfo(w.dtype).eps ** (1 / 3) * (1 + float(w.abs().max())):
            i = int((w - w[0]).abs().amax(1).argmax())
            raise ValueError(
                f"the copies of the outer weights w differ by up to {apart:g} (atoms 0 and {i}); they are one vector "
                f"of N2 = {self.N2} numbers, repeated in every atom: set points[:, {self.data.n + self.N2}:] to its "
                "mean over the atoms"
            )

    def _split(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n = self.data.n
        checks.alike("the points of the state", points, "the data x", self.data.x)
        if points.shape[1] != n + 2 * self.N2:
            raise ValueError(
                f"the points have {points.shape[1]} coordinates; with n = {n} inputs and N2 = {self.N2} they are "
                f"(theta, b, w) with n + 2 N2 = {n + 2 * self.N2}"
            )
        theta, b, w = points.split([n, self.N2, self.N2], dim=1)
        return theta, b, w
