"""The dynamic form of D on atoms: the least action over discrete paths from one measure to another.

A bundle of atoms with masses m_p and positions x_p^k at the times k / K has the action

    A = K sum_k sum_p m_p |x_p^{k+1} - x_p^k|^2  >=  K sum_k W2(mu_k, mu_{k+1})^2  >=  W2(mu_0, mu_K)^2,

by a coupling in each slab, then Cauchy-Schwarz and the triangle inequality: on lifts, never below D^2.  It is lowered
in two ways that keep mu_0 = a and mu_K = b:

* relaxing: with its ends fixed an atom's action is quadratic in the inner times, least on the straight line;
* exchanging in a block of slabs [k, l]: atoms p -> q -> ... -> p take over each other's futures, p going straight from
  x_p^k to x_q^l.  That pays if ``K / (l - k) (|x_q^l - x_p^k|^2 - |x_p^l - x_p^k|^2)`` has a negative sum on the cycle.

In short blocks this stops at local minima: straight lines that do not meet are one.  In the block of all slabs it does
not: if no cycle is negative, shortest ways along these numbers are potentials that prove A = D^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from jko import checks
from jko.measures import Pair, Particles, State
from jko.measures.tensors import on_numbers
from jko.metrics.alike import alike, one_sort
from jko.metrics.couplings import Array, Index, all_costs, as_array, squares, sums
from jko.metrics.cycles import negative_cycles
from jko.metrics.supplies import staircase, supplies
from jko.shown import Shown

HEAVY = 0.25 ** np.arange(1, 7)  # parts of the largest mass


@dataclass(frozen=True, eq=False)
class LeastAction(Shown):
    """A path of least action, with its proof.

    Parameters
    ----------
    action
        ``K sum_k sum_p m_p |x_p^{k+1} - x_p^k|^2``; never below D^2.
    path
        K + 1 states at the times k / K: lifts, atom p of one being where atom p of the last went.
    gap
        ``action`` minus a lower bound of D^2 by potentials of the two ends; not negative but for rounding.
    residual
        L1 distance of the masses at the end from those of b, on the atoms of b.
    iterations
        Exchanges, each of some disjoint cycles, followed by relaxing.
    history
        The action at the start and after each iteration; it falls.
    levels
        The action where exchanges in blocks of 1, 2, 4, ..., K slabs stopped.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.ChargedParticles([[0.0]], [1.0]), jko.ChargedParticles([[0.0]], [3.0])
    >>> found = jko.metrics.least_action(a, b, slabs=2)
    >>> round(found.action, 6), len(found.path)
    (4.0, 3)
    """

    action: float
    path: tuple[Particles, ...]
    gap: float
    residual: float
    iterations: int
    history: tuple[float, ...]
    levels: tuple[float, ...]

    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {"action": self.action, "gap": self.gap}
        return facts | {
            "atoms": self.path[0].N,
            "times": len(self.path),
            "iterations": self.iterations,
        }


@on_numbers
def least_action(a: State, b: State, slabs: int = 8) -> LeastAction:
    """Minimise the action over paths of atoms from a to b.

    The start sends the atoms of a to those of b in the order they are listed, split where masses do not agree; no
    transport problem is solved.  Blocks of slabs are doubled, so that the local part of the work is done first.

    Parameters
    ----------
    a, b
        Two pairs (rho, H), or two :class:`jko.Particles` of one dimension.
    slabs
        K, the number of slabs of time.

    Notes
    -----
    It keeps a matrix over the atoms of the path and finds exchanges one set of cycles after another: made for tens of
    atoms, or hundreds of equal weight, as an independent way to D.  :func:`jko.distance` is the fast one.

    Source: survey Remark 3.4, with the corrected action (:func:`action`).

    Raises
    ------
    TypeError
        A state without atoms, or a pair and a measure.
    ValueError
        Different dimensions, dtypes or devices; no slab.

    Examples
    --------
    >>> import jko
    >>> a = jko.ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    >>> b = jko.ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    >>> (
    ...     jko.metrics.least_action(a, b).action,
    ...     jko.metrics.least_action(a, b).path[4].points.tolist(),
    ... )
    (4.0, [[2.0, 0.0], [-2.0, 0.0]])
    """
    checks.count("slabs", slabs)
    one_sort(a, b, "paths are made of atoms")
    start, end = (s.lift() if isinstance(s, Pair) else s for s in (a, b))  # atoms with mass
    mu, nu = alike(start, end, why="a path needs one space for both")
    x, y = as_array(mu.points), as_array(nu.points)
    masses = supplies(as_array(mu.weights), as_array(nu.weights))
    total = float(masses.a.sum())
    bundle = _merged(Bundle(x, y, *staircase(*masses)))
    history, levels, length = [bundle.action / total], [], 1
    while True:
        bundle, futures, falls = _settled(bundle, slabs, length)
        history += [A / total for A in falls]
        levels.append(bundle.action / total)
        if length == slabs:
            break
        length = min(2 * length, slabs)
    gap = (bundle.action - bundle.bound(futures, *masses)) / total
    path = tuple(_state(bundle, k / slabs, mu, nu, total) for k in range(slabs + 1))
    arrived = sums(bundle.last, as_array(path[-1].weights), len(y))
    residual = float(np.abs(arrived - as_array(nu.weights)).sum())
    return LeastAction(
        levels[-1], path, gap, residual, len(history) - 1, tuple(history), tuple(levels)
    )


def _settled(bundle: Bundle, slabs: int, length: int) -> tuple[Bundle, Array, list[float]]:
    """Exchanges in blocks of ``length`` slabs until none pays; the ways in the last block, and the actions."""
    starts = range(0, slabs - length + 1, max(1, length // 2))
    falls: list[float] = []
    for least in (*HEAVY, 0.0):  # the heavy atoms first, or there are many exchanges of little mass
        before = -1
        while len(falls) > before:
            before = len(falls)
            for k in starts:
                cycles, ways = bundle.cycles(k / slabs, (k + length) / slabs, least)
                while cycles:
                    bundle = bundle.exchanged(cycles)
                    falls.append(bundle.action)
                    cycles, ways = bundle.cycles(k / slabs, (k + length) / slabs, least)
    return bundle, ways, falls


class Bundle(NamedTuple):
    """Relaxed atoms: atom p goes straight from ``x[first[p]]`` to ``y[last[p]]`` and carries ``mass[p]``."""

    x: Array
    y: Array
    first: Index
    last: Index
    mass: Array

    def at(self, s: float) -> Array:
        """Positions at time s, (P, dim)."""
        return (1 - s) * self.x[self.first] + s * self.y[self.last]

    @property
    def action(self) -> float:
        """The action, in units of mass; the same for any number of slabs, since the lines are straight."""
        return float(self.mass @ squares(self.y[self.last] - self.x[self.first]))

    def gains(self, s: float, t: float) -> Array:
        """What the action changes per mass if atom p goes at time s over to where atom q is at time t, (P, P)."""
        costs = all_costs(self.at(s), self.at(t)) / (t - s)
        return costs - costs.diagonal()[:, None]

    def cycles(self, s: float, t: float, least: float) -> tuple[list[Index], Array]:
        """Exchanges that pay among the atoms with at least a part of the largest mass, and the shortest ways."""
        heavy = np.flatnonzero(self.mass >= least * self.mass.max())
        some = self._replace(first=self.first[heavy], last=self.last[heavy], mass=self.mass[heavy])
        found, ways = negative_cycles(some.gains(s, t))
        return [heavy[cycle] for cycle in found], ways

    def exchanged(self, cycles: list[Index]) -> Bundle:
        """Along each cycle every atom takes over the future of the next; all the mass that fits.  Then relaxed."""
        mass, parts = self.mass.copy(), [self]
        for cycle in cycles:
            amount = mass[cycle].min()
            mass[cycle] -= amount
            futures = self.last[np.roll(cycle, -1)]
            parts.append(
                self._replace(
                    first=self.first[cycle], last=futures, mass=np.full(len(cycle), amount)
                )
            )
        parts[0] = self._replace(mass=mass)
        first, last, mass = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("first", "last", "mass")
        )
        return _merged(Bundle(self.x, self.y, first, last, mass))

    def bound(self, futures: Array, a: Array, b: Array) -> float:
        """``sum a alpha + sum b beta <= W2^2`` with ``alpha_i + beta_j <= |x_i - y_j|^2``, in units of mass.

        Without negative cycles the shortest ways have ``futures[q] <= futures[p] + gain[p, q]``, so beta_j may be
        their maximum over the atoms that end in j.
        """
        beta = np.full(len(self.y), -np.inf)
        np.maximum.at(beta, self.last, futures)
        alpha = (all_costs(self.x, self.y) - beta).min(1)
        return float(a @ alpha + b @ beta)


def _merged(bundle: Bundle) -> Bundle:
    """Atoms with the same ends as one, none without mass."""
    label, inverse = np.unique(bundle.first * len(bundle.y) + bundle.last, return_inverse=True)
    mass = sums(inverse.reshape(-1), bundle.mass, len(label))
    keep = mass > 0
    first, last = np.divmod(label[keep], len(bundle.y))
    return bundle._replace(first=first, last=last, mass=mass[keep])


def _state(bundle: Bundle, s: float, mu: Particles, nu: Particles, total: float) -> Particles:
    points, weights = (torch.from_numpy(t).to(mu.points) for t in (bundle.at(s), bundle.mass))
    domain = mu.domain if mu.domain is nu.domain else None
    return Particles.of(points, weights / total, domain)
