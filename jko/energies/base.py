"""What an energy is: a functional E(mu), its first variation, and the gradient of that.

For every smooth E the derivative of ``E(sum_i m_i delta_{x_i})`` in x_i is ``m_i grad (dE/dmu)(x_i)``, so the
gradient in L2(mu) *is* the Wasserstein gradient (3.5)-(3.6), and nothing here divides by N.

To add an energy: subclass :class:`Energy`, write ``__call__`` and ``variation`` in torch, declare ``convex``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import OVERRIDE, derivative_along, gradient, hessian, leaf, recording, slope
from jko.energies.curvature import Curvature
from jko.energies.doors import DOORS, guarded
from jko.measures import Particles, State
from jko.measures.tensors import OfTensors
from jko.shown import Shown


class Evaluation(NamedTuple):
    """E(mu), dE/dmu on the atoms, and its gradient there, from one pass.

    Shapes: value (), variation (N,), gradient (N, dim).
    """

    value: Tensor
    variation: Tensor
    gradient: Tensor


Same = TypeVar("Same", bound="Energy")


class Energy(Shown, OfTensors, ABC):
    """A functional of probability measures.

    A state of the kind (rho, H) is read as its graph lift, so that E(rho, H) is G when E(mu) is F (survey 2.3).

    Value, variation and gradient are differentiable by torch in what the state and the energy were built from; steps
    and flows take the numbers alone.
    """

    #: what to do where something else was given
    remedy = "build it from jko.Risk, jko.Potential, ... by + and *"
    #: whether the energy is convex for the linear structure mu -> (1 - s) mu_0 + s mu_1 (Remark 2.1)
    convex: bool = False

    def __init_subclass__(cls, **named: Any) -> None:
        """Every energy refuses what is no state, other people's too, so that none has to ask."""
        super().__init_subclass__(**named)
        for door in set(DOORS) & cls.__dict__.keys():
            setattr(cls, door, guarded(cls.__dict__[door]))

    def _attributes(self) -> dict[str, Any]:
        """All but what is cached."""
        kind = type(self)
        return {
            name: part
            for name, part in vars(self).items()
            if not isinstance(getattr(kind, name, None), cached_property)
        }

    def _with(self: Same, **changes: Any) -> Same:
        new = object.__new__(type(self))
        new.__dict__.update(self._attributes() | changes)
        return new

    @abstractmethod
    def __call__(self, state: State) -> Tensor:
        """The value, a 0-d tensor, differentiable in the state's points."""

    @abstractmethod
    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """The first variation dE/dmu (3.5) at the points ``at`` (n, dim), default the atoms; shape (n,).

        Defined up to a constant on probability measures; here always the derivative along ``mu + eps nu``.
        """

    @guarded
    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """The Wasserstein gradient, grad dE/dmu at the points ``at`` (n, dim); shape (n, dim)."""
        return self._first_order(state, at)[1]

    def _first_order(self, state: State, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """dE/dmu and its gradient at the points ``at``, from one pass of torch."""
        at = state.atoms.points if at is None else at
        name = f"the variation of {type(self).__name__}"

        def variation(at: Tensor) -> Tensor:
            return checks.returned(name, self.variation(state, at), (len(at),), at)

        return gradient(name, variation, at, OVERRIDE)

    def evaluate(self, mu: Particles) -> Evaluation:
        """Value, variation and gradient on the atoms; override where one pass can share work."""
        name = type(self).__name__
        with torch.no_grad():
            value = checks.returned(f"the value of {name}", self(mu), (), mu.points)
            variation = self.variation(mu)
            checks.returned(f"the variation of {name}", variation, (mu.N,), mu.points)
            return Evaluation(value, variation, self.gradient(mu))

    def second_order(self, mu: Particles) -> Curvature:
        """The Hessian in L2(mu); override where blocks and a low-rank factor are known."""
        mu.refuse_part(f"the second derivative of {type(self).__name__}")
        blocks = self.hessian(mu)
        with recording():
            points = leaf(mu.points)
            first = slope(self(mu.moved(points)), points, create=True)

        def cross(v: Tensor) -> Tensor:
            if first.requires_grad:
                (total,) = torch.autograd.grad(first, points, v, retain_graph=True)
                total = total / mu.weights[:, None]
            else:  # torch has no record of the slope
                total = derivative_along(lambda x: self.gradient(mu.moved(x)), mu.points, v)
            return total - (blocks @ v[:, :, None])[:, :, 0]

        return Curvature(blocks, cross=cross)

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """The second derivatives of dE/dmu at the points ``at`` (n, dim), default the atoms; shape (n, dim, dim)."""
        at = mu.points if at is None else at
        return hessian(lambda at: self.variation(mu, at), lambda at: self.gradient(mu, at), at)

    @property
    def terms(self) -> tuple[tuple[float, Energy], ...]:
        """The energy as a sum ``c_1 E_1 + c_2 E_2 + ...`` of plain energies."""
        return ((1.0, self),)

    def __add__(self, other: Energy) -> Sum:
        if not isinstance(other, Energy):
            return NotImplemented
        return Sum((*_addends(self), *_addends(other)))

    def __radd__(self, other: Any) -> Energy:
        starts_a_sum = isinstance(other, int) and other == 0  # sum([E, F])
        return self if starts_a_sum else NotImplemented

    def __sub__(self, other: Energy) -> Sum:
        if not isinstance(other, Energy):
            return NotImplemented
        return self + (-1.0 * other)

    def __neg__(self) -> Scaled:
        return -1.0 * self

    def __mul__(self, coefficient: float) -> Scaled:
        return Scaled(checks.number("the coefficient of an energy", coefficient), self)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Scaled:
        c = checks.number("the divisor of an energy", divisor)
        if c == 0:
            raise ValueError("the divisor of an energy is 0; divide by a number that is not")
        return self * (1 / c)

    __array_ufunc__ = None  # numbers of numpy leave E + F and c E to the methods above


def _addends(energy: Energy) -> Sequence[Energy]:
    return energy.energies if isinstance(energy, Sum) else (energy,)


@dataclass(frozen=True)
class Sum(Energy):
    """``E_1 + E_2 + ...``."""

    energies: tuple[Energy, ...]

    def _line(self) -> str:
        first, *rest = (repr(E) for E in self.energies)
        return first + "".join(f" - {r[1:]}" if r[0] == "-" else f" + {r}" for r in rest)

    def _facts(self) -> dict[str, Any]:
        terms = {f"term {k}": E for k, E in enumerate(self.energies, 1)}
        return terms | {"convex": self.convex}

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """A sum of convex energies is convex."""
        return all(E.convex for E in self.energies)

    @property
    def terms(self) -> tuple[tuple[float, Energy], ...]:
        """The terms of all addends."""
        return tuple(term for E in self.energies for term in E.terms)

    def __call__(self, state: State) -> Tensor:
        """The sum of the values."""
        return reduce(add, (E(state) for E in self.energies))

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """The sum of the variations."""
        return reduce(add, (E.variation(state, at) for E in self.energies))

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """The sum of the gradients."""
        return reduce(add, (E.gradient(state, at) for E in self.energies))

    def evaluate(self, mu: Particles) -> Evaluation:
        """The sum of the evaluations: one pass over the atoms for each further term."""
        (c, E), *rest = self.terms
        total = (c * E if c != 1 else E).evaluate(mu)
        for c, E in rest:
            pairs = zip(total, E.evaluate(mu), strict=True)
            total = Evaluation(*(torch.add(sum_, part, alpha=c) for sum_, part in pairs))
        return total

    def second_order(self, mu: Particles) -> Curvature:
        """Blocks add, factors stand side by side."""
        parts = [E.second_order(mu) for E in self.energies]
        factors = [p.factor for p in parts if p.factor is not None]
        crosses = [p.cross for p in parts if p.cross is not None]
        return Curvature(
            reduce(add, (p.blocks for p in parts)),
            torch.cat(factors, dim=2) if factors else None,
            (lambda v: reduce(add, (c(v) for c in crosses))) if crosses else None,
        )


@dataclass(frozen=True)
class Scaled(Energy):
    """``c E`` with a number c."""

    coefficient: float
    energy: Energy

    def _line(self) -> str:
        within = f"({self.energy!r})" if isinstance(self.energy, Sum) else repr(self.energy)
        sign = {1.0: "", -1.0: "-"}.get(self.coefficient, f"{self.coefficient:.6g} ")
        return f"{sign}{within}"

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Convex if E is and c >= 0."""
        return self.coefficient >= 0 and bool(self.energy.convex)

    @property
    def terms(self) -> tuple[tuple[float, Energy], ...]:
        """The terms of E, scaled."""
        return tuple((self.coefficient * c, E) for c, E in self.energy.terms)

    def __call__(self, state: State) -> Tensor:
        """c E(mu)."""
        return self.coefficient * self.energy(state)

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """c dE/dmu."""
        return self.coefficient * self.energy.variation(state, at)

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """c grad dE/dmu."""
        return self.coefficient * self.energy.gradient(state, at)

    def evaluate(self, mu: Particles) -> Evaluation:
        """c times the evaluation."""
        return Evaluation(*(self.coefficient * part for part in self.energy.evaluate(mu)))

    def second_order(self, mu: Particles) -> Curvature:
        """c times the Hessian; a negative c turns the factor into a cross term."""
        c = self.coefficient
        blocks, factor, cross = self.energy.second_order(mu)
        if factor is not None and c < 0:
            low_rank, rest = factor, cross

            def cross(v: Tensor) -> Tensor:
                along = mu.integrate((low_rank * v[:, :, None]).sum(1))
                return low_rank @ along + (rest(v) if rest else 0)

            return Curvature(c * blocks, None, lambda v: c * cross(v))
        return Curvature(
            c * blocks,
            None if factor is None else c**0.5 * factor,
            None if cross is None else (lambda v: c * cross(v)),
        )
