"""Functions whose span a potential is sought in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from jko import checks
from jko.shown import Shown

Features = Callable[[Tensor], Tensor]  # points (n, dim) to numbers (n, p)


@dataclass(frozen=True)
class Monomials(Shown):
    """All products of coordinates of degree one to ``degree``, in order of the degree: (n, dim) -> (n, p).

    Examples
    --------
    >>> import torch
    >>> from jko.snapshots import Monomials
    >>> Monomials(2)(torch.tensor([[2.0, 3.0]])).tolist()  # x, y, x^2, x y, y^2
    [[2.0, 3.0, 4.0, 6.0, 9.0]]
    """

    degree: int

    def __post_init__(self) -> None:
        checks.count("degree", self.degree, most=20)

    def __call__(self, x: Tensor) -> Tensor:
        """The values."""
        axes = range(x.shape[1])
        products = itertools.chain.from_iterable(
            itertools.combinations_with_replacement(axes, n) for n in range(1, self.degree + 1)
        )
        return torch.stack([x[:, list(which)].prod(dim=1) for which in products], dim=1)


@dataclass(frozen=True, eq=False)
class Bumps(Shown):
    """``exp(-|x - c_l|^2 / (2 bandwidth^2))`` for centres c_l: (n, dim) -> (n, p).

    Parameters
    ----------
    centres : (p, dim)
        Where they sit.
    bandwidth : float
        How wide they are; about the distance of the centres.

    Examples
    --------
    >>> import torch
    >>> from jko.snapshots import Bumps
    >>> Bumps([[0.0], [9.0]], 1.0)(torch.zeros(1, 1).double()).round(decimals=6).tolist()
    [[1.0, 0.0]]
    """

    centres: Tensor
    bandwidth: float

    def __post_init__(self) -> None:
        centres = checks.shape("centres", checks.owned("centres", self.centres), ("p", "dim"))
        object.__setattr__(self, "centres", centres)
        checks.number("bandwidth", self.bandwidth, least=1e-140, most=1e140)

    def __call__(self, x: Tensor) -> Tensor:
        """The values."""
        apart = x[:, None, :] - self.centres.to(x)
        return (apart.square().sum(-1) * (-0.5 / self.bandwidth**2)).exp()


def combination(features: Features, coefficients: Tensor, x: Tensor) -> Tensor:
    """``sum_l c_l phi_l(x)``, shape (n,)."""
    return features(x) @ coefficients.to(x)


def together(features: Features | Iterable[Features]) -> Features:
    """Several features as one."""
    if callable(features):
        return features
    parts = checks.items("features", features)
    for part in parts:
        checks.function("features", part, hint="each maps points (n, dim) to numbers (n, p)")
    return partial(side_by_side, parts)


def side_by_side(parts: Sequence[Features], x: Tensor) -> Tensor:
    """The columns of all features."""
    return torch.cat([part(x) for part in parts], dim=1)
