"""``check_metric``: the axioms of a distance, its plan and proof, and the cost that steps penalise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.derivatives import generic, leaf, recording, slope
from jko.measures import ChargedParticles, OnCells, Pair, Particles, State
from jko.metrics import Distance, Length, Metric, as_array
from jko.testing import samples
from jko.testing.promises import UNFIT, Difference, accepted, promise

SPARE = 1e-6  # relative: what an iterative metric may be wrong by
FAR, SMALL = 3000.0, 1e-4  # where a small move is lost in expanded squares, and such a move
PROVED = 1e-8  # relative: a gap above it proves nothing exact
DIGITS = 1e-2  # relative: what of the cost of a small move may be wrong


def check_metric(
    metric: Metric,
    states: Sequence[State] | None = None,
    *,
    symmetric: bool = True,
    triangle: bool = True,
) -> None:
    """Hold a metric to its contract.

    - ``distance`` is zero from a state to itself, finite, never negative, symmetric, the same for atoms in any order,
      and keeps the triangle inequality; ``squared`` is its square.
    - Of a :class:`jko.metrics.Distance`, the plan couples the two states, ``exact`` is what its gap says; where the
      metric has ``factors``, the plan costs ``squared``, and the potentials are feasible and prove ``squared - gap``.
    - ``cost`` is 0-d, not negative, zero with no slope at the base, not below the squared distance; torch's slope of it
      is that of its values; a small move far from the origin has its digits.
    - Where there are ``factors``, the cost is that of the index coupling with them.

    Parameters
    ----------
    metric : Metric
    states : sequence of three states or more, optional
        Of one kind that the metric compares; default clouds in dimension one to three and pairs (rho, H), those that it
        does not refuse.
    symmetric, triangle : bool
        Whether it has these two properties; divergences and the split metric do not.

    Raises
    ------
    BrokenPromise
        The first promise that does not hold.

    Examples
    --------
    >>> import jko
    >>> from jko.testing import check_metric
    >>> check_metric(jko.Wasserstein())
    """
    checks.kind("metric", metric, Metric, hint="subclass jko.Metric")
    if states is None:
        groups = accepted(
            samples.triples(), lambda group: metric.distance(*group[:2]), metric, "distance", UNFIT
        )
    else:
        groups = [list(states)]
    for group in groups:
        _axioms(metric, group, symmetric, triangle)
        for a, b in pairwise(group):
            _proof(metric, a, b)
        _order(metric, *group[:2])
        _costs(metric, group)


def _length(metric: Metric, a: State, b: State) -> float:
    found = metric.distance(a, b)
    kind = type(found).__name__
    promise(isinstance(found, Length), metric, "distance", f"gives a {kind}, not a Distance")
    value = float(found.value)
    said = f"is {value} between {a!r} and {b!r}; it is a number, not negative"
    promise(math.isfinite(value) and value >= 0, metric, "distance", said)
    said = f"has the value {value:.10g} but squared = {found.squared:.10g}, which is not its square"
    agree = math.isclose(value**2, found.squared, rel_tol=1e-9)
    promise(agree or (value == 0 and abs(found.squared) <= SPARE), metric, "distance", said)
    return value


def _axioms(metric: Metric, group: list[State], symmetric: bool, triangle: bool) -> None:
    d = {(i, j): _length(metric, a, b) for i, a in enumerate(group) for j, b in enumerate(group)}
    scale = max(d.values())
    promise(scale > 0, metric, "distance", "is zero between all states, which differ")
    for i, j in d:
        if i == j:
            said = f"is {d[i, i]:.3g} from a state to itself; it is zero (others are {scale:.3g})"
            promise(d[i, i] <= SPARE * scale, metric, "distance", said)
        elif symmetric:
            said = (
                f"is {d[i, j]:.10g} one way and {d[j, i]:.10g} the other; pass symmetric=False if that is meant, "
                "or look which of the two measures the integral is against"
            )
            promise(abs(d[i, j] - d[j, i]) <= SPARE * scale, metric, "distance", said)
    for i, j, k in permutations(range(len(group)), 3) if triangle else ():
        said = (
            f"is {d[i, k]:.10g}, longer than the way by a third state, {d[i, j]:.6g} + {d[j, k]:.6g}; is it the square "
            "of a distance? A divergence has triangle=False"
        )
        promise(d[i, k] <= d[i, j] + d[j, k] + SPARE * scale, metric, "distance", said)


def _order(metric: Metric, a: State, b: State) -> None:
    """The order of the atoms is none of the measure."""
    if not isinstance(a, Particles | ChargedParticles) or a.atoms.frame:
        return  # of another kind, whose constructor nobody knows here
    turn = torch.arange(a.N).roll(1)
    if isinstance(a, Particles):
        other: State = Particles(a.points[turn], a.weights[turn], a.domain)
    else:
        other = ChargedParticles(a.theta[turn], a.H[turn], a.weights[turn], a.domain)
    here, there = _length(metric, a, b), _length(metric, other, b)
    said = (
        f"is {here:.10g}, and {there:.10g} with the atoms in another order; it is of the measures, so it looks for the "
        "best coupling, or sorts"
    )
    promise(abs(here - there) <= SPARE * max(here, there), metric, "distance", said)


def _proof(metric: Metric, a: State, b: State) -> None:
    """The plan couples the states, and the potentials prove what is said of it."""
    found = metric.distance(a, b)
    if not isinstance(found, Distance):
        return
    held = zip("ab", found.plan.marginals(), (a, b), strict=True)
    for name, marginal, state in held:
        m = as_array(state.weights)
        if len(marginal) != len(m):  # a plan of cells, of which each is several atoms
            marginal, m = marginal.sum(keepdims=True), m.sum(keepdims=True)
        said = f"has the masses {marginal} at the atoms of {name}, whose weights are {m}"
        close = np.allclose(marginal, m, rtol=0, atol=1e-9)
        promise(close, metric, "distance(a, b).plan", said)
    promise(found.gap >= 0, metric, "distance(a, b).gap", f"is {found.gap:g}, negative")
    said = f"is True with the gap {found.gap:.3g} of squared = {found.squared:.6g}; an estimate is none"
    proved = not found.exact or found.gap <= PROVED * found.squared
    promise(proved, metric, "distance(a, b).exact", said)
    factors = metric.factors(a.dim)
    if factors is None or found.plan.shape != (a.N, b.N):
        return
    scales = np.broadcast_to(np.asarray(factors), (a.dim,)) ** 0.5
    x, y = (as_array(state.atoms.points) * scales for state in (a, b))
    cost = found.plan.cost(x, y)
    said = f"costs {cost:.10g}, but squared = {found.squared:.10g}"
    promise(math.isclose(cost, found.squared, rel_tol=SPARE), metric, "distance(a, b).plan", said)
    alpha, beta = found.potentials
    if len(alpha) == 0:
        return
    excess = float((alpha[:, None] + beta - ((x[:, None] - y) ** 2).sum(-1)).max())
    said = f"break the constraint of a pair by {excess:.3g}: alpha_i + beta_j <= |x_i - y_j|^2"
    promise(excess <= SPARE * found.squared, metric, "distance(a, b).potentials", said)
    bound = float(as_array(a.weights) @ alpha + as_array(b.weights) @ beta)
    said = f"prove {bound:.10g}, less than squared - gap = {found.squared - found.gap:.10g}"
    proved = bound >= found.squared - found.gap - SPARE * found.squared
    promise(proved, metric, "distance(a, b).potentials", said)


def _costs(metric: Metric, group: list[State]) -> None:
    base = group[0]
    if isinstance(base, OnCells) and not isinstance(base, Pair):
        return  # it moves by its own solver, which counts the cost
    try:
        base.placed(base.atoms.points)
    except TypeError:  # its own solver moves it
        for state in group:
            if torch.equal(state.weights, base.weights):
                _bound(metric, state, base)
        return
    move = generic(base.atoms.points, 7)
    if base.domain is None:  # as the state can make it: some of its coordinates may be one
        move = base.placed(base.atoms.points + move).atoms.points - base.atoms.points
    for size in (0.0, 0.1, 1.0):
        _bound(metric, base.placed(base.atoms.points + size * move), base)
    _slope(metric, base, move)
    _digits(metric, base, move)
    _index(metric, base, move)


def _bound(metric: Metric, state: State, base: State) -> None:
    cost: Any = metric.cost(state, base)
    what = tuple(cost.shape) if isinstance(cost, Tensor) else type(cost).__name__
    said = f"is a 0-d tensor, but here it is {what}"
    promise(isinstance(cost, Tensor) and cost.shape == (), metric, "cost", said)
    squared, itself = _length(metric, state, base) ** 2, state is base
    value = float(cost)
    promise(value >= -1e-12, metric, "cost", f"is {value:.6g}, negative")
    said = f"is {value:.10g}, below the squared distance {squared:.10g}; is it half of it, or its root?"
    promise(value >= squared * (1 - SPARE) - 1e-9, metric, "cost", said)
    if itself:
        promise(value <= 1e-12, metric, "cost", f"is {value:.3g} from a state to itself")


def _slope(metric: Metric, base: State, move: Tensor) -> None:
    """That of torch is that of the values, and none at the base."""
    points = base.atoms.points

    def cost(x: Tensor) -> Tensor:
        return metric.cost(base.placed(x), base)

    def recorded(x: Tensor) -> tuple[float, Tensor]:
        with recording():
            x = leaf(x)
            value = cost(x)
            said = "is not differentiable by torch: make it from state.atoms.points, without .detach() and numpy"
            promise(value.requires_grad, metric, "cost", said)
            return float(value.detach()), slope(value, x).detach()

    value, found = recorded(points)
    most, size = float(found.abs().max()), SPARE * float(cost(points + move))
    said = f"is {value:.3g} at the base with the slope {most:.3g}; both are zero there"
    promise(abs(value) <= size and most <= size, metric, "cost", said)
    half_way = points + 0.5 * move
    along = (recorded(half_way)[1] * move).sum()
    if wrong := Difference.of(lambda s: cost(half_way + s * move)).apart(along):
        said = (
            f"has by torch the slope {wrong[0]:.6g} along a move of the atoms, and its values say {wrong[1]:.6g}; "
            "what .item(), .detach() or numpy hide has no slope"
        )
        promise(False, metric, "cost", said)


def _digits(metric: Metric, base: State, move: Tensor) -> None:
    """Half of a small move costs a quarter, also far from the origin."""
    far = base.placed(base.atoms.points + FAR)
    whole, half = (
        float(metric.cost(far.placed(far.atoms.points + h * move), far)) / h**2
        for h in (SMALL, SMALL / 2)
    )
    said = (
        f"of a small move far from the origin has no digits left: {whole:.6g} and {half:.6g} per square of the move; "
        "build it from differences of coordinates, never from |x|^2 + |y|^2 - 2 x . y"
    )
    promise(abs(whole - half) <= DIGITS * max(abs(whole), abs(half)), metric, "cost", said)


def _index(metric: Metric, base: State, move: Tensor) -> None:
    factors = metric.factors(base.dim)
    if factors is None:
        return
    s = base.weights.new_tensor(factors)
    cost = float(metric.cost(base.placed(base.atoms.points + move), base))
    index = float(base.atoms.integrate((s * move.square()).sum(1)))
    said = (
        f"say that the cost of a move is {index:.10g}, and cost says {cost:.10g}; leave factors out unless the cost is "
        "that of the index coupling"
    )
    promise(math.isclose(cost, index, rel_tol=SPARE), metric, "factors", said)
