"""Potential energies: ``int V dmu``, the regularisation of (2.7)-(2.8) and of footnote 6."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import Differentiable
from jko.energies.base import Energy, Evaluation
from jko.energies.curvature import Curvature
from jko.measures import Particles, State


class Linear(Energy):
    """An energy that is linear in the measure: ``int V dmu``; a subclass writes V as its ``variation``.

    Examples
    --------
    >>> import jko
    >>> V = jko.Potential(lambda x: x[:, 0] ** 2)
    >>> isinstance(V, jko.energies.Linear), float(V(jko.Particles([[1.0], [3.0]])))
    (True, 5.0)
    """

    convex = True

    def __call__(self, state: State) -> Tensor:
        """``int V dmu``."""
        mu = state.atoms
        return mu.integrate(self.variation(mu))

    def evaluate(self, mu: Particles) -> Evaluation:
        """V and its gradient from one pass."""
        V, gradient = self._first_order(mu)
        return Evaluation(mu.integrate(V).detach(), V, gradient)

    def second_order(self, mu: Particles) -> Curvature:
        """Blocks Hess V(xi_i)."""
        return Curvature(self.hessian(mu))


@dataclass(frozen=True, init=False)
class Potential(Linear):
    """``int V(xi) mu(dxi)`` for a callable V: (n, dim) -> (n,).

    On a pair (rho, H) it is ``int Vbar(H, theta) rho(dtheta)`` with Vbar(H, theta) = V((H, theta)).
    Linear, hence convex in mu, whatever V is.  Source: survey (2.7), (2.13).

    Parameters
    ----------
    V
        The potential, in torch operations.
    gradient
        Its derivative, (n, dim) -> (n, dim), of a V that is not (numpy, JAX, a table).  Both then get tensors of which
        torch records nothing, and may return arrays; second derivatives are central differences of it.

    Raises
    ------
    ValueError
        When a derivative is needed: V computes outside torch and has no ``gradient``; or a slope is not that of V.

    Examples
    --------
    >>> import jko
    >>> E = jko.Potential(lambda xi: xi[:, 0] ** 4)
    >>> float(E(jko.Particles([[2.0]])))
    16.0
    """

    _bare = 1
    V: Callable[[Tensor], Any]
    slope: Callable[[Tensor], Any] | None

    def __init__(
        self, V: Callable[[Tensor], Any], gradient: Callable[[Tensor], Any] | None = None
    ) -> None:
        object.__setattr__(self, "V", V)
        object.__setattr__(self, "slope", gradient)
        self._V  # noqa: B018 (refuses what is no callable)

    @cached_property
    def _V(self) -> Differentiable:
        return Differentiable("the potential V", self.V, self.slope)

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """V at the points, shape (n,)."""
        return self._V(state.atoms.points if at is None else at)


@dataclass(frozen=True)
class SquaredNorm(Linear):
    """``1/2 int |xi|^2 dmu``: lam times it is the L2 regularisation (2.8), on pairs (3.15).

    Examples
    --------
    >>> import jko
    >>> float(jko.SquaredNorm()(jko.Particles([[3.0, 4.0]])))
    12.5
    """

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """|xi|^2 / 2, shape (n,)."""
        at = state.atoms.points if at is None else at
        return 0.5 * (at * at).sum(-1)

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """``xi`` itself, shape (n, dim)."""
        return (state.atoms.points if at is None else at).detach()

    def evaluate(self, mu: Particles) -> Evaluation:
        """One pass."""
        with torch.no_grad():
            variation = self.variation(mu)
            return Evaluation(mu.integrate(variation), variation, mu.points.detach())

    def second_order(self, mu: Particles) -> Curvature:
        """Identity blocks."""
        eye = torch.eye(mu.dim, dtype=mu.points.dtype, device=mu.points.device)
        return Curvature(eye.expand(mu.N, mu.dim, mu.dim))


@dataclass(frozen=True)
class PowerNorm(Linear):
    """``int |xi|^p dmu`` for p >= 1 (footnote 6 of the survey); at xi = 0 the gradient is the subgradient 0.

    Examples
    --------
    >>> import jko
    >>> float(jko.energies.PowerNorm(3)(jko.Particles([[3.0, 4.0]])))
    125.0
    """

    _bare = 1
    p: float

    def __post_init__(self) -> None:
        if checks.number("p", self.p) < 1:
            raise ValueError(f"p = {self.p:g}; the power norm needs p >= 1")

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """|xi|^p, shape (n,)."""
        at = state.atoms.points if at is None else at
        square = (at * at).sum(-1)
        safe = torch.where(square > 0, square, torch.ones_like(square))
        return torch.where(square > 0, safe ** (self.p / 2), torch.zeros_like(square))
