"""The pair (rho, H) whose H is known on all of Theta: ``H = alpha H_0 - sum_m b_m h(., x_m)``.

For a potential that is quadratic in H, the equation ``d_t H = -(N + d_H V)`` of (3.19) moves H in the span of H_0 and
of the features of the data, and so does the step of L2(rho) in H.  So (alpha, b) is H, without a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures.density import GridDensity
from jko.measures.mesh import LineMesh
from jko.measures.state import Lifted, Particles
from jko.spaces import Domain, cached, cylinder, refuse_wrapped

Measure = Particles | LineMesh | GridDensity

BLOCK = 2**17  # feature values at a time: 1 MiB, so that the passes over a block stay in cache


@dataclass(frozen=True, eq=False)
class ChargedSpan(Lifted):
    """A measure rho on Theta with ``H(theta) = alpha H0(theta) - sum_m b[m] h(theta, x[m])``.

    Parameters
    ----------
    rho : Particles, LineMesh or GridDensity
        The measure on Theta: atoms in any dimension, or a density.
    H0 : callable
        Points (n, d) to numbers (n,), in torch.
    h : callable
        The activation: (theta (n, d), x (M, k)) to (n, M); of a risk its ``activation``.
    x : (M, k)
        The inputs of the data; of a risk its ``data.x``.
    alpha, b : float and (M,), optional
        Default 1 and 0, so that H is H0.

    Raises
    ------
    TypeError, ValueError
        Another kind of rho, functions that return another shape, H not finite where there is mass.

    Notes
    -----
    Source: survey (3.19) and section 2.3.  The state of :class:`jko.metrics.SplitWasserstein`.  Gradients flow to rho,
    x and b; where none of them requires one, what H0 and h read is not recorded.

    Examples
    --------
    >>> import jko, torch
    >>> rho = jko.Particles([[0.0, 1.0], [2.0, 0.0]])
    >>> pair = jko.ChargedSpan(
    ...     rho, lambda theta: theta[:, 0], jko.Ridge(torch.tanh), [[0.0], [1.0]]
    ... )
    >>> pair.H(rho.points).tolist()
    [0.0, 2.0]
    """

    rho: Measure
    H0: Callable[[Tensor], Tensor]
    h: Callable[[Tensor, Tensor], Tensor]
    x: Tensor
    alpha: float
    b: Tensor

    def __init__(
        self,
        rho: Measure,
        H0: Callable[[Tensor], Tensor],
        h: Callable[[Tensor, Tensor], Tensor],
        x: Any,
        alpha: float = 1.0,
        b: Any = None,
    ) -> None:
        checks.kind("rho", rho, Particles, LineMesh, GridDensity, hint="a measure on Theta")
        refuse_wrapped("a ChargedSpan", rho.domain)
        like = rho.support
        x = checks.shape("x", checks.owned("x", x, like, "rho"), ("M", "k"))
        b = checks.owned("b", [0.0] * len(x) if b is None else b, like, "rho")
        checks.shape("b", b, (len(x),))
        alpha = checks.number("alpha", alpha)
        checks.function("H0", H0, hint="it maps points (n, d) to numbers (n,)")
        checks.function("h", h, hint="of a risk pass its activation")
        self._fill(rho=rho, H0=H0, h=h, x=x, alpha=alpha, b=b)
        bad = ~torch.isfinite(self.atoms.points[:, 0]) & (self.weights > 0)
        if bool(bad.any()):
            raise ValueError(
                f"H is not finite at {int(bad.sum())} atoms that hold mass; it must be a number wherever rho > 0"
            )

    def _facts(self) -> dict[str, Any]:
        return {"rho": self.rho, "alpha": self.alpha, "M": len(self.x), "h": self.h, "H0": self.H0}

    def H(self, theta: Tensor) -> Tensor:
        """``alpha H0(theta) - sum_m b[m] h(theta, x[m])``, shape (n,); differentiable in theta (n, d)."""
        first = checks.values("the function H0", self.H0, theta)
        rest = [self._features(part) @ self.b for part in theta.split(max(1, BLOCK // len(self.x)))]
        return self.alpha * first - torch.cat(rest)

    def _features(self, theta: Tensor) -> Tensor:
        shape = (len(theta), len(self.x))
        return checks.returned(
            "the activation h",
            checks.called("the activation h", self.h, theta, self.x),
            shape,
            theta,
        )

    def _normalised(self) -> ChargedSpan:
        """Its masses are those of rho, whose they are to keep."""
        return ChargedSpan(**self._attributes())

    def with_rho(self, rho: Measure) -> ChargedSpan:
        """Another measure with the same H."""
        return ChargedSpan(rho, self.H0, self.h, self.x, self.alpha, self.b)

    def with_H(self, alpha: float, b: Tensor) -> ChargedSpan:
        """The same measure with another H."""
        return ChargedSpan(self.rho, self.H0, self.h, self.x, alpha, b)

    @property
    def domain(self) -> Domain | None:  # type: ignore[override]
        """Theta."""
        return self.rho.domain

    @property
    def weights(self) -> Tensor:  # type: ignore[override]
        """Masses of the atoms of rho's quadrature, (N,)."""
        return self.rho.weights

    @property
    def support(self) -> Tensor:
        """Atoms of rho's quadrature, (N, d)."""
        return self.rho.support

    @cached
    def atoms(self) -> Particles:
        """The lift: atoms (H(theta_i), theta_i) over the quadrature of rho; weights may be zero."""
        theta = self.support
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.requires_grad):
            points = torch.cat([self.H(theta)[:, None], theta], dim=1)
        return Particles.of(points, self.weights, cylinder(self.domain))
