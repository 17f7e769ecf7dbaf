"""The parameters of a module as one atom in R^P, and a closure as an energy of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy, Evaluation
from jko.measures import Particles, State
from jko.metrics import Metric, ScaledWasserstein, Wasserstein

RETURNS = "the closure must return the loss, one number: end it by loss.backward(), return loss"


@dataclass(frozen=True, eq=False)
class Atom:
    """Parameters that move, one after the other in one vector, each with the time step of its group."""

    parameters: tuple[Tensor, ...]
    taus: tuple[float, ...]

    @classmethod
    def of(cls, groups: Iterable[dict[str, Any]]) -> Atom:
        """Those of the groups that require a gradient, but for groups with lr = 0: they rest."""
        found = [
            (p, tau)
            for group in groups
            if (tau := time_step(group)) > 0
            for p in group["params"]
            if p.requires_grad
        ]
        return cls(tuple(p for p, _ in found), tuple(tau for _, tau in found))

    @property
    def tau(self) -> float:
        """The step's tau, that of the first parameter; the others' are in the metric."""
        return self.taus[0]

    @property
    def scales(self) -> list[float]:
        """For each parameter, what its square counts in the cost."""
        return [self.tau / tau for tau in self.taus]

    @property
    def metric(self) -> Metric:
        """``sum |dp|^2 / (2 tau_p)`` as W2 of one atom, with a factor for each group where they differ."""
        if len(set(self.taus)) == 1:
            return Wasserstein()
        sizes = (p.numel() for p in self.parameters)
        return ScaledWasserstein.blocks(*zip(sizes, self.scales, strict=True))

    @cached_property
    def here(self) -> Particles:
        """Where the parameters are, for good."""
        points = torch.cat([p.detach().reshape(-1) for p in self.parameters])[None]
        return Particles.of(points, points.new_ones(1))

    def place(self, points: Tensor) -> None:
        """Write a vector (P,) into the parameters."""
        for p, piece in self._pieces(points):
            p.copy_(piece)

    def slope(self) -> Tensor:
        """The gradients that a closure left, (P,); zero where it left none."""
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return torch.cat([(g.to_dense() if g.is_sparse else g).reshape(-1) for g in parts])

    def leave(self, slope: Tensor) -> None:
        """Give the parameters this gradient (P,), where they have one."""
        for p, piece in self._pieces(slope):
            if p.grad is not None:
                p.grad = piece.clone()

    def repeated(self, numbers: Iterable[float]) -> Tensor:
        """A number for each parameter, as one for each coordinate."""
        like = self.parameters[0]
        sizes = torch.tensor([p.numel() for p in self.parameters], device=like.device)
        return torch.repeat_interleave(like.new_tensor(list(numbers)), sizes)

    def _pieces(self, vector: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        pieces = vector.reshape(-1).split([p.numel() for p in self.parameters])
        return ((p, x.view(p.shape)) for p, x in zip(self.parameters, pieces, strict=True))


def time_step(group: dict[str, Any]) -> float:
    """Tau of a group: lr, times the number of neurons."""
    lr = checks.number("lr", group["lr"], least=0)
    return lr * (1 if group["neurons"] is None else group["neurons"])


def detached(loss: Any) -> Any:
    """A loss without its history."""
    return loss.detach() if isinstance(loss, Tensor) else loss


class ClosureLoss(Energy):
    """``E(mu) = int L dmu`` with L the loss that a closure returns where the parameters are; counts its calls.

    The closure computes the loss, calls ``backward()`` and returns it.  Gradients are cleared before.
    """

    def __init__(self, closure: Callable[[], Any], atom: Atom) -> None:
        checks.function(
            "closure", closure, hint="a function that calls backward() and returns the loss"
        )
        self.closure, self.atom = closure, atom
        self.count = 0
        self.first: Any = None  # what was returned first

    def __call__(self, state: State) -> Tensor:
        """The mean of the losses."""
        return state.atoms.integrate(self.variation(state))

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """The loss at each point."""
        points = state.atoms.points if at is None else at
        return torch.stack([self._at(p)[0] for p in points])

    def gradient(self, state: State, at: Tensor | None = None) -> Tensor:
        """Its slope at each point."""
        points = state.atoms.points if at is None else at
        return torch.stack([self._at(p)[1] for p in points])

    def evaluate(self, mu: Particles) -> Evaluation:
        """One call of the closure for each atom."""
        losses, slopes = zip(*map(self._at, mu.points), strict=True)
        variation = torch.stack(losses)
        return Evaluation(mu.integrate(variation), variation, torch.stack(slopes))

    def _at(self, point: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            self.atom.place(point)
            for p in self.atom.parameters:
                p.grad = None
            with torch.enable_grad():
                loss = self.closure()
            value = self._number(loss, point)
            if self.first is None:
                self.first = detached(loss)
            self.count += 1
            return value, self.atom.slope()

    def _number(self, loss: Any, like: Tensor) -> Tensor:
        if isinstance(loss, Tensor) and loss.numel() == 1:
            loss = loss.detach().item()
        if isinstance(loss, bool) or not isinstance(loss, Real):
            raise TypeError(f"{RETURNS}; got {checks.shown(loss)}")
        if all(p.grad is None for p in self.atom.parameters):
            raise ValueError(
                "the closure left no gradient in any parameter: call loss.backward() in it, without zero_grad() after"
            )
        return like.new_tensor(float(loss))
