"""The risk of a network with two hidden layers, as a functional of a measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import Differentiable, leaf, recording, slope
from jko.energies.base import Energy, Evaluation
from jko.measures import LayerAtoms, Particles, State
from jko.networks import Data


class Backwards(NamedTuple):
    """What the second layer hands back to the first, on the data.

    The residual r (M,), the dual ``g = q r`` (M,), what its neurons say, ``outer = sigma(s)`` (M, N2), and the slope of
    the risk in what they see, ``back = g m w sigma'(s)`` (M, N2).
    """

    r: Tensor
    g: Tensor
    outer: Tensor
    back: Tensor


@dataclass(frozen=True, eq=False, init=False)
class TwoLayerRisk(Energy):
    """``1/2 sum_m q_m (f(x_m) - f_m)^2`` for ``f(x) = sum_j m_j w_j sigma(int b_j sigma(theta . x) dnu)``.

    Of a :class:`jko.measures.TwoLayer`, in whose product metric all layers keep their speeds as N1 and N2 grow.  It is
    not convex, neither in the measure of the first layer nor in that of the second.

    A :class:`jko.Particles` of N1 atoms ``(theta, b, w)`` in R^n x R^N2 x R^N2, without scales, is read too, where N2
    is given: w stands in each atom, equal in all of them, and m_j = 1/N2.  In W2 of these the velocities of w and b are
    of order 1/N2, that of theta is not, and the second layer freezes as N2 grows;
    ``metric=jko.metrics.ScaledWasserstein.two_layers(n, N2)`` is the product metric there.

    Parameters
    ----------
    data : Data
        Inputs x (M, n) and targets (M,).
    N2 : int, optional
        Neurons of the second layer, to read :class:`jko.Particles`; a :class:`jko.measures.TwoLayer` knows its own.
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
    Source: survey (5.1), which has no normalisation, as a mean over both layers.  What it becomes as N1 and N2 tend to
    infinity, which the survey leaves open, is measured by :func:`jko.diagnostics.layer_study`.

    Examples
    --------
    >>> import jko
    >>> E = jko.energies.TwoLayerRisk(jko.Data([[0.5], [1.0]], [1.0, 1.0]))
    >>> float(E(jko.measures.TwoLayer([[0.0]], [[1.0, 2.0, 3.0]], [1.0, 1.0, 1.0])))
    0.5
    """

    data: Data
    N2: int | None
    sigma: Callable[[Tensor], Any]
    slope: Callable[[Tensor], Any] | None
    convex = False

    def __init__(
        self,
        data: Data,
        N2: int | None = None,
        sigma: Callable[[Tensor], Any] = torch.tanh,
        gradient: Callable[[Tensor], Any] | None = None,
    ) -> None:
        checks.kind("data", data, Data, hint="build it by jko.Data(x, f)")
        if data.f.ndim == 2:
            raise ValueError(
                f"f has shape {tuple(data.f.shape)}, and TwoLayerRisk is of one output, f (M,); take the sum of one "
                "for each column, jko.Data(x, f[:, j]), or jko.Risk(data, activation=h), which knows k outputs"
            )
        if N2 is not None:
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
        return self._sigma(s) @ w

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """``<r, sum_j m_j (w_j sigma(s_j) + W_j sigma'(s_j) b_j sigma(theta . x))>`` at points (theta, b, w), (n,).

        W_j and s_j are those of the state; r is its residual.
        """
        mu = state.atoms
        theta, b, w = self._split(mu, mu.points if at is None else at)
        first = self._sigma(theta @ self.data.x.T)
        return self._variation(mu, self._fields(mu), first, b, w)

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """The gradient of the variation, written out: products of matrices of the sizes N1, M and N2."""
        mu = state.atoms
        points = mu.points if at is None else at
        with torch.no_grad():
            return self._gradient(mu, self._fields(mu), points)

    def evaluate(self, mu: Particles) -> Evaluation:
        """All three from one look at the second layer."""
        with torch.no_grad():
            fields = self._fields(mu)
            theta, b, w = self._split(mu, mu.points)
            variation = self._variation(mu, fields, self._sigma(theta @ self.data.x.T), b, w)
            value = 0.5 * (fields.g * fields.r).sum()
            return Evaluation(value, variation, self._gradient(mu, fields, mu.points))

    def _variation(
        self, mu: Particles, fields: Backwards, first: Tensor, b: Tensor, w: Tensor
    ) -> Tensor:
        masses = self._masses(mu)
        return (w * masses) @ (fields.g @ fields.outer) + ((first @ fields.back) * b).sum(1)

    def _gradient(self, mu: Particles, fields: Backwards, points: Tensor) -> Tensor:
        theta, b, _ = self._split(mu, points)
        first, rise = self._with_slope(theta @ self.data.x.T)
        roots = mu.masses.sqrt() if isinstance(mu, LayerAtoms) else 1.0
        of_theta = ((b @ fields.back.T) * rise) @ self.data.x
        of_w = self._masses(mu) * (fields.g @ fields.outer) / roots
        return torch.cat([of_theta, first @ fields.back / roots, of_w.expand(len(points), -1)], 1)

    def _fields(self, mu: Particles) -> Backwards:
        s, w = self._second_layer(mu, self.data.x)
        outer, rise = self._with_slope(s)
        r = outer @ w - self.data.f
        g = self.data.weights * r
        return Backwards(r, g, outer, g[:, None] * rise * w)

    def _with_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """sigma and sigma', recorded where z is."""
        recorded = torch.is_grad_enabled() and z.requires_grad
        with recording():
            inner = z.view_as(z) if recorded else leaf(z)
            value = self._sigma(inner)
            rise = slope(value.sum(), inner, create=recorded)
        return (value if recorded else value.detach()), rise

    def _second_layer(self, mu: Particles, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the neurons of the second layer see, s (M, N2), and their outer weights times their masses (N2,)."""
        theta, b, w = self._split(mu, mu.points)
        if not isinstance(mu, LayerAtoms):
            self._refuse_unequal(w)
        first = self._sigma(theta @ x.T)
        return mu.products(first.T[:, :, None], b.T[:, :, None]), self._masses(mu) * mu.integrate(w)

    def _masses(self, mu: Particles) -> Tensor:
        """m, (N2,), of the neurons of the second layer."""
        return mu.masses if isinstance(mu, LayerAtoms) else mu.points.new_full((), 1 / self._width)

    @property
    def _width(self) -> int:
        """N2 of plain particles."""
        if self.N2 is None:
            raise TypeError(
                "these are jko.Particles, and TwoLayerRisk(data) reads a jko.measures.TwoLayer(theta, b, w), whose "
                "metric is that of the product of its layers; or give N2 for atoms (theta, b, w)"
            )
        return self.N2

    def _refuse_unequal(self, w: Tensor) -> None:
        """Copies that start equal differ by the rounding of steps at most."""
        w = w.detach()
        apart = float((w - w[0]).abs().max())
        if apart > torch.finfo(w.dtype).eps ** (1 / 3) * (1 + float(w.abs().max())):
            i = int((w - w[0]).abs().amax(1).argmax())
            raise ValueError(
                f"the copies of the outer weights w differ by up to {apart:g} (atoms 0 and {i}); they are one vector "
                f"of N2 = {self._width} numbers, repeated in every atom: set points[:, {self.data.n + self._width}:] "
                "to its mean over the atoms, or build a jko.measures.TwoLayer(theta, b, w)"
            )

    def _split(self, mu: Particles, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """theta (k, n), b and w (k, N2) of k points in the coordinates of mu."""
        n = self.data.n
        N2 = len(mu.masses) if isinstance(mu, LayerAtoms) else self._width
        checks.alike("the points of the state", points, "the data x", self.data.x)
        if points.shape[1] != n + 2 * N2:
            raise ValueError(
                f"the points have {points.shape[1]} coordinates; with n = {n} inputs and N2 = {N2} they are "
                f"(theta, b, w) with n + 2 N2 = {n + 2 * N2}"
            )
        if isinstance(mu, LayerAtoms):
            return mu.layers(points)
        theta, b, w = points.split([n, N2, N2], dim=1)
        return theta, b, w
