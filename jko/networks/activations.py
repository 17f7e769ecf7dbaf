"""Activations h(theta, x) with their slopes written out: ridge functions (2.2) and Gaussian bumps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import Differentiable, hessian, leaf, recording, slope
from jko.networks.features import FeatureMap, paired
from jko.networks.passes import Passes, Pullback, SigmaPasses
from jko.networks.sigmas import EXPONENTIAL, SIGMAS, Sigma


@dataclass(frozen=True)
class Ridge(FeatureMap):
    """The activation ``h(theta, x) = sigma(theta' . x + theta^(d))`` with theta = (theta', theta^(d)), d = n + 1.

    Source: survey (2.2).

    Parameters
    ----------
    sigma
        An elementwise torch function.  ``torch.tanh``, ``sigmoid``, ``relu``, ``sin`` and
        ``torch.nn.functional.softplus`` and ``gelu`` (as they are: without arguments) are written out, with their
        slopes, and evaluated in kept memory; slopes of any other function come from autograd.
    gradient
        The derivative sigma', elementwise too, of a sigma that is not written in torch.  Both get tensors of which
        torch records nothing, and may return numpy arrays; sigma'' is then a central difference.

    Examples
    --------
    >>> import jko, torch
    >>> h = jko.Ridge(torch.tanh)
    >>> float(h(torch.tensor([[2.0, 1.0]]), torch.tensor([[-0.5]])))
    0.0
    """

    sigma: Callable[[Tensor], Any]
    gradient: Callable[[Tensor], Any] | None = None
    _bare = 1

    def __post_init__(self) -> None:
        self._function  # noqa: B018 (refuses what is no callable)

    @cached_property
    def _function(self) -> Differentiable:
        name = f"the activation {getattr(self.sigma, '__name__', self.sigma)!r}"
        return Differentiable(name, self.sigma, self.gradient, elementwise=True)

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values h(theta_i, x_m), shape (b, M)."""
        s = _affine(z, x)
        if self._written is not None and torch.is_grad_enabled() and s.requires_grad:
            return self.sigma(s)
        return self._slopes(s, 0)[0]

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values, and g -> (h g, sum_m g[m] sigma'(s_im) (x_m, 1))."""
        value, slope = self._slopes(_affine(z, x), 1)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            if g.ndim == 2:
                return paired(value, g), (slope() * g) @ _with_one(x)
            return value @ g, slope() @ (g[:, None] * _with_one(x))

        return value, pull

    def jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        """sigma'(s_im) (x_m, 1)."""
        _, slope = self._slopes(_affine(z, x), 1)
        return slope()[:, :, None] * _with_one(x)

    def hessian(self, z: Tensor, x: Tensor, g: Tensor) -> Tensor:
        """sum_m g[m] sigma''(s_im) (x_m, 1)(x_m, 1)^T."""
        *_, curvature = self._slopes(_affine(z, x), 2)
        one, bend = _with_one(x), curvature()
        if g.ndim == 2:
            bend, g = bend * g, torch.ones_like(one[:, 0])
        outer = (g[:, None] * one)[:, :, None] * one[:, None, :]
        return (bend @ outer.flatten(1)).unflatten(1, (one.shape[1],) * 2)

    def passes(self, x: Tensor, rows: int, keep: bool = False) -> Passes:
        """In kept memory, if sigma is one of those that are written out."""
        if self._written is None:
            return super().passes(x, rows, keep)
        return _RidgePasses(self._written, x, rows, keep)

    @property
    def _written(self) -> Sigma | None:
        return None if self.gradient else SIGMAS.get(id(self.sigma))

    def _slopes(self, s: Tensor, order: int) -> tuple[Any, ...]:
        """sigma(s), then ``order`` functions that give sigma'(s), sigma''(s) when asked."""
        if self._written is None:
            return _slopes(self._function, s, order)[: order + 1]
        return self._written.derivatives(s)[: order + 1]


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


def _check_ridge(z: Tensor, n: int) -> None:
    if z.shape[1] != n + 1:
        raise ValueError(
            f"theta has {z.shape[1]} coordinates but the inputs x have n = {n}; Ridge needs d = n + 1 = {n + 1} "
            f"(weights first, bias last), so points (w, theta) need {n + 2} columns, with k outputs {n + 1} + k"
        )


def _affine(z: Tensor, x: Tensor) -> Tensor:
    """theta' . x + theta^(d)."""
    _check_ridge(z, x.shape[1])
    return torch.addmm(z[:, -1:], z[:, :-1], x.T)


class _RidgePasses(SigmaPasses):
    """``a(x) = (x, 1)``."""

    def __init__(self, sigma: Sigma, x: Tensor, rows: int, keep: bool) -> None:
        super().__init__(sigma, _with_one(x).T, rows, keep)

    def arguments(self, z: Tensor, out: Tensor) -> Tensor:
        """``inner theta . (x, 1)``."""
        _check_ridge(z, len(self.a) - 1)
        return super().arguments(z, out)


def _slopes(sigma: Differentiable, s: Tensor, order: int) -> tuple[Any, ...]:
    """Slopes of an elementwise function by torch, or those given for it."""
    if order == 0:
        return (sigma(s),)

    def first(s: Tensor) -> tuple[Tensor, Tensor]:
        with recording():
            s = leaf(s)
            h = sigma(s)
            return h.detach(), slope(h.sum(), s)

    h, rise = first(s)
    bend = hessian(sigma, lambda s: first(s)[1], s.reshape(-1, 1)) if order > 1 else s
    return h, lambda: rise, lambda: bend.reshape(s.shape)


@dataclass(frozen=True)
class GaussianBump(FeatureMap):
    """The bump ``h(theta, x) = exp(-|x - theta|^2 / (2 width^2))`` with theta in R^n: d = n. Source: survey 4.1.

    Parameters
    ----------
    width
        Standard deviation of the bump, in the units of x.

    Examples
    --------
    >>> import jko, torch
    >>> jko.GaussianBump(width=1.0)(torch.zeros(1, 2), torch.zeros(1, 2)).tolist()
    [[1.0]]
    """

    _bare = 1
    width: float = 1.0

    def __post_init__(self) -> None:
        checks.number("width", self.width, above=0)

    def __call__(self, z: Tensor, x: Tensor) -> Tensor:
        """Values, shape (b, M)."""
        _check_bump(z, x.shape[1])
        square = z.new_zeros(len(z), len(x))
        for k in range(x.shape[1]):
            square = square + (z[:, k, None] - x[:, k]) ** 2
        return torch.exp(-square / (2 * self.width**2))

    def linearise(self, z: Tensor, x: Tensor) -> tuple[Tensor, Pullback]:
        """Values, and g -> (h g, sum_m g[m] h (x_m - theta) / width^2)."""
        h = self(z, x)

        def pull(g: Tensor) -> tuple[Tensor, Tensor]:
            c = paired(h, g)
            along = h @ (g[:, None] * x) if g.ndim == 1 else (h * g) @ x
            return c, (along - c[:, None] * z) / self.width**2

        return h, pull

    def passes(self, x: Tensor, rows: int, keep: bool = False) -> Passes:
        """In kept memory."""
        return _BumpPasses(self.width, x, rows, keep)


def _check_bump(z: Tensor, n: int) -> None:
    if z.shape[1] != n:
        raise ValueError(
            f"theta has {z.shape[1]} coordinates but the inputs x have n = {n}; GaussianBump needs d = n, so points "
            f"(w, theta) need {n + 1} columns, with k outputs {n} + k"
        )


class _BumpPasses(SigmaPasses):
    """``exp s`` with ``s = -|x - theta|^2 / (2 width^2)``: in columns of its own, which keeps small distances exact."""

    def __init__(self, width: float, x: Tensor, rows: int, keep: bool) -> None:
        super().__init__(EXPONENTIAL, x.T, rows, keep)
        self.width = width

    def arguments(self, z: Tensor, out: Tensor) -> Tensor:
        """``-|x - theta|^2 / (2 width^2)``."""
        _check_bump(z, len(self.a))
        out.zero_()
        for theta, x in zip(z.T, self.a, strict=True):
            difference = torch.sub(x, theta[:, None], out=self.spare[: len(z)])
            out.addcmul_(difference, difference, value=-0.5 / self.width**2)
        return out

    def chain(self, z: Tensor, slopes: Tensor, c: Tensor, back: Tensor, out: Tensor) -> None:
        """``(int g h x - c theta) / width^2``."""
        torch.mm(slopes, back, out=out).addcmul_(c[:, None], z, value=-1).div_(self.width**2)
