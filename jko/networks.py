"""Shallow networks: the data, the activation h(theta, x), and the neuron Phi(xi, x) = w h(theta, x).

A *feature map* is a function of a parameter z and an input x that can be differentiated in z.  Activations are
feature maps of theta (2.2); :class:`Neuron` makes one of xi = (w, theta) (2.1).  Everything that an energy needs of
a network are the four methods of :class:`FeatureMap`; three have torch defaults, so a callable is enough.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks

Pullback = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Data:
    """A quadrature of the domain D with the values of f: ``int_D g f dx ~ sum_m weights[m] g(x[m]) f[m]``.

    Parameters
    ----------
    x : (M, n)
        Inputs.
    f : (M,)
        Target values f(x).
    weights : (M,), optional
        Quadrature weights of D, positive; default 1/M, the mean over the data instead of the integral over D.

    Examples
    --------
    >>> import jko, torch
    >>> x = torch.linspace(-1, 1, 5, dtype=torch.float64)
    >>> jko.Data(x[:, None], x**2).M
    5
    """

    x: Tensor
    f: Tensor
    weights: Tensor

    def __init__(self, x: Any, f: Any, weights: Any = None) -> None:
        x = checks.shape("x", checks.floats("x", x), ("M", "n")).detach()
        f = checks.shape("f", checks.floats("f", f, x, "x"), (len(x),)).detach()
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "f", f)
        object.__setattr__(
            self, "weights", checks.quadrature("weights", weights, len(x), x).detach()
        )

    @property
    def M(self) -> int:
        """Number of data points."""
        return self.x.shape[0]

    @property
    def n(self) -> int:
        """Dimension of the inputs."""
        return self.x.shape[1]


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
                return c.detach(), _gradient(c.sum(), z, retain=True)

        return value.detach(), pull

    def jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        """Derivatives grad_z value(z[i], x[m]), shape (b, M, p)."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            total = self(z, x).sum(0)
            rows = [_gradient(total[m], z, retain=True) for m in range(len(x))]
        return torch.stack(rows, dim=1)

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """Second derivatives of z -> sum_m g[m] value(z, x[m]), shape (b, p, p)."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            slope = _gradient((self(z, x) @ g).sum(), z, create=True)
            columns = [
                _gradient(slope[:, k].sum(), z, retain=True) for k in range(z.shape[1])
            ]  # zero if linear
        return torch.stack(columns, dim=2)


def _gradient(value: Tensor, z: Tensor, retain: bool = False, create: bool = False) -> Tensor:
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
class Ridge(FeatureMap):
    """The activation ``h(theta, x) = sigma(theta' . x + theta^(d))`` with theta = (theta', theta^(d)), d = n + 1.

    Source: survey (2.2).

    Parameters
    ----------
    sigma
        An elementwise torch function, such as ``torch.tanh``, ``torch.sigmoid``, ``torch.relu``.  Slopes of these
        three are written out; those of any other function come from autograd.

    Examples
    --------
    >>> import jko, torch
    >>> h = jko.Ridge(torch.tanh)
    >>> float(h(torch.tensor([[2.0, 1.0]]), torch.tensor([[-0.5]])))
    0.0
    """

    sigma: Callable[[Tensor], Tensor]

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values h(theta_i, x_m), shape (b, M)."""
        return self._slopes(_affine(z, x), 0)[0]

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values, and g -> (h g, sum_m g[m] sigma'(s_im) (x_m, 1))."""
        value, slope = self._slopes(_affine(z, x), 1)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            return value @ g, slope() @ (g[:, None] * _with_one(x))

        return value, pull

    def jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        """sigma'(s_im) (x_m, 1)."""
        _, slope = self._slopes(_affine(z, x), 1)
        return slope()[:, :, None] * _with_one(x)

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """sum_m g[m] sigma''(s_im) (x_m, 1)(x_m, 1)^T."""
        *_, curvature = self._slopes(_affine(z, x), 2)
        one = _with_one(x)
        outer = (g[:, None] * one)[:, :, None] * one[:, None, :]
        return (curvature() @ outer.flatten(1)).unflatten(1, (one.shape[1],) * 2)

    def _slopes(self, s: Tensor, order: int) -> tuple[Any, ...]:
        """sigma(s), then ``order`` functions that give sigma'(s), sigma''(s) when asked."""
        rule = _RULES.get(self.sigma)
        return (rule(s) if rule else _autograd_rule(self.sigma, s, order))[: order + 1]


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


def _affine(z: Tensor, x: Tensor) -> Tensor:
    """theta' . x + theta^(d)."""
    if z.shape[1] != x.shape[1] + 1:
        raise ValueError(
            f"theta has {z.shape[1]} coordinates but the inputs x have n = {x.shape[1]}; Ridge needs d = n + 1 "
            f"= {x.shape[1] + 1} (weights first, bias last), so points (w, theta) need {x.shape[1] + 2} columns"
        )
    return torch.addmm(z[:, -1:], z[:, :-1], x.T)


def _tanh(s: Tensor) -> tuple[Any, ...]:
    h = (
        torch.sigmoid(2 * s).mul_(2).sub_(1) if not s.requires_grad else torch.tanh(s)
    )  # 3 times faster than tanh
    return h, lambda: 1 - h * h, lambda: 2 * h * (h * h - 1)


def _sigmoid(s: Tensor) -> tuple[Any, ...]:
    h = torch.sigmoid(s)
    return h, lambda: h * (1 - h), lambda: h * (1 - h) * (1 - 2 * h)


def _relu(s: Tensor) -> tuple[Any, ...]:
    return torch.relu(s), lambda: (s > 0).to(s), lambda: torch.zeros_like(s)


_RULES: dict[Any, Callable[[Tensor], tuple[Any, ...]]] = {
    torch.tanh: _tanh,
    torch.sigmoid: _sigmoid,
    torch.relu: _relu,
}


def _autograd_rule(sigma: Callable[[Tensor], Tensor], s: Tensor, order: int) -> tuple[Any, ...]:
    """Slopes of an elementwise function by autograd."""
    name = f"the activation {getattr(sigma, '__name__', sigma)!r}"
    if order == 0:
        return (checks.returned(name, sigma(s), tuple(s.shape), s),)
    s = s.detach().requires_grad_()
    with torch.enable_grad():
        h = checks.returned(name, sigma(s), tuple(s.shape), s)
        slope = _gradient(h.sum(), s, create=order > 1)
        curvature = _gradient(slope.sum(), s) if order > 1 else None
    return h.detach(), slope.detach, lambda: curvature


@dataclass(frozen=True)
class GaussianBump(FeatureMap):
    """The bump ``h(theta, x) = exp(-|x - theta|^2 / (2 width^2))`` with theta in R^n: d = n. Source: survey 4.1.

    Parameters
    ----------
    width
        Standard deviation of the bump, in the units of x.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        checks.number("width", self.width, above=0)

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values, shape (b, M)."""
        if z.shape[1] != x.shape[1]:
            raise ValueError(
                f"theta has {z.shape[1]} coordinates but the inputs x have n = {x.shape[1]}; GaussianBump needs d = n, "
                f"so points (w, theta) need {x.shape[1] + 1} columns"
            )
        square = z.new_zeros(len(z), len(x))
        for k in range(x.shape[1]):
            square = square + (z[:, k, None] - x[:, k]) ** 2
        return torch.exp(-square / (2 * self.width**2))

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values, and g -> (h g, sum_m g[m] h (x_m - theta) / width^2)."""
        h = self(z, x)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            c = h @ g
            return c, (h @ (g[:, None] * x) - c[:, None] * z) / self.width**2

        return h, pull


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
        return torch.cat(
            [self.h(theta, x)[:, :, None], z[:, :1, None] * self.h.jacobian(theta, x)], dim=2
        )

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """[[0, grad c_g^T], [grad c_g, w Hess c_g]]."""
        w, theta = z[:, :1], z[:, 1:]
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
