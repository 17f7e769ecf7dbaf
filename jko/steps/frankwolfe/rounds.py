"""The rounds of fully corrective Frank-Wolfe: look, offer, weigh, slide, until nothing is left to gain.

A look minimises the linearised problem.  By convexity the value is then known to within the **gap**,
``J - min J <= sum_a p_a (value of portion a - lowest value of its source)``, a sum of terms that are not negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from jko.duality import Envelope, Gap
from jko.duality.enclosure import enclose
from jko.duality.minima import Minima, rank
from jko.duality.oracle import Oracle
from jko.status import Status
from jko.steps.frankwolfe.masses import best_masses
from jko.steps.frankwolfe.pieces import Portions, Sources
from jko.steps.frankwolfe.slide import slide

TINY, NEAR = 1e-5, 1e-4  # of a source's mass, that is dropped; of a position, that is one
FINER = 0.1  # both, after a round that gained nothing
FAILURES = 4  # so many of them in a row end the search
SLIDE = 500  # iterations of L-BFGS in one round
PART = 1e-3  # of the gap: what a source must promise to get a new portion
LEFT = 1e-4  # of the gap: what a slide may leave
QUIET, HARD = 2, 12  # looks from other candidates that must find nothing more ...
LOW = 6  # ... HARD ones where one source has minima in more dimensions than that
ROUNDING = 1e-14  # of the value


class Round(NamedTuple):
    """One round: J, the gap, the number of portions, and the seconds since the beginning."""

    value: float
    gap: float
    atoms: int
    seconds: float


class Look(NamedTuple):
    """What a look found: the envelope, its minima, the values of the portions (n,), the gap.

    ``kinked`` is what the slopes at the lowest minimisers promise beyond the gap: nothing where phi is smooth.
    """

    envelope: Envelope
    minima: Minima
    values: Tensor
    gap: float
    kinked: float


@dataclass
class Rounds:
    """The search from a first plan.

    Attributes
    ----------
    sources, plan
        The problem; the plan, which gets better.
    target : float
        The gap that is small enough.
    prove : bool
        Whether a small gap is to be proved.
    rounds : list of Round
        What each round found.
    evaluations : int
        Of E with its slopes.
    """

    sources: Sources
    plan: Portions
    target: float
    prove: bool = False
    rounds: list[Round] = field(default_factory=list)
    evaluations: int = 0
    tiny: float = TINY
    near: float = NEAR
    oracle: Oracle = field(default_factory=Oracle)
    certificate: Gap = field(default_factory=lambda: Gap.unknown("no look was taken"))

    def run(
        self,
        most: int,
        seconds: float | None = None,
        watch: Callable[[Round], object] | None = None,
    ) -> Status:
        """Rounds, at most so many and not beyond the time; ``watch`` sees each, and may end it by StopIteration."""
        began, failures = perf_counter(), 0
        value = self.sources.value(self.plan)
        while True:
            look = self._looked(value)
            spent = perf_counter() - began
            self.rounds.append(Round(value, look.gap, len(self.plan.block), spent))
            if watch is not None and _ended(watch, self.rounds[-1]):
                return Status.STOPPED
            if look.gap <= self.target:
                return Status.STALLED if look.kinked > self.target else Status.CONVERGED
            if len(self.rounds) > most or (seconds is not None and spent > seconds):
                return Status.MAX_ITERATIONS
            plan, new = self._better(look)
            if new >= value - ROUNDING * abs(value) - PART * self.target:
                failures += 1
                self.tiny, self.near = FINER * self.tiny, FINER * self.near
            else:
                failures = 0
            if new < value:
                self.plan, value = plan, new
            if failures == FAILURES:
                return Status.STALLED

    def replan(self, points: Tensor, block: Tensor, masses: Tensor) -> None:
        """Take up a better plan to the same places, and what sliding makes of it."""
        plan = self.sources.tidied(Portions(points, block, masses), self.tiny, self.near)
        left = max(self.target * LEFT, 1e-30)
        plan, evaluations = slide(self.sources, plan, SLIDE, math.sqrt(left * self.sources.rate))
        self.evaluations += evaluations
        self.plan = plan
        self._looked(self.sources.value(plan))

    def _looked(self, value: float) -> Look:
        """A look; where it finds little, others from other candidates, and a proof if one is asked for."""
        look = self._look(0, None)
        hard = self.sources.N == 1 and self.plan.points.shape[1] > LOW
        for turn in range(1, (HARD if hard else QUIET) + 1):
            if look.gap > self.target:
                break
            look = self._look(turn, look)
        proved, why = False, "local minimisations from candidates around the atoms"
        if look.kinked > self.target:
            why += ", which end at kinks before a minimum"
        if self.prove and look.gap <= self.target:
            found = enclose(look.envelope, look.envelope.minorant.residual, look.minima)
            if found.missed is not None:
                look = self._look(0, look, found.missed)
            else:
                proved, why = found.proved, found.reason
                look = self._valued(look.envelope, look.minima._replace(lowest=found.lowest))
        g = look.envelope.minorant.residual
        if math.isfinite(look.gap):
            self.certificate = Gap(look.gap, proved, why, value - look.gap, value, g)
        else:
            self.certificate = Gap.unknown("the linearised problem is unbounded below", value, g)
        return look

    def _look(
        self, turn: int, before: Look | None, more: tuple[Tensor, Tensor] | None = None
    ) -> Look:
        """The minima of the linearised problem, beside those that are known already."""
        points, block = self.plan.points, self.plan.block
        envelope = self.sources.envelope(self.plan) if before is None else before.envelope
        known = [(points, block)]
        if before is not None:
            known.append((before.minima.points, before.minima.block))
        if more is not None:
            known.append(more)
        z, at = (torch.cat(column) for column in zip(*known, strict=True))
        gap = self.rounds[-1].gap if self.rounds and not turn else 0.0
        fine = PART * max(self.target, PART * gap if math.isfinite(gap) else 0.0)
        return self._valued(envelope, self.oracle(envelope, z, at, fine, turn))

    def _valued(self, envelope: Envelope, minima: Minima) -> Look:
        plan = self.plan
        values = envelope.value(envelope.minorant.residual, plan.points, plan.block)
        lowest = torch.minimum(minima.lowest, self.sources.least(plan, values))
        gap = float(plan.masses @ (values - lowest[plan.block]))
        return Look(
            envelope, minima._replace(lowest=lowest), values, gap, self._kinked(envelope, minima)
        )

    def _kinked(self, envelope: Envelope, minima: Minima) -> float:
        """``sum_i m_i |slope|^2 / 2 k`` at the lowest minimiser of each source, k the curvature beside the risks."""
        first = rank(minima.block) == 0
        z, block = minima.points[first], minima.block[first]
        k, domain = abs(envelope.stiffness or envelope.rate or 1.0), self.sources.domain
        slope = envelope.gradient(envelope.minorant.residual, z, block)
        if domain is not None:
            slope = k * (z - domain.project(z - slope / k))
        return float(self.sources.masses[block] @ slope.square().sum(1)) / (2 * k)

    def _better(self, look: Look) -> tuple[Portions, float]:
        """Offer, weigh, tidy, slide, tidy, weigh again."""
        sources = self.sources
        plan = best_masses(sources, look.envelope, self.plan.joined(self._offers(look)))
        plan = sources.tidied(plan, self.tiny, self.near)
        left = max(self.target, look.gap if math.isfinite(look.gap) else 0.0) * LEFT
        k = abs(look.envelope.stiffness or look.envelope.rate or 1.0)
        plan, evaluations = slide(sources, plan, SLIDE, math.sqrt(2 * k * left))
        self.evaluations += evaluations + 1
        plan = sources.tidied(plan, self.tiny, self.near)
        if bool(sources.several(plan).any()):
            plan = best_masses(sources, sources.envelope(plan), plan)
        return plan, sources.value(plan)

    def _offers(self, look: Look) -> Portions:
        """The minimisers that promise enough: of many sources the best of each, of a single one all."""
        sources, plan, found = self.sources, self.plan, look.minima
        if sources.N > 1:
            have = sources.least(plan, look.values)
            chosen = rank(found.block) == 0
        else:
            have = sources.summed(plan, plan.masses * look.values)
            chosen = torch.ones_like(found.block, dtype=torch.bool)
        promise = sources.masses[found.block] * (have[found.block] - found.values)
        enough = PART * look.gap / sources.N if math.isfinite(look.gap) else 0.0
        away = ~torch.isfinite(found.lowest[found.block])  # on the way to infinity
        rows = torch.nonzero(away | (chosen & (promise > enough))).flatten()
        return Portions(found.points[rows], found.block[rows], 0 * found.values[rows])


def _ended(watch: Callable[[Round], object], seen: Round) -> bool:
    """Show a round; whether that ended the search."""
    try:
        watch(seen)
    except StopIteration:
        return True
    return False
