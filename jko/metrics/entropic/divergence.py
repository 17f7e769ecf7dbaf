"""The Sinkhorn divergence: entropic transport without its bias at a = b.

``S(a, b) = OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2`` with
``OT(a, b) = min over plans of <plan, |x - y|^2> + epsilon KL(plan | a x b) = max over f, g of <a, f> + <b, g>``
at the optimum (Feydy et al., AISTATS 2019).  It is smooth in both states, and tends to W2^2 (D^2 between pairs
(rho, H), which are read as their graph lifts) as epsilon -> 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from jko import checks
from jko.measures import GridDensity, Pair, Particles, State
from jko.metrics.alike import alike
from jko.metrics.base import Length, Metric
from jko.metrics.entropic.clouds import CloudCosts
from jko.metrics.entropic.grid import GridCosts
from jko.metrics.entropic.kernel import Costs, deep_sums
from jko.metrics.entropic.scaling import Potentials, between, with_itself
from jko.spaces import refuse_wrapped
from jko.status import Status

KEEP = 2**22  # pairs up to which matrices are kept: 32 MiB each


@dataclass(frozen=True)
class Divergence(Length):
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
    error
        How wrong ``squared`` can be for it: a bound, usually far above the error.  Potentials are no further apart
        than the costs, up to constants.
    status
        CONVERGED, or MAX_ITERATIONS where ``residual`` is above the tolerance.

    Examples
    --------
    >>> import jko
    >>> S = jko.metrics.SinkhornDivergence(0.1)
    >>> found = S.distance(jko.Particles([[0.0]]), jko.Particles([[2.0]]))
    >>> round(found.squared, 6), found.status.name
    (4.0, 'CONVERGED')
    """

    squared: float
    epsilon: float
    iterations: int
    residual: float
    error: float
    status: Status = Status.CONVERGED

    @property
    def value(self) -> float:
        """Its square root, comparable to W2; zero where ``squared`` is negative by no more than ``error``, else NaN."""
        if self.squared < 0:
            return 0.0 if self.squared >= -self.error else math.nan
        return math.sqrt(self.squared)


