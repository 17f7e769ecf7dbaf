"""The Sinkhorn divergence between densities on grids: entropic transport without its bias at a = b.

``S(a, b) = OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2`` with
``OT(a, b) = min over plans of <plan, |x - y|^2> + epsilon KL(plan | a x b) = max over f, g of <a, f> + <b, g>``
at the optimum (Feydy et al., AISTATS 2019).  It is smooth in the densities, and tends to W2^2 as epsilon -> 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jko import checks
from jko.measures import GridDensity

PLAIN = 600.0  # depth of exponents up to which a product with the kernel is right
BLOCK = 2**22  # exponents at a time
ITERATIONS = 2000
HALVING = 0.5  # of epsilon, on the way down from the squared diameter


@dataclass(frozen=True)
class Divergence:
    """A Sinkhorn divergence.

    Parameters
    ----------
    squared
        ``S(a, b)``: not negative up to the residual, zero for a = b.
    epsilon
        The regularisation, a squared length.
    iterations
        Scaling iterations in all.
    residual
        L1 distance of the worst plan's marginals to the densities.
    """

    squared: float
    epsilon: float
    iterations: int
    residual: float

    @property
    def value(self) -> float:
        """Its square root, comparable to W2; NaN if rounding left ``squared`` negative."""
        return math.sqrt(self.squared) if self.squared >= 0 else math.nan

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class SinkhornDivergence:
    """The debiased entropic distance between two :class:`jko.GridDensity`, in torch.

    Parameters
    ----------
    epsilon
        Strength of the entropy, a squared length, > 0.  Structures below sqrt(epsilon) are smoothed over, and the
        work grows like 1 / epsilon.
    tol
        Marginals are met within this L1 distance.

    Notes
    -----
    It is no metric and cannot drive a step.  Kernels are products over the axes, so a scaling iteration costs
    O(N^(1 + 1/d)).

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((0.0, 1.0), 50)
    >>> a = jko.GridDensity.from_function(grid, lambda x: (-100 * (x[:, 0] - 0.4) ** 2).exp())
    >>> b = jko.GridDensity.from_function(grid, lambda x: (-100 * (x[:, 0] - 0.6) ** 2).exp())
    >>> round(jko.SinkhornDivergence(0.01).distance(a, b).value, 3)
    0.2
    """

    epsilon: float
    tol: float = 1e-6

    def __post_init__(self) -> None:
        checks.number("epsilon", self.epsilon, above=0)
        checks.number("tol", self.tol, above=0)

    def distance(self, a: GridDensity, b: GridDensity) -> Divergence:
        """The divergence, with what it took.

        Raises
        ------
        RuntimeError
            The marginals were not met: epsilon is too small for scaling iterations.
        """
        value, iterations, residual = self._parts(a, b)
        return Divergence(float(value), self.epsilon, iterations, residual)

    def cost(self, a: GridDensity, b: GridDensity) -> Tensor:
        """``S(a, b)``, 0-d; differentiable in ``values`` of states made by ``GridDensity.of``."""
        return self._parts(a, b)[0]

    def _parts(self, a: GridDensity, b: GridDensity) -> tuple[Tensor, int, float]:
        for name, state in (("a", a), ("b", b)):
            checks.kind(name, state, GridDensity, hint="for atoms use jko.distance, which is exact")
        if a.dim != b.dim:
            raise ValueError(
                f"a has dimension {a.dim} but b has dimension {b.dim}; a distance needs one space for both"
            )
        checks.alike("a", a.values, "b", b.values)
        pairs = [Entropic(p, q, self.epsilon, self.tol) for p, q in ((a, b), (a, a), (b, b))]
        (f, g), (fa, ga), (fb, gb) = (pair.potentials() for pair in pairs)
        mass_a, mass_b = (s.values * s.grid.cell for s in (a, b))
        # potentials are stationary: the derivative in the masses is theirs alone
        value = (mass_a * (f - 0.5 * (fa + ga))).sum() + (mass_b * (g - 0.5 * (fb + gb))).sum()
        return value, sum(p.iterations for p in pairs), max(p.residual for p in pairs)


class Entropic:
    """``OT(a, b)`` by scaling iterations in logarithms, with epsilon lowered on the way."""

    def __init__(self, a: GridDensity, b: GridDensity, epsilon: float, tol: float) -> None:
        self.epsilon, self.tol, self.same = epsilon, tol, a is b
        with torch.no_grad():
            self.a, self.b = (s.values * s.grid.cell for s in (a, b))
            self.x, self.y = ([t.to(s.values) for t in s.grid.axes] for s in (a, b))
        self.iterations, self.residual = 0, math.inf

    def potentials(self) -> tuple[Tensor, Tensor]:
        """f and g on all cells."""
        with torch.no_grad():
            spans = [
                max(p.max(), q.max()) - min(p.min(), q.min())
                for p, q in zip(self.x, self.y, strict=True)
            ]
            epsilon = max(self.epsilon, float(sum(s**2 for s in spans)))
            log_a, log_b = self.a.log(), self.b.log()
            f, g = torch.zeros_like(self.a), torch.zeros_like(self.b)
            while True:
                last = epsilon <= self.epsilon
                for _ in range(ITERATIONS if last else 3):
                    self.iterations += 1
                    new = -epsilon * softmax_sums(log_b + g / epsilon, self.y, self.x, epsilon)
                    if last:
                        self.residual = float(
                            (self.a * torch.expm1((f - new) / epsilon)).abs().sum()
                        )
                        if self.residual <= self.tol:
                            return f, g
                    if self.same:
                        f = g = 0.5 * (f + new)
                        continue
                    f = new
                    g = -epsilon * softmax_sums(log_a + f / epsilon, self.x, self.y, epsilon)
                if last:
                    break
                epsilon = max(HALVING * epsilon, self.epsilon)
        raise RuntimeError(
            f"{ITERATIONS} scaling iterations at epsilon = {self.epsilon:g} left marginals wrong by "
            f"{self.residual:.1e} (tol = {self.tol:g}); take a larger epsilon, or jko.distance, which needs none"
        )


def softmax_sums(u: Tensor, y: Sequence[Tensor], x: Sequence[Tensor], epsilon: float) -> Tensor:
    """``log sum_j exp(u_j - |x_i - y_j|^2 / epsilon)`` for all centres x_i of a grid; one axis at a time."""
    for axis, (q, p) in enumerate(zip(y, x, strict=True)):
        exponent = -((p[:, None] - q) ** 2) / epsilon
        u = _along(u.movedim(axis, -1), exponent).movedim(-1, axis)
    return u


def _along(u: Tensor, exponent: Tensor) -> Tensor:
    """``log sum_j exp(u[..., j] + exponent[i, j])``, shape (..., i)."""
    top = u.amax(-1, keepdim=True)
    top = torch.where(top > -math.inf, top, 0.0)
    if float(-exponent.min()) < PLAIN:
        return torch.log((u - top).exp() @ exponent.exp().T) + top
    flat = u.reshape(-1, u.shape[-1])
    rows = max(1, BLOCK // exponent.numel())
    parts = [torch.logsumexp(part[:, None, :] + exponent, dim=-1) for part in flat.split(rows)]
    return torch.cat(parts).reshape(*u.shape[:-1], len(exponent))
