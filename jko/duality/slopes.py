"""Bounds on c_g(theta) = <g, h(theta, .)> and its derivatives, from the data alone.

For a ridge, c_g has the derivatives ``sum_m q_m g_m sigma^(j)(theta . x_m) x_m^(j times)`` (a one appended to x_m), so
bounds on three derivatives of sigma bound them: everywhere, or in a box from the least |theta . x_m| in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from jko.duality.minorant import Minorant
from jko.networks import FeatureMap, GaussianBump, Ridge


@dataclass(frozen=True, eq=False)
class Slopes:
    """c_g and its derivatives at points, and bounds on the derivatives in boxes around them.

    ``everywhere`` holds C0 .. C3, bounds on |c|, |grad c|, |Hess c|, |D^3 c| (Euclidean operator norms).  Of k outputs
    there are k functions c: prices are (M, k), the bounds (k,), and all else has a further axis after the points'.
    """

    parts: tuple[tuple[FeatureMap, Tensor, Tensor], ...]  # h, x, q g
    everywhere: tuple[float | Tensor, ...]

    @classmethod
    def of(cls, minorant: Minorant, g: Tensor) -> Slopes | None:
        """None where an activation's derivatives have no known bounds."""
        prices = minorant.charges(g)
        parts = tuple(
            (h, risk.data.x, part)
            for h, risk, part in zip(
                minorant.activations or (), minorant.risks, prices, strict=True
            )
        )
        found = [_everywhere(*part) if part[2].ndim == 1 else _columns(*part) for part in parts]
        if any(bounds is None for bounds in found):
            return None
        C0, C1, C2, C3 = (sum(column) for column in zip(*found, strict=True))
        return cls(parts, (C0, C1, C2, C3))

    def at(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """c (b,), grad c (b, d), Hess c (b, d, d)."""
        if self.parts[0][2].ndim == 2:
            columns = (each.at(theta) for each in self._each)
            return tuple(torch.stack(column, 1) for column in zip(*columns, strict=True))  # type: ignore[return-value]
        with torch.no_grad():
            pulls = [h.linearise(theta, x)[1](part) for h, x, part in self.parts]
            hessians = [h.hessian(theta, x, part) for h, x, part in self.parts]
        c, slope = (torch.stack(column).sum(0) for column in zip(*pulls, strict=True))
        return c, slope, torch.stack(hessians).sum(0)

    def near(self, theta: Tensor, half: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bounds C1, C2, C3 (b,) in the boxes ``theta +- half``."""
        if self.parts[0][2].ndim == 2:
            columns = (each.near(theta, half) for each in self._each)
            return tuple(torch.stack(column, 1) for column in zip(*columns, strict=True))  # type: ignore[return-value]
        total = [torch.zeros_like(theta[:, 0])] * 3
        for h, x, part in self.parts:
            if isinstance(h, Ridge):
                local = _ridge_near(h, x, part, theta, half)
            else:
                bounds = _everywhere(h, x, part) or (math.inf,) * 4
                local = [torch.full_like(theta[:, 0], b) for b in bounds[1:]]
            total = [t + b for t, b in zip(total, local, strict=True)]
        return tuple(t.clamp(max=C) for t, C in zip(total, self.everywhere[1:], strict=True))  # type: ignore[return-value]

    @property
    def _each(self) -> Iterator[Slopes]:
        """Those of each output."""
        for j in range(self.parts[0][2].shape[1]):
            parts = tuple((h, x, part[:, j]) for h, x, part in self.parts)
            yield Slopes(parts, tuple(C[j] for C in self.everywhere))  # type: ignore[index]


#: sup |sigma|, |sigma'|, |sigma''|, |sigma'''|, rounded up
RIDGE = {torch.tanh: (1.0, 1.0, 0.769801, 2.0), torch.sigmoid: (1.0, 0.25, 0.0962251, 0.125)}
#: the same for exp(-|u|^2/2) in any dimension: 1, e^{-1/2}, 1, sup (3 t - t^3) e^{-t^2/2}
BUMP = (1.0, 0.606531, 1.0, 1.380120)


def _columns(h: FeatureMap, x: Tensor, g: Tensor) -> tuple[Tensor, ...] | None:
    """The bounds of each output, (k,)."""
    found = [_everywhere(h, x, column) for column in g.unbind(1)]
    if any(bounds is None for bounds in found):
        return None
    return tuple(g.new_tensor(column) for column in zip(*found, strict=True))


def _everywhere(h: FeatureMap, x: Tensor, g: Tensor) -> tuple[float, float, float, float] | None:
    """Bounds on c_g and its first three derivatives on all of Theta."""
    weight = g.abs()
    total = float(weight.sum())
    if isinstance(h, GaussianBump):
        return tuple(total * b / h.width**j for j, b in enumerate(BUMP))  # type: ignore[return-value]
    if not (isinstance(h, Ridge) and h.sigma in RIDGE):
        return None
    one = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    gram = float(torch.linalg.eigvalsh((one * weight[:, None]).T @ one)[-1]) * (1 + 1e-12)
    b = RIDGE[h.sigma]
    length = one.norm(dim=1)
    slope = min(float(weight @ length), math.sqrt(total * gram))
    return b[0] * total, b[1] * slope, b[2] * gram, b[3] * gram * float(length.max())


def _ridge_near(h: Ridge, x: Tensor, g: Tensor, theta: Tensor, half: Tensor) -> list[Tensor]:
    """The same, from the slopes of sigma on the interval of theta . x + b in each box."""
    one = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    least = ((theta @ one.T).abs() - half @ one.abs().T).clamp(min=0)
    scale = 1.0 if h.sigma is torch.tanh else 0.5  # sigmoid(s) = (1 + tanh(s/2)) / 2
    decay = 1 / torch.cosh((scale * least).clamp(max=300)) ** 2  # tanh' at the least argument
    amplitude = 1.0 if h.sigma is torch.tanh else 0.5
    weight, length = amplitude * g.abs(), scale * one.norm(dim=1)
    first = decay  # |tanh'| ; |tanh''| <= 2 tanh' ; |tanh'''| <= 4 tanh'
    second, third = (2 * decay).clamp(max=RIDGE[torch.tanh][2]), (4 * decay).clamp(max=2.0)
    return [s @ (weight * length**j) for j, s in enumerate((first, second, third), start=1)]