class Unmet(RuntimeError):
    """Marginals were not met; ``best`` is the :class:`Divergence` that was reached, with its bound."""

    def __init__(self, message: str, best: Divergence) -> None:
        super().__init__(message, best)
        self.best = best

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class SinkhornDivergence(Metric):
    """The debiased entropic distance between two states of one sort, in torch; computed in float64 for any dtype.

    Two :class:`jko.GridDensity`, two :class:`jko.Particles`, or two pairs (rho, H) of any kind: then it is the debiased
    entropic form of D (survey Remark 3.4), with ``|theta - theta'|^2 + |H - H'|^2`` for the cost.

    Parameters
    ----------
    epsilon
        Strength of the entropy, a squared length, > 0.  Structures below sqrt(epsilon) are smoothed over, and the
        work grows like 1 / epsilon.
    tol
        Marginals are met within this L1 distance.

    Notes
    -----
    It is not exactly a metric, but drives a step of atoms as one: ``jko.step(..., metric=SinkhornDivergence(epsilon))``
    minimises over their positions, by the envelope theorem, and tends to the W2 step as epsilon -> 0.  Take a ``tol``
    of 1e-8 or less there.  Between grids, kernels are products over the axes and a scaling iteration
    costs O(N^(1 + 1/d)).  Between atoms it costs N M products, or exponentials where epsilon is small or there are
    more than 4 million pairs, made in blocks.  Newton's method finishes what scaling has not.  Memory stays below
    300 MB.

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((0.0, 1.0), 50)
    >>> a = jko.GridDensity.from_function(grid, lambda x: (-100 * (x[:, 0] - 0.4) ** 2).exp())
    >>> b = jko.GridDensity.from_function(grid, lambda x: (-100 * (x[:, 0] - 0.6) ** 2).exp())
    >>> round(jko.metrics.SinkhornDivergence(0.01).distance(a, b).value, 3)
    0.2
    >>> one = jko.ChargedParticles([[0.0], [1.0]], [0.0, 2.0])
    >>> two = jko.ChargedParticles([[3.0], [4.0]], [4.0, 6.0])
    >>> round(jko.metrics.SinkhornDivergence(0.5).distance(one, two).value, 6)
    5.0
    """

    _bare = 1
    epsilon: float
    tol: float = 1e-6

    def __post_init__(self) -> None:
        checks.number("epsilon", self.epsilon, above=0)
        checks.number("tol", self.tol, above=0)

    def distance(self, a: State, b: State, *, throw: bool = True) -> Divergence:
        """The divergence, with what it took; ``throw=False`` returns also one whose marginals are not met.

        Raises
        ------
        TypeError
            Two sorts of state, or one without an entropic distance.
        ValueError
            Different dimensions, dtypes or devices.
        RuntimeError
            The marginals were not met within ``tol``.  The error's ``best`` is the divergence that was reached, with a
            bound of how wrong it is.
        """
        found = self._parts(a, b)[1]
        if throw and not found.status.ok:
            raise self._unmet(found)
        return found

    def cost(self, state: State, base: State) -> Tensor:
        """``S(state, base)``, 0-d; differentiable once in either, whatever their supports and weights.

        In what the states were built from: the ``values`` of densities, and H of pairs; points, H and weights of atoms;
        theta, H and weights of a :class:`jko.ChargedMesh`.  Potentials are stationary: no iteration is differentiated.
        """
        value, found = self._parts(state, base)
        if not found.status.ok:
            raise self._unmet(found)
        return value.to(state.weights.dtype)

    def _parts(self, a: State, b: State) -> tuple[Tensor, Divergence]:
        p, q = _sides(a, b)
        m, n = p.weights.double(), q.weights.double()
        x, y = ((w / w.sum()).detach() for w in (m, n))
        costs = costs_between(p, p, KEEP), costs_between(q, q, KEEP), costs_between(p, q, KEEP)
        if not all(math.isfinite(c.square) for c in costs):
            raise ValueError(
                "the squared distances of the points are no numbers, and entropic plans need them; choose other units, "
                "or jko.distance, which has no squares where they overflow"
            )
        own_p = with_itself(costs[0], x, self.epsilon, self.tol)
        own_q = own_p if p is q else with_itself(costs[1], y, self.epsilon, self.tol)
        across = own_p if p is q else between(costs[2], x, y, self.epsilon, self.tol)
        # potentials are stationary: the derivative in the masses is theirs alone, in the points that of the costs
        value = (m * (across.f - own_p.f)).sum() + (n * (across.g - own_q.f)).sum()
        for side, own, plain, ours, theirs in (
            (p, own_p, costs[0], x, (costs[2], y, across.g)),
            (q, own_q, costs[1], y, (costs[2].transposed, x, across.f)),
        ):
            if isinstance(side, Particles) and side.points.requires_grad:
                here = self._means(plain, ours, own.f)
                slope = 2 * ours[:, None] * (here - self._means(*theirs))
                value = value + (slope * (side.points - side.points.detach())).sum()
        return value, self._divergence(float(value.detach()), costs, (own_p, own_q, across))

    def _divergence(
        self, squared: float, costs: tuple[Costs, ...], found: tuple[Potentials, ...]
    ) -> Divergence:
        residuals = [p.residual for p in found]
        sizes = [2 * (c.square + self.epsilon) for c in costs]
        error = sum(map(math.prod, zip((0.5, 0.5, 1.0), sizes, residuals, strict=True)))
        met = max(residuals) <= self.tol
        return Divergence(
            squared,
            self.epsilon,
            sum(p.iterations for p in found),
            max(residuals),
            error,
            Status.CONVERGED if met else Status.MAX_ITERATIONS,
        )

    def _unmet(self, best: Divergence) -> Unmet:
        return Unmet(
            f"{best.iterations} iterations at epsilon = {self.epsilon:g} left marginals wrong by {best.residual:.1e} "
            f"(tol = {self.tol:g}); pass tol = {2 * best.residual:.0e} to accept that (the divergence is "
            f"{best.squared:.6g}, wrong by at most {best.error:.1e}), take a larger epsilon, or jko.distance, "
            "which needs none",
            best,
        )

    def _means(self, costs: Costs, masses: Tensor, potential: Tensor) -> Tensor:
        """Where each point's mass goes on average under the plan, (N, dim)."""
        assert isinstance(costs, CloudCosts)
        u = masses.log() + potential / self.epsilon
        return deep_sums(costs.kernel(self.epsilon), u)[0].average(costs.y)


Side = GridDensity | Particles


def _sides(a: State, b: State) -> tuple[Side, Side]:
    """Two densities, or two clouds: pairs (rho, H) as their lifts."""
    sorts = (GridDensity, Particles, Pair)
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, GridDensity, Particles, Pair, hint="jko.distance is exact")
    if not any(isinstance(a, sort) and isinstance(b, sort) for sort in sorts):
        raise TypeError(
            f"a is {type(a).__name__} but b is {type(b).__name__}; an entropic distance needs two densities, two "
            "Particles or two pairs (rho, H): pass the .lift() of a pair, the .to_particles() of a density "
            "(jko.distance compares the same)"
        )
    p, q = (s if isinstance(s, GridDensity) else s.atoms for s in (a, b))
    alike(p, q, seams=True)
    return (p, p) if a is b else (p, q)


def costs_between(a: Side, b: Side, keep: int) -> Costs:
    """The squared distances between the points of two grids, or of two clouds, kept up to ``keep`` pairs."""
    if isinstance(a, GridDensity) and isinstance(b, GridDensity):
        axes = _axes(a)
        return GridCosts(axes, axes if a.grid == b.grid else _axes(b), a.domain.periods)
    refuse_wrapped("entropic transport of atoms", a.atoms.domain)
    x = a.atoms.points.detach().double()
    return CloudCosts(x, x if a is b else b.atoms.points.detach().double(), keep)


def _axes(state: GridDensity) -> tuple[Tensor, ...]:
    return tuple(axis.to(state.values.device).double() for axis in state.grid.axes)
