"""The duality gap of a JKO step: how far it is from the minimum over *all* of P2, atoms free to split.

For mu_k = sum_i m_i delta_{y_i} and every g (one number for each data point)

``min over mu of E(mu) + W2^2(mu, mu_k) / (2 tau)  >=  D(g) = -|g|^2/2 - <g, f> + int e_tau[phi_g] dmu_k``

with phi_g = <g, Phi> + V and e_tau the Moreau envelope; all products carry the quadrature weights.  There is equality
for the best g, which is the residual f_mu - f of the minimiser mu: so the residual of the step is tried first, and
improved where it does not prove enough.  D is concave, and has a kink where an atom should split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jko.duality.bundle import Columns
from jko.duality.enclosure import enclose
from jko.duality.envelope import Envelope, Minima
from jko.duality.minorant import Minorant, obstacle
from jko.energies import Energy
from jko.measures import Particles

AFFORDABLE = (
    3e7  # atoms x data x dim^2 of one sweep of Newton steps, up to which D is maximised over g
)
REPAIRS = 5  # of what the enclosure finds to be missing
SCALINGS = 3  # rounds of the search for the best multiple of g
PROGRESS, FAILURES = (
    0.01,
    8,
)  # a round that closes less of the gap fails; so many in a row end the maximisation
TOL = 1e-13  # of the difference of bounds, relative to the numbers it is a difference of


@dataclass(frozen=True, eq=False)
class Gap:
    """An upper bound on the distance to a minimum.

    Attributes
    ----------
    value : float
        ``objective - dual``; inf where nothing is known.  Rounding may make it a negative number of size 1e-16.  A
        bound where ``rigorous``; else the inner minima are the lowest that were found, so that ``dual`` may lie above
        the minimum and ``value`` below the gap.
    rigorous : bool
        Whether the inner minimum was enclosed (in exact arithmetic), not estimated.
    reason : str
        How the inner minimum was found, or why the gap is inf.
    dual : float
        The lower bound on the minimum over all measures; where it is not ``rigorous``, what it would be if no inner
        minimum is lower than those found, and never above ``reachable``.
    reachable : float
        A value that some measure attains, so that the minimum is between ``dual`` and ``reachable``.
    g : (M,)
        The prices that give the bound.
    """

    value: float
    rigorous: bool
    reason: str
    dual: float
    reachable: float = math.inf
    g: Tensor | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.rigorous:
            return f"gap <= {self.value:.3g} (proved: {self.reason})"
        if self.value == math.inf:
            return f"gap unknown ({self.reason})"
        return f"gap about {self.value:.3g}, no bound (estimated: {self.reason})"


def step_gap(
    energy: Energy,
    base: Particles,
    tau: float,
    mu: Particles,
    objective: float,
    *,
    improve: bool | None = None,
    rounds: int = 60,
) -> Gap:
    """How far ``objective`` is from the minimum of the step's problem over all measures.

    ``gap = E(mu) + W2^2(mu, mu_k) / (2 tau) - max over g of D(g)``

    Parameters
    ----------
    energy, base, tau
        Of the step: E, mu_k and the time step.
    mu : Particles
        The step's result.
    objective : float
        ``E(mu) + cost / (2 tau)``.
    improve
        Whether to maximise over g after g = f_mu - f was tried.  None: where that gap is not zero and the problem is
        small enough; where it is too large, g is only scaled, if g itself proves nothing.
    rounds
        Of the maximisation.

    Returns
    -------
    Gap
        Infinite, with the reason, for an energy that is not convex in the measure.

    Notes
    -----
    Where E has convex terms that are no risk (a positive definite interaction), they enter by their linearisation at
    the result, and the maximisation is over the g of the risks only.

    Examples
    --------
    >>> import jko
    >>> result = jko.step(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=1.0, solver=jko.LBFGS(tol=1e-12)
    ... )
    >>> gap = result.certificate()
    >>> abs(gap.value) < 1e-12, gap.rigorous
    (True, True)
    """
    if why := obstacle(energy):
        return Gap(math.inf, False, why, -math.inf)
    dual = _dual(energy, base, tau, mu, objective)
    worth = dual.affordable if improve is None else improve
    return dual.gap(rounds if worth else 0, improve is not False)


def split_atoms(
    energy: Energy, base: Particles, tau: float, mu: Particles, objective: float, rounds: int = 60
) -> tuple[Tensor, Tensor, Tensor] | None:
    """A better plan than the step's, with atoms split where that pays; the arguments are those of the gap.

    Returns
    -------
    (points, block, masses), or None
        The mass ``masses[a]`` of the base atom ``block[a]`` goes to ``points[a]``.  None where no better plan was
        found, where the energy is not convex in the measure, or the problem too large for the maximisation.
    """
    if obstacle(energy):
        return None
    dual = _dual(energy, base, tau, mu, objective)
    best = dual.at(dual.envelope.minorant.residual)
    if not dual.affordable or best.value >= objective - dual.noise(best):
        return None
    _, columns = dual.maximise(best, rounds)
    if columns.solve()[0] >= objective - dual.noise(best):
        return None
    return columns.split()


def _dual(energy: Energy, base: Particles, tau: float, mu: Particles, objective: float) -> Dual:
    envelope = Envelope(Minorant.of(energy, mu), base.points, 1 / tau, base.domain, mu.points)
    return Dual(envelope, base.weights, objective)


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
            return Gap(math.inf, False, why, -math.inf)
        reachable, how = self.objective, "at g = the residual"
        if improve and best.value < self.objective - self.noise(best):
            if single or best.value == -math.inf:
                best, how = self.scale(best), "at the best multiple of the residual"
            if rounds:
                best, columns = self.maximise(best, rounds)
                reachable = min(columns.solve()[0], self.objective)
                how = "at the best g found"
            if single:  # local searches may have missed what lowers the others
                best = max(best, self.at(0 * best.g), key=lambda bound: bound.value)
        if bool((best.g == 0).all()) and len(best.g):
            how = "at g = 0, where the bound is that of the potential alone"
        if best.value == -math.inf:
            why = f"D(g) = -inf {how}: phi_g + |z - y|^2 / (2 tau) is unbounded below; try improve=True"
            return Gap(math.inf, False, why, -math.inf, reachable, best.g)
        found = enclose(self.envelope, best.g, best.minima)
        for _ in range(REPAIRS):  # the multistart missed a minimum: go on from there
            if found.missed is None:
                break
            best = self.at(best.g, best.minima.joined(*found.missed))
            if rounds and improve:
                best, columns = self.maximise(best, rounds)
                reachable = min(columns.solve()[0], self.objective)
            if single:
                best = max(best, self.at(0 * best.g), key=lambda bound: bound.value)
            found = enclose(self.envelope, best.g, best.minima)
        dual = self.value(best.g, found.lowest)
        if (
            not found.proved
        ):  # what was found can be too high, but not above a value that is attained
            dual = min(dual, reachable)
        return Gap(
            self.objective - dual, found.proved, f"{found.reason}; {how}", dual, reachable, best.g
        )

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

    def maximise(self, best: Bound, rounds: int) -> tuple[Bound, Columns]:
        """Bundle Newton: the best bound found, and the columns of all minimisers met.

        Every minimiser z met is a plane above D.  One round solves the restricted problem over them, whose value
        bounds the maximum from above, then steps to the maximum of the planes less the curvature of D at the best g.
        """
        columns = Columns(self.envelope, self.masses, self.mixture)
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
        return best, columns

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
        """Maximiser s g and maximum of ``D(s g)`` with z restricted to ``points``: concave, so by golden section."""

        def value(s: float) -> float:
            return self.value(s * g, self.envelope.table(s * g, points).amin(1))

        low, high, ratio = 0.0, 2.0, (math.sqrt(5) - 1) / 2
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        at_left, at_right = value(left), value(right)
        for _ in range(25):
            if at_left > at_right:
                high, right, at_right = right, left, at_left
                left = high - ratio * (high - low)
                at_left = value(left)
            else:
                low, left, at_left = left, right, at_right
                right = low + ratio * (high - low)
                at_right = value(right)
        return 0.5 * (low + high) * g, max(at_left, at_right)
