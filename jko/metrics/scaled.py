"""W2 with a factor for each coordinate: some move more easily than others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jko import checks
from jko.measures import ChargedSpan, GridDensity, LineMesh, Particles, State
from jko.metrics.alike import alike
from jko.metrics.base import Distance, Metric
from jko.metrics.graph import GraphWasserstein
from jko.metrics.lifted import lifted_distance
from jko.metrics.natural import metric_between
from jko.metrics.wasserstein import Wasserstein
from jko.spaces import Grid, refuse_wrapped


@dataclass(frozen=True, init=False)
class ScaledWasserstein(Metric):
    """``min over couplings of int sum_k s_k |x_k - y_k|^2``: W2, or D of pairs, with a factor for each coordinate.

    The gradient flow in it is ``xi' = -S^{-1} grad dE/dmu(xi)``: coordinate k has the learning rate ``1 / s_k``.  A
    step is certified as in W2, of which it is a change of coordinates; with all scales 1 it is that of W2 to the bit.

    Parameters
    ----------
    scales
        A number for all coordinates, or one for each, > 0.  The coordinates of a pair (rho, H) are those of its lift,
        (H, theta).

    Examples
    --------
    >>> import jko
    >>> mu, nu = jko.Particles([[0.0, 0.0]]), jko.Particles([[3.0, 1.0]])
    >>> jko.metrics.ScaledWasserstein([1.0, 16.0]).distance(mu, nu).value
    5.0
    >>> step = jko.step(
    ...     jko.SquaredNorm(),
    ...     jko.Particles([[2.0, 2.0]]),
    ...     tau=1.0,
    ...     metric=jko.metrics.ScaledWasserstein([1.0, 3.0]),
    ...     solver=jko.LBFGS(tol=1e-12),
    ... )
    >>> [round(v, 10) for v in step.state.points[0].tolist()]
    [1.0, 1.5]
    """

    _bare = 1
    scales: tuple[float, ...]

    def __init__(self, scales: Any) -> None:
        factors = checks.floats("scales", scales).flatten().tolist()
        if not factors:
            raise ValueError("scales is empty; it has one number for all coordinates, or one each")
        for k, s in enumerate(factors):
            checks.number(f"scales[{k}]", s, above=0)
        object.__setattr__(self, "scales", tuple(factors))

    @classmethod
    def blocks(cls, *blocks: tuple[int, float]) -> ScaledWasserstein:
        """From pairs (number of coordinates, scale), in the order of the coordinates.

        Examples
        --------
        >>> import jko
        >>> jko.metrics.ScaledWasserstein.blocks((1, 4.0), (2, 1.0)).scales
        (4.0, 1.0, 1.0)
        """
        pairs = [checks.items(f"blocks[{k}]", block, 2) for k, block in enumerate(blocks)]
        sizes = [checks.count(f"blocks[{k}]", size, least=0) for k, (size, _) in enumerate(pairs)]
        return cls([s for n, (_, s) in zip(sizes, pairs, strict=True) for _ in range(n)])

    @classmethod
    def neurons(
        cls, n: int, *, w: float = 1.0, theta: float = 1.0, bias: float = 1.0
    ) -> ScaledWasserstein:
        """For neurons ``(w, theta', bias)`` of :class:`jko.Ridge` with n inputs: a scale for each part."""
        return cls.blocks((1, w), (checks.count("n", n), theta), (1, bias))

    @classmethod
    def two_layers(cls, n: int, N2: int) -> ScaledWasserstein:
        """The product metric of both layers of a :class:`jko.energies.TwoLayerRisk`, in which none freezes as N2 grows.

        ``int |d theta|^2 + (1/N2) sum_j |d b_j|^2 + (1/N2) sum_j |d w_j|^2``: the means over the N2 neurons that the
        network has in its value.
        """
        n, N2 = checks.count("n", n), checks.count("N2", N2)
        return cls.blocks((n, 1.0), (2 * N2, 1.0 / N2))

    def factors(self, dim: int) -> tuple[float, ...]:
        """The scales; (1.0,) where all are one."""
        if len(self.scales) not in (1, dim):
            raise ValueError(
                f"the metric has {len(self.scales)} scales but the atoms have {dim} coordinates; it needs one number, "
                "or one for each coordinate (of a pair: first H, then theta)"
            )
        return (1.0,) if set(self.scales) == {1.0} else self.scales

    def cost(self, state: State, base: State) -> Tensor:
        """``sum_i m_i sum_k s_k (x_ik - y_ik)^2`` by index; lifts keep their gradients."""
        refuse_wrapped(repr(self), state.atoms.domain, base.atoms.domain)
        return Wasserstein().cost(self.stretched(state.atoms), self.stretched(base.atoms))

    def distance(self, a: State, b: State) -> Distance:
        """The distance, with an optimal plan; the potentials are those of the scaled cost."""
        for name, state in (("a", a), ("b", b)):
            if isinstance(state, ChargedSpan):
                raise TypeError(
                    f"{name} is a ChargedSpan, whose H is no coordinate; pass its .lift()"
                )
        refuse_wrapped(repr(self), a.domain, b.domain)
        if isinstance(metric_between(a, b), GraphWasserstein):
            return lifted_distance(*map(self.stretched, alike(a, b)))
        return Wasserstein().distance(self.stretched(a), self.stretched(b))

    def stretched(self, state: Any) -> Any:
        """A measure in the coordinates ``sqrt(s) x``, in which this metric is W2; itself where all scales are one."""
        factors = self.factors(1 if isinstance(state, LineMesh) else state.dim)
        if factors == (1.0,):
            return state
        if isinstance(state, LineMesh):
            return state.moved(state.edges * math.sqrt(factors[0]))
        roots = state.weights.new_tensor(factors).sqrt()
        if isinstance(state, GridDensity):
            roots = roots.expand(state.dim)
            bounds = [
                (a * r, b * r) for (a, b), r in zip(state.grid.bounds, roots.tolist(), strict=True)
            ]
            return GridDensity.of(Grid(bounds, state.grid.shape), state.values / roots.prod())
        return Particles.of(state.points * roots, state.weights)
