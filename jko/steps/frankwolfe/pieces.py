"""Sources and portions: where mass comes from, and where it has gone in portions of sources that may split.

The unknown is a plan from finitely many sources: portion a takes the mass p_a of its source i_a from y to z_a, and

``J = E(sum_a p_a delta_{z_a}) + rate / 2 sum_a p_a |z_a - y_{i_a}|^2,    sum of p_a over the portions of i = m_i``

with rate = 1/tau.  With one source and rate zero it is E itself, over all measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from jko.duality import Envelope, Minorant
from jko.energies import Energy, Evaluation
from jko.measures import Particles
from jko.spaces import Domain


class Portions(NamedTuple):
    """Points (n, dim), the source of each (n,), and its mass (n,)."""

    points: Tensor
    block: Tensor
    masses: Tensor

    def kept(self, rows: Tensor) -> Portions:
        """Some of them."""
        return Portions(*(column[rows] for column in self))

    def joined(self, more: Portions) -> Portions:
        """These and others."""
        return Portions(*(torch.cat(pair) for pair in zip(self, more, strict=True)))

    def ordered(self) -> Portions:
        """By source."""
        return self.kept(self.block.sort(stable=True).indices)


class PlanValue(NamedTuple):
    """J, its slope in each mass (n,) and, per mass, in each point (n, dim), and the evaluation of E."""

    value: float
    by_mass: Tensor
    by_point: Tensor
    energy: Evaluation


@dataclass(frozen=True, eq=False)
class Sources:
    """The problem: an energy, and masses at points from which moving costs ``rate |z - y|^2 / 2``.

    Attributes
    ----------
    energy : Energy
        E, convex in the measure.
    points, masses : (N, dim), (N,)
        The sources y and m.
    rate : float
        1 / tau; 0: nothing is paid, and one source stands for all.
    domain : Domain, optional
        Where the portions stay.
    """

    energy: Energy
    points: Tensor
    masses: Tensor
    rate: float
    domain: Domain | None

    @property
    def N(self) -> int:
        """Number of sources."""
        return len(self.points)

    def measure(self, plan: Portions) -> Particles:
        """The measure of the portions."""
        return Particles.of(plan.points, plan.masses, self.domain)

    def moves(self, plan: Portions) -> Tensor:
        """z - y, (n, dim)."""
        return plan.points - self.points[plan.block]

    def cost(self, plan: Portions) -> float:
        """``sum p |z - y|^2``; 0 where nothing is paid."""
        return float(plan.masses @ self.moves(plan).square().sum(1)) if self.rate else 0.0

    def at(self, plan: Portions) -> PlanValue:
        """J and its slopes."""
        found = self.energy.evaluate(self.measure(plan))
        value, by_mass, by_point = float(found.value), found.variation, found.gradient
        if self.rate:
            moves = self.moves(plan)
            far = 0.5 * self.rate * moves.square().sum(1)
            value, by_mass = value + float(plan.masses @ far), by_mass + far
            by_point = by_point + self.rate * moves
        return PlanValue(value, by_mass, by_point, found)

    def value(self, plan: Portions) -> float:
        """J."""
        return float(self.energy(self.measure(plan)).detach()) + 0.5 * self.rate * self.cost(plan)

    def envelope(self, plan: Portions) -> Envelope:
        """min over z of phi(z) + rate |z - y|^2 / 2 for the first variation phi at the portions."""
        minorant = Minorant.of(self.energy, self.measure(plan))
        return Envelope(minorant, self.points, self.rate, self.domain, plan.points)

    def summed(self, plan: Portions, values: Tensor) -> Tensor:
        """Sums over the portions of each source, (N,)."""
        return torch.zeros_like(self.masses).index_add_(0, plan.block, values)

    def least(self, plan: Portions, values: Tensor) -> Tensor:
        """Minima over the portions of each source, (N,)."""
        none = torch.full_like(self.masses, torch.inf)
        return none.scatter_reduce_(0, plan.block, values, "amin")

    def several(self, plan: Portions) -> Tensor:
        """Which portions, (n,), are of sources that have more than one."""
        return (torch.bincount(plan.block, minlength=self.N) > 1)[plan.block]

    def balanced(self, plan: Portions) -> Portions:
        """The portions of each source scaled to its mass."""
        held = self.summed(plan, plan.masses)
        return plan._replace(masses=plan.masses * (self.masses / held)[plan.block])

    def tidied(self, plan: Portions, tiny: float, near: float) -> Portions:
        """By source, without the ``tiny`` portions of one, and with those that are ``near`` one another made one."""
        plan = plan.ordered()
        heaviest = -self.least(plan, -plan.masses)[plan.block]
        big = plan.masses > tiny * self.masses[plan.block]
        plan = plan.kept(big | (plan.masses >= heaviest))
        z, block, mass = plan
        rows = torch.nonzero(self.several(plan)).flatten()
        first = torch.arange(len(z), device=z.device)
        if len(rows):
            close = torch.cdist(z[rows], z[rows]) <= near * (1 + z[rows].norm(dim=1))[:, None]
            close &= block[rows][:, None] == block[rows][None, :]
            first[rows] = rows[close.to(torch.int8).argmax(1)]
        whole = torch.zeros_like(mass).index_add_(0, first, mass)
        mean = torch.zeros_like(z).index_add_(0, first, mass[:, None] * z)
        keep = torch.nonzero(whole > 0).flatten()
        return self.balanced(Portions(mean[keep] / whole[keep, None], block[keep], whole[keep]))
