"""Feature maps: functions of a parameter z and an input x that can be differentiated in z.

Activations are feature maps of theta (2.2); :class:`Neuron` makes one of xi = (w, theta) (2.1).  Everything that an
energy needs of a network are the four methods of :class:`FeatureMap`; three have torch defaults, so a callable is
enough.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko.derivatives import (
    Differentiable,
    differences,
    hessian,
    leaf,
    recordable,
    recorded,
    recording,
    slope,
)
from jko.networks.passes import NeuronPasses, Passes, PlainPasses, Pullback
from jko.shown import Shown


class FeatureMap(Shown, ABC):
    """A function of parameters z (b, p) and inputs x (M, n), differentiable in z.

    Contract: ``__call__`` returns (b, M), and row i depends on ``z[i]`` alone.

    Examples
    --------
    >>> import jko, torch
    >>> h = jko.Ridge(torch.tanh)
    >>> isinstance(h, jko.FeatureMap), tuple(h(torch.zeros(5, 2), torch.ones(7, 1)).shape)
    (True, (5, 7))
    """

    @abstractmethod
    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values, shape (b, M)."""

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values (b, M), and the map g -> (c, grad_z c) with c(z) = sum_m g[m] value(z, x[m]).

        g is (M,), or (b, M): numbers of its own for each parameter.  The two tensors have shapes (b,) and (b, p).
        """
        with recording():
            z = leaf(z)
            value = recorded(self._name, lambda z: self(z, x), z)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            with recording():
                c = paired(value, recordable(g))
                return c.detach(), slope(c.sum(), z, retain=True)

        return value.detach(), pull

    def integral(self, z: Tensor, x: Tensor, weights: Tensor) -> Tensor:
        """``sum_i weights[i] value(z[i], x)``, shape (M,), of which torch records how it depends on all three."""
        return torch.tensordot(weights, self(z, x), dims=1)

    def pairing(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """``sum_m g[m] value(z, x[m])``, shape (b,), recorded too."""
        return self(z, x) @ g

    def passes(self, x: Tensor, rows: int, keep: bool = False) -> Passes:
        """What makes blocks of at most ``rows`` parameters at the inputs x, in a ``with``; torch records nothing.

        ``keep``: all blocks are there until the end, so that a second pass need not make them again.
        """
        return PlainPasses(lambda z: self(z, x), lambda z: self.linearise(z, x), keep)

    def jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        """Derivatives grad_z value(z[i], x[m]), shape (b, M, p).

        ``grad_z <value, u>`` is linear in u, so p passes backward through it give what M passes through the value
        would.
        """
        with recording():
            z = leaf(z)
            value = recorded(self._name, lambda z: self(z, x), z)
            u = torch.zeros_like(value).requires_grad_()
            first = slope((value * u).sum(), z, create=True)
            if not first.requires_grad:  # a backward of one's own, which torch cannot differentiate
                return differences(lambda z: self(z, x), z.detach())
            columns = [slope(first[:, k].sum(), u, retain=True) for k in range(z.shape[1])]
        return torch.stack(columns, dim=2) if columns else z.new_zeros(*value.shape, 0)

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """Second derivatives of z -> sum_m g[m] value(z, x[m]), for g (M,) or (b, M); shape (b, p, p)."""
        with recording():
            g = recordable(g)
        return hessian(lambda z: paired(self(z, x), g), lambda z: self.linearise(z, x)[1](g)[1], z)

    @property
    def _name(self) -> str:
        return f"the feature map {type(self).__name__}"


def paired(value: Tensor, g: Tensor) -> Tensor:
    """``sum_m g[m] value[:, m]`` for g (M,), or (b, M); shape (b,)."""
    return value @ g if g.ndim == 1 else (value * g).sum(1)


@dataclass(frozen=True)
class Custom(FeatureMap):
    """Any callable ``function(z (b, p), x (M, n)) -> (b, M)``, or (b, M, k): then its values are (b, M k).

    Parameters
    ----------
    function
        In torch operations, or with a gradient.
    gradient
        Its derivative in z, ``gradient(z, x) -> (b, M, p)``, or (b, M, k, p); then both get tensors without a record
        and may return numpy arrays.
    outputs
        The number k of a function with several outputs.

    Examples
    --------
    >>> import torch
    >>> from jko.networks import Custom
    >>> Custom(lambda z, x: z @ x.T)(torch.ones(1, 2), torch.ones(3, 2)).tolist()
    [[2.0, 2.0, 2.0]]
    """

    _bare = 1
    function: Callable[[Tensor, Tensor], Any]
    gradient: Callable[[Tensor, Tensor], Any] | None = None
    outputs: int | None = None

    def __post_init__(self) -> None:
        self._function  # noqa: B018 (refuses what is no callable)

    @cached_property
    def _function(self) -> Differentiable:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        tail = () if self.outputs is None else (self.outputs,)
        return Differentiable(
            f"the feature callable {name!r}", self.function, self.gradient, tail=tail
        )

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Call the function and check what it returns."""
        return self._function(z, x).flatten(1)


