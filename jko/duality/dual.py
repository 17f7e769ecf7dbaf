"""The dual of a step's problem over all measures, and its maximisation.

For mu_k = sum_i m_i delta_{y_i} and every g (one number for each data point)

``min over mu of E(mu) + W2^2(mu, mu_k) / (2 tau)  >=  D(g) = -|g|^2/2 - <g, f> + int e_tau[phi_g] dmu_k``

with phi_g = <g, Phi> + V and e_tau the Moreau envelope; all products carry the quadrature weights.  There is equality
for the best g, which is the residual f_mu - f of the minimiser mu: so the residual of the step is tried first, and
improved where it does not prove enough.  D is concave, and has a kink where an atom should split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from jko.duality.bundle import Columns
from jko.duality.deeper import breadth, deeper
from jko.duality.enclosure import Enclosure, enclose
from jko.duality.envelope import Envelope
from jko.duality.gap import Gap
from jko.duality.minima import Minima

AFFORDABLE = (
    3e7  # atoms x data x dim^2 of a sweep of Newton steps, up to which D is maximised over g
)
REPAIRS = 5  # of what the enclosure finds to be missing
DEEPER, QUIET = 12, 3  # looks of the corrective search, at most; those that find nothing
CORRECTIVE = 3  # rounds of the maximisation after each look: the columns of all looks stay, so few are enough
SCALINGS = 3  # rounds of the search for the best multiple of g
MULTIPLE = {"xatol": 1e-5, "maxiter": 30}  # of that multiple, in one round
PROGRESS = 0.01  # a round that closes less of the gap fails
FAILURES = 8  # so many in a row end the maximisation
TOL = 1e-13  # of the difference of bounds, relative to the numbers it is a difference of


@dataclass(frozen=True, eq=False)
class Bound:
    """One evaluation of D: its value (-inf where an envelope is), the g, and the minimisers of the envelopes."""

    value: float
    g: Tensor
    minima: Minima


@dataclass(frozen=True, eq=False)
class Dual:
    """The dual problem ``max over g of D(g)``.

    Attributes
    ----------
    envelope : Envelope
        e_tau[phi_g] at the base atoms.
    masses : (N,)
        Masses of the base atoms.
    objective : float
        The value whose distance to the minimum is asked for.
    mixture : (Phi (M,), cost), optional
        A measure that all mass of a single block may go to at once: its features and cost.

    Examples
    --------
    >>> import jko, torch
    >>> F = jko.Risk(jko.Data([[1.0]], [1.0]), activation=jko.Ridge(torch.tanh))
    >>> result = jko.step(F + jko.SquaredNorm(), jko.Particles([[0.5, 0.5, 0.0]]), tau=0.1)
    >>> result.certificate().rigorous  # a dual was solved
    True
    """

    envelope: Envelope
    masses: Tensor
    objective: float
    mixture: tuple[Tensor, float] | None = None

    @property
    def affordable(self) -> bool:
        """Whether many sweeps of Newton steps over all blocks are a matter of seconds."""
        M, dim = len(self.envelope.minorant.q), self.envelope.anchors.shape[1]
        starts = max(self.envelope.N, 300)  # a single block makes up for it by many starts
        return starts * max(M, 1) * dim**2 <= AFFORDABLE

    def gap(self, rounds: int, improve: bool = True) -> Gap:
        """Try g = residual; improve it by ``rounds`` of the maximisation (0: its multiples only); enclose."""
        single = self.envelope.N == 1
        best = self.at(self.envelope.minorant.residual, thorough=single or self.affordable)
        if not len(best.minima.points) or not math.isfinite(self.objective):
            why = "values or slopes of the energy leave the range of numbers; scale it, or the data, by a constant"
            return Gap.unknown(why)
        columns, how = Columns(self.envelope, self.masses, self.mixture), "at g = the residual"
        if not improve:
            rounds = 0
        elif best.value < self.objective - self.noise(best):
            if single or best.value == -math.inf:
                best, how = self.scale(best), "at the best multiple of the residual"
            if rounds:
                best, how = self.maximise(best, rounds, columns), "at the best g found"
            best = self._or_zero(best)
        if bool((best.g == 0).all()) and len(best.g):
            how = "at g = 0, where the bound is that of the potential alone"
        if best.value > -math.inf:
            best, found = self._enclosed(best, rounds, columns)
            if rounds and not found.proved:
                best, found = self._corrected(best, found, rounds, columns)
        reachable = min(columns.attained(), self.objective) if rounds else self.objective
        if best.value == -math.inf:
            why = f"D(g) = -inf {how}: phi_g + |z - y|^2 / (2 tau) is unbounded below; try improve=True"
            return Gap.unknown(why, reachable, best.g)
        dual = self.value(best.g, found.lowest)
        proved = found.proved and dual <= reachable + self.noise(best) + self._cancelled()
        dual = min(dual, reachable)  # what was found can be too high, not above what is attained
        return Gap(self.objective - dual, proved, f"{found.reason}; {how}", dual, reachable, best.g)

    def _cancelled(self) -> float:
        """The rounding of inner minima whose terms ``k |z|^2 / 2`` cancel."""
        k = abs(self.envelope.stiffness or self.envelope.rate)
        return TOL * k * float(self.masses @ self.envelope.anchors.square().sum(1))

    def _or_zero(self, best: Bound) -> Bound:
        """With a single block: g = 0, if that is better, since local searches may have missed what lowers the rest."""
        if self.envelope.N > 1:
            return best
        return max(best, self.at(0 * best.g), key=lambda bound: bound.value)

    def _enclosed(self, best: Bound, rounds: int, columns: Columns) -> tuple[Bound, Enclosure]:
        """Prove the inner minima, after going on from those that the multistart has missed."""
        found = enclose(self.envelope, best.g, best.minima)
        for _ in range(REPAIRS):
            if found.missed is None:
                break
            best = self.at(best.g, best.minima.joined(*found.missed))
            if rounds:
                best = self.maximise(best, rounds, columns)
            best = self._or_zero(best)
            found = enclose(self.envelope, best.g, best.minima)
        return best, found

    def _corrected(
        self, best: Bound, found: Enclosure, rounds: int, columns: Columns
    ) -> tuple[Bound, Enclosure]:
        """Look again for inner minima, with other starts each time, until two looks have found nothing lower."""
        quiet, changed = 0, False
        for turn in range(DEEPER if breadth(self.envelope) else 0):
            known = best.minima.joined(columns.points, columns.block)
            new = self._bound(best.g, deeper(self.envelope, best.g, known, turn))
            columns.add(new.minima)
            if not new.value < best.value - self.noise(best):
                quiet += 1
                if quiet == QUIET:
                    break
                continue
            quiet, changed = 0, True
            best = self.maximise(new, min(rounds, CORRECTIVE), columns)
        if not changed or best.value == -math.inf:
            return best, found
        return self._enclosed(best, rounds, columns)

    def value(self, g: Tensor, lowest: Tensor) -> float:
        """``-|g|^2/2 - <g, f> + int e dmu_k`` for given values e of the envelopes."""
        return self.envelope.minorant.concave_part(g) + float(self.masses @ lowest)

    def at(self, g: Tensor, known: Minima | None = None, thorough: bool = True) -> Bound:
        """D(g)."""
        return self._bound(g, self.envelope.search(g, known, thorough))

    def _bound(self, g: Tensor, minima: Minima) -> Bound:
        return Bound(self.value(g, minima.lowest), g, minima)

    def noise(self, bound: Bound) -> float:
        """Differences of values that are rounding."""
        return TOL * (abs(self.objective) + abs(self.envelope.minorant.concave_part(bound.g)))

    def maximise(self, best: Bound, rounds: int, columns: Columns) -> Bound:
        """Bundle Newton: the best bound found; all minimisers met are added to the columns.

        Every minimiser z met is a plane above D.  One round solves the restricted problem over them, whose value
        bounds the maximum from above, then steps to the maximum of the planes less the curvature of D at the best g.
        """
        columns.add(best.minima)
        failures = 0
        for _ in range(rounds):
            reachable, g = columns.solve()
            if reachable - best.value <= self.noise(best) or failures > FAILURES:
                break
            if failures % 2 == 0 and best.minima.bounded and best.value > -math.inf:
                g = columns.newton_step(best.g, best.minima)
            g = best.g + (g - best.g) * 0.5 ** max(0, failures - 2)
            trial = self.at(g, best.minima)
            for _ in range(6):
                if trial.value > -math.inf or best.value == -math.inf:
                    break
                columns.add(trial.minima)
                g = 0.5 * (g + best.g)
                trial = self.at(g, best.minima)
            columns.add(trial.minima)
            best, trial = (self._bound(b.g, columns.capped(b.g, b.minima)) for b in (best, trial))
            progress = trial.value - best.value > PROGRESS * (reachable - best.value)
            failures = 0 if progress else failures + 1
            best = max(best, trial, key=lambda bound: bound.value)
        return best

    def scale(self, start: Bound) -> Bound:
        """The best of D(s g) over s in [0, 2]: maximise over the planes of the minimisers met, add those met there."""
        points, thorough = start.minima.points, self.envelope.N == 1
        best = max(start, self.at(0 * start.g, thorough=False), key=lambda bound: bound.value)
        for _ in range(SCALINGS):
            g, above = self._best_multiple(start.g, points)
            trial = self.at(g, start.minima, thorough)
            best = max(best, trial, key=lambda bound: bound.value)
            points = torch.cat([points, trial.minima.points])
            if above - best.value <= PROGRESS * (self.objective - best.value):
                break
        return best

    def _best_multiple(self, g: Tensor, points: Tensor) -> tuple[Tensor, float]:
        """Maximiser s g and maximum of ``D(s g)``, s in [0, 2], with z restricted to ``points``: concave in s."""

        def below(s: float) -> float:
            return -self.value(s * g, self.envelope.table(s * g, points).amin(1))

        most = min(2.0, self.envelope.minorant.fit.reach(g))
        found = minimize_scalar(below, bounds=(0.0, most), method="bounded", options=MULTIPLE)
        return found.x * g, -float(found.fun)
