"""How far two networks with two hidden layers are from each other, whatever their neurons are called."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jko import checks
from jko.measures import TwoLayer
from jko.measures.tensors import on_numbers
from jko.metrics.base import Length
from jko.metrics.couplings import Array, as_array

ROUNDS = 100  # in which one layer's coupling is found for the other's


@dataclass(frozen=True, eq=False)
class Unlabelled(Length):
    """An upper bound on the least distance of two networks over couplings of both layers.

    Attributes
    ----------
    squared : float
        The cost of the couplings found; the least is no larger.
    first : (N1, N1')
        The coupling of the first layers.
    second : (N2, N2')
        That of the second.

    Examples
    --------
    >>> import jko
    >>> net = jko.measures.TwoLayer([[1.0]], [[2.0, 3.0]], [4.0, 5.0])
    >>> jko.metrics.unlabelled(net, net.permuted(second=[1, 0])).value
    0.0
    """

    squared: float
    first: Array = field(repr=False)
    second: Array = field(repr=False)

    @property
    def value(self) -> float:
        """The root of ``squared``."""
        return float(np.sqrt(max(0.0, self.squared)))


@on_numbers
def unlabelled(a: TwoLayer, b: TwoLayer) -> Unlabelled:
    """The distance of two networks of any sizes, with neither layer's neurons held to their names: an upper bound.

    ``min over g, h of int |theta - theta'|^2 dg + int int |b - b'|^2 dg dh + int |w - w'|^2 dh``, g a coupling of the
    first layers, h of the second.  For one of them given the other is a problem of transport, and both are solved in
    turn until neither improves; from several starts, among them the second layers' index coupling where there is one,
    so that the answer is at most :func:`jko.distance` of two states of one frame.

    Parameters
    ----------
    a, b : TwoLayer
        Networks of the same n; N1 and N2 may differ, and masses.

    Returns
    -------
    Unlabelled
        The best couplings found.  The problem is one of quadratic assignment, so that no proof comes with them; zero is
        one: then both are the same network.

    Notes
    -----
    Source: survey 5.2 in the normalisation of :class:`jko.measures.TwoLayer`.  It is the fused distance of co-optimal
    transport (Redko, Vayer, Flamary, Courty 2020); each problem of transport is solved by POT.

    Examples
    --------
    >>> import jko
    >>> one = jko.measures.TwoLayer([[0.0]], [[1.0]], [1.0])
    >>> two = jko.measures.TwoLayer([[0.0]], [[1.0, 1.0]], [1.0, 4.0])
    >>> round(jko.metrics.unlabelled(one, two).squared, 12)  # half of (4 - 1)^2
    4.5
    """
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, TwoLayer)
    if a.n != b.n:
        raise ValueError(f"a has n = {a.n} but b has n = {b.n}; they must read the same inputs")
    checks.alike("a", a.theta, "b", b.theta)
    return min(
        (_descended(a, b, start) for start in _starts(a, b)), key=lambda found: found.squared
    )


def _starts(a: TwoLayer, b: TwoLayer) -> list[Array]:
    """Couplings of the second layers: independent, by the order of w, and by index where the masses are the same."""
    m, n = as_array(a.masses), as_array(b.masses)
    starts = [np.outer(m, n), _monotone(as_array(a.w), as_array(b.w), m, n)]
    if np.array_equal(m, n):
        starts.append(np.diag(m))
    return starts


def _monotone(x: Array, y: Array, m: Array, n: Array) -> Array:
    import ot

    return np.asarray(ot.emd_1d(x, y, m, n))


def _descended(a: TwoLayer, b: TwoLayer, start: Array) -> Unlabelled:
    """Both couplings in turn, from one of the second layers."""
    import ot

    X, Y = as_array(a.b), as_array(b.b)
    rho, sigma, m, n = (as_array(v) for v in (a.weights, b.weights, a.masses, b.masses))
    theta = ot.dist(as_array(a.theta), as_array(b.theta))
    w = (as_array(a.w)[:, None] - as_array(b.w)) ** 2
    second, least = start, np.inf
    for _ in range(ROUNDS):
        first = ot.emd(rho, sigma, theta + _between(X, Y, second))
        costs = w + _between(X.T, Y.T, first)
        second = ot.emd(m, n, costs)
        squared = float((first * theta).sum() + (second * costs).sum())
        if not squared < least * (1 - 1e-12):
            break
        least = squared
        best = Unlabelled(max(0.0, squared), first, second)
    return best


def _between(X: Array, Y: Array, plan: Array) -> Array:
    """``sum_jl plan_jl (X_ij - Y_kl)^2`` for rows i of X and k of Y."""
    return (X**2 @ plan.sum(1))[:, None] + Y**2 @ plan.sum(0) - 2 * X @ plan @ Y.T
