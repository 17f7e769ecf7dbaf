"""Feature maps: functions of a parameter z and an input x that can be differentiated in z.

Activations are feature maps of theta (2.2); :class:`Neuron` makes one of xi = (w, theta) (2.1).  Everything that an
energy needs of a network are the four methods of :class:`FeatureMap`; three have torch defaults, so a callable is
enough.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks

Pullback = Callable[[Tensor], tuple[Tensor, Tensor]]


class FeatureMap(ABC):
    """A function of parameters z (b, p) and inputs x (M, n), differentiable in z.

    Contract: ``__call__`` returns (b, M), and row i depends on ``z[i]`` alone.
    """

    @abstractmethod
    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values, shape (b, M)."""

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values (b, M), and the map g (M,) -> (c, grad_z c) with c(z) = sum_m g[m] value(z, x[m]).

        The two tensors have shapes (b,) and (b, p).
        """
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            value = self(z, x)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                c = value @ g
                return c.detach(), derivative(c.sum(), z, retain=True)

        return value.detach(), pull

    def jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        """Derivatives grad_z value(z[i], x[m]), shape (b, M, p).

        ``grad_z <value, u>`` is linear in u, so p passes backward through it give what M passes through the value
        would.
        """
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            value = self(z, x)
            u = torch.zeros_like(value).requires_grad_()
            slope = derivative((value * u).sum(), z, create=True)
            columns = [derivative(slope[:, k].sum(), u, retain=True) for k in range(z.shape[1])]
        return torch.stack(columns, dim=2)

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """Second derivatives of z -> sum_m g[m] value(z, x[m]), shape (b, p, p)."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            slope = derivative((self(z, x) @ g).sum(), z, create=True)
            columns = [
                derivative(slope[:, k].sum(), z, retain=True) for k in range(z.shape[1])
            ]  # zero if linear
        return torch.stack(columns, dim=2)


def derivative(value: Tensor, z: Tensor, retain: bool = False, create: bool = False) -> Tensor:
    """The gradient of ``value`` in ``z``, zero where it does not depend on it."""
    if not value.requires_grad:
        return torch.zeros_like(z)
    return torch.autograd.grad(
        value, z, retain_graph=retain or create, create_graph=create, materialize_grads=True
    )[0]


@dataclass(frozen=True)
class Custom(FeatureMap):
    """Any torch callable ``function(z (b, p), x (M, n)) -> (b, M)``."""

    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Call the function and check what it returns."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return checks.returned(
            f"the feature callable {name!r}", self.function(z, x), (len(z), len(x)), z
        )


@dataclass(frozen=True)
class Neuron(FeatureMap):
    """``Phi(xi, x) = w h(theta, x)`` with xi = (w, theta). Source: survey 2.1."""

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
        result = torch.zeros(len(z), z.shape[1], z.shape[1], dtype=z.dtype, device=z.device)
        result[:, 0, 1:] = result[:, 1:, 0] = slope
        result[:, 1:, 1:] = w[:, :, None] * self.h.hessian(theta, x, g)
        return result


def feature_map(name: str, value: Any) -> FeatureMap:
    """A feature map as it is, a callable wrapped; anything else is refused."""
    if isinstance(value, FeatureMap):
        return value
    if callable(value):
        return Custom(value)
    raise TypeError(
        f"{name} must be jko.Ridge(sigma), jko.GaussianBump(width) or a callable (theta (N, d), x (M, n)) -> (N, M), "
        f"not {type(value).__name__}"
    )
