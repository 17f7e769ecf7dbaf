"""The law of networks with two hidden layers: labels of neurons, and kernels of labels.

By the theorem of Aldous and Hoover an array b(i, j) whose law does not change when rows and columns are permuted is a
function of independent labels: u_i of the row, v_j of the column, and one of each entry.  Here that last one is a
normal number which is added.  As N1 and N2 grow the flow of the network tends to that of its means ``b(u, v)``: each
sum over a layer is a law of large numbers, in which the numbers of the entries average out, and no force tells them
apart, so that they stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.measures.layers import TwoLayer
from jko.shown import Shown

Labelled = Callable[[Tensor], Any]


@dataclass(frozen=True)
class LayerKernels(Shown):
    """Networks ``theta_i = theta(u_i)``, ``b_ij = b(u_i, v_j) + noise xi_ij``, ``w_j = w(v_j)`` with random labels.

    Parameters
    ----------
    theta : callable
        Labels u (k, inner) to inner weights (k, n).
    b : callable
        Labels u (k, 1, inner) and v (1, l, outer) to connections, of a shape that broadcasts to (k, l).
    w : callable
        Labels v (l, outer) to outer weights (l,).
    noise : float
        The standard deviation of the independent normal part of each connection.
    inner, outer : int
        How many numbers a label u, v has.
    normal : bool
        Whether labels are normal, instead of uniform on [0, 1].

    Examples
    --------
    >>> import jko, torch
    >>> law = jko.measures.LayerKernels(
    ...     theta=lambda u: 4 * u - 2,
    ...     b=lambda u, v: (u - v)[..., 0],
    ...     w=lambda v: 1 + v[:, 0],
    ...     noise=1.0,
    ... )
    >>> law.sample(N1=50, N2=20, generator=torch.Generator().manual_seed(0))
    TwoLayer(n=1, N1=50, N2=20)
    """

    theta: Labelled
    b: Callable[[Tensor, Tensor], Any]
    w: Labelled
    noise: float = 0.0
    inner: int = 1
    outer: int = 1
    normal: bool = False

    def __post_init__(self) -> None:
        for name in ("theta", "b", "w"):
            checks.function(name, getattr(self, name), hint="a function of labels")
        checks.number("noise", self.noise, least=0)
        checks.count("inner", self.inner)
        checks.count("outer", self.outer)
        checks.kind("normal", self.normal, bool)

    def sample(self, N1: int, N2: int, *, generator: torch.Generator) -> TwoLayer:
        """N1 and N2 neurons with independent labels, of equal masses."""
        return self._network(
            self._random(N1, self.inner, generator),
            self._random(N2, self.outer, generator),
            generator,
        )

    def limit(self, nodes: int = 24) -> TwoLayer:
        """The network of the means, its labels by the rule of Gauss with this many nodes for each of their numbers.

        For smooth kernels the error falls faster than any power of 1 / nodes: this is N1 = N2 = infinity.

        Examples
        --------
        >>> import jko
        >>> law = jko.measures.LayerKernels(
        ...     lambda u: u, lambda u, v: (u * v)[..., 0], lambda v: v[:, 0]
        ... )
        >>> limit = law.limit(4)
        >>> round(float(limit.masses @ limit.w**2), 12)  # int_0^1 v^2 dv
        0.333333333333
        """
        return self._network(self._gauss(nodes, self.inner), self._gauss(nodes, self.outer))

    def half_limit(
        self,
        *,
        N1: int | None = None,
        N2: int | None = None,
        nodes: int = 24,
        generator: torch.Generator,
    ) -> TwoLayer:
        """Random labels in the one layer that has a size, the rule of Gauss in the other.

        Raises
        ------
        ValueError
            Noise: of infinitely many neurons each would have a number for each of the others.

        Examples
        --------
        >>> import jko, torch
        >>> law = jko.measures.LayerKernels(
        ...     lambda u: u, lambda u, v: (u * v)[..., 0], lambda v: v[:, 0]
        ... )
        >>> law.half_limit(N2=7, nodes=5, generator=torch.Generator().manual_seed(0))
        TwoLayer(n=1, N1=5, N2=7)
        """
        if (N1 is None) == (N2 is None):
            raise ValueError(f"N1 = {N1}, N2 = {N2}; one layer has a size here, the other has none")
        if self.noise > 0:
            raise ValueError(
                f"b has noise {self.noise:g}, which no rule of Gauss can hold: of infinitely many neurons in one layer "
                "each has a number of its own for each of the other. Take both layers of a finite size"
            )
        first = (
            self._gauss(nodes, self.inner)
            if N1 is None
            else self._random(N1, self.inner, generator)
        )
        second = (
            self._gauss(nodes, self.outer)
            if N2 is None
            else self._random(N2, self.outer, generator)
        )
        return self._network(first, second)

    def _network(
        self,
        first: tuple[Tensor, Tensor],
        second: tuple[Tensor, Tensor],
        generator: torch.Generator | None = None,
    ) -> TwoLayer:
        """The network of labels with their masses; with noise, if there is a generator."""
        (u, rho), (v, m) = first, second
        theta, b, w = self._at(u, v)
        if generator is not None and self.noise > 0:
            b = b + self.noise * torch.randn(b.shape, generator=generator, dtype=b.dtype)
        return TwoLayer(theta, b, w, rho, m)

    def _random(self, N: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Labels (N, count) and equal masses."""
        hint = "pass torch.Generator().manual_seed(0)"
        checks.kind("generator", generator, torch.Generator, hint=hint)
        draw = torch.randn if self.normal else torch.rand
        labels = draw(checks.size(N=N, count=count), generator=generator, dtype=torch.float64)
        return labels, torch.full((N,), 1 / N, dtype=torch.float64)

    def _at(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """theta, the means of b, and w at labels (N1, inner) and (N2, outer)."""
        theta = checks.floats("theta of the labels u", self.theta(u), u, "the labels")
        b = checks.floats("b of the labels u, v", self.b(u[:, None], v[None]), u, "the labels")
        w = checks.floats("w of the labels v", self.w(v), u, "the labels")
        checks.shape("theta of the labels u", theta, (len(u), "n"))
        checks.shape("w of the labels v", w, (len(v),))
        try:
            return theta, b.expand(len(u), len(v)), w
        except RuntimeError:
            raise ValueError(
                f"b of labels u {(len(u), 1, self.inner)} and v {(1, len(v), self.outer)} has shape {tuple(b.shape)}; "
                f"it must broadcast to {(len(u), len(v))}: take the numbers of a label by u[..., 0]"
            ) from None

    def _gauss(self, nodes: int, count: int) -> tuple[Tensor, Tensor]:
        """Labels (nodes^count, count) and masses with sum one."""
        nodes = checks.count("nodes", nodes)
        if self.normal:
            x, m = np.polynomial.hermite_e.hermegauss(nodes)
        else:
            x, m = np.polynomial.legendre.leggauss(nodes)
            x = 0.5 * (x + 1)
        axis, mass = torch.from_numpy(x), torch.from_numpy(m / m.sum())
        labels = torch.cartesian_prod(*[axis] * count).reshape(-1, count)
        masses = torch.cartesian_prod(*[mass] * count).reshape(-1, count).prod(1)
        return labels, masses / masses.sum()