@dataclass(frozen=True)
class Neuron(FeatureMap):
    """``Phi(xi, x) = w h(theta, x)`` with xi = (w, theta). Source: survey 2.1.

    Examples
    --------
    >>> import jko, torch
    >>> Phi = jko.Neuron(jko.GaussianBump())
    >>> Phi(torch.tensor([[3.0, 0.0]]), torch.zeros(1, 1)).tolist()  # w = 3, theta = x = 0
    [[3.0]]
    """

    _bare = 1
    h: FeatureMap

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values, shape (b, M)."""
        return z[:, :1] * self.h(z[:, 1:], x)

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values, and g -> (w c_g, (c_g, w grad c_g)) with c_g(theta) = sum_m g[m] h(theta, x_m)."""
        w = z[:, :1]
        h, pull_h = self.h.linearise(z[:, 1:], x)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            c, slope = pull_h(g)
            return w[:, 0] * c, torch.cat([c[:, None], w * slope], dim=1)

        return w * h, pull

    def passes(self, x: Tensor, rows: int, keep: bool = False) -> Passes:
        """That of h, times w."""
        return NeuronPasses(self.h.passes(x, rows, keep))

    def jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        """(h, w grad_theta h)."""
        theta = z[:, 1:]
        if not theta.shape[1]:
            return self.h(theta, x)[:, :, None]
        return torch.cat(
            [self.h(theta, x)[:, :, None], z[:, :1, None] * self.h.jacobian(theta, x)], dim=2
        )

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """[[0, grad c_g^T], [grad c_g, w Hess c_g]]."""
        w, theta = z[:, :1], z[:, 1:]
        if not theta.shape[1]:
            return z.new_zeros(len(z), 1, 1)
        _, pull_h = self.h.linearise(theta, x)
        _, slope = pull_h(g)
        result = z.new_zeros(len(z), z.shape[1], z.shape[1])
        result[:, 0, 1:] = result[:, 1:, 0] = slope
        result[:, 1:, 1:] = w[:, :, None] * self.h.hessian(theta, x, g)
        return result


def feature_map(
    name: str, value: Any, gradient: Any = None, outputs: int | None = None
) -> FeatureMap:
    """A feature map as it is, a callable wrapped with the gradient given for it; anything else is refused.

    Examples
    --------
    >>> import jko, torch
    >>> from jko.networks import feature_map
    >>> h = jko.Ridge(torch.tanh)
    >>> feature_map("activation", h) is h
    True
    """
    if isinstance(value, FeatureMap):
        if gradient is not None:
            raise TypeError(
                f"gradient= is the derivative of a callable, but {name} is a {type(value).__name__}, which knows its "
                "own; of jko.Ridge(sigma, gradient=...) give it there"
            )
        return value
    if callable(value):
        return Custom(value, gradient, outputs)
    raise TypeError(
        f"{name} must be jko.Ridge(sigma), jko.GaussianBump(width) or a callable (theta (N, d), x (M, n)) -> (N, M), "
        f"not {type(value).__name__}"
    )
