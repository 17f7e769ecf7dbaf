"""The bundle: minimisers met so far, as columns of the restricted problem and as planes above the dual D.

``D(g) <= -|g|^2/2 - <g, f> + sum_i m_i min over a in block i of (<g, Phi(z_a)> + cost_a)``

with equality at every g where the minimisers are in the bundle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jko.duality.descent import fixed
from jko.duality.envelope import Envelope
from jko.duality.fit import Root
from jko.duality.master import best_plan
from jko.duality.minima import Minima
from jko.measures import Particles
from jko.spaces import projected

MERGE = 1e-4  # of a position, relative
NEWTON, HALVINGS, STILL = (
    40,
    30,
    1e-15,
)  # for a plan where a loss is not squared; STILL: a relative fall
COLUMN = ("points", "block", "features", "cost", "plan", "mixed")  # what is known of each column


class Columns:
    """The minimisers met so far, as columns of the restricted problem and planes above D."""

    def __init__(
        self, envelope: Envelope, masses: Tensor, mixture: tuple[Tensor, float] | None = None
    ) -> None:
        every = torch.arange(envelope.N, device=envelope.anchors.device)
        z = projected(envelope.anchors, envelope.domain)
        self._begin(envelope, masses, z, every, masses)
        if len(envelope.own) == envelope.N:
            own = envelope.own
            self._append(own, every, envelope.minorant.features(own), envelope.cost(own, every))
        if mixture is not None:
            phi, cost = mixture
            self._append(z[:1], every[:1], phi[None], cost * torch.ones_like(self.cost[:1]))
            self.mixed[-1] = True

    @classmethod
    def of_plan(
        cls, envelope: Envelope, masses: Tensor, points: Tensor, block: Tensor, plan: Tensor
    ) -> Columns:
        """The columns ``points`` of the blocks ``block``, and a plan over them: every block has one that holds mass."""
        columns = cls.__new__(cls)
        columns._begin(envelope, masses, points, block, plan)
        return columns

    def _begin(
        self, envelope: Envelope, masses: Tensor, points: Tensor, block: Tensor, plan: Tensor
    ) -> None:
        self.envelope, self.masses = envelope, masses
        self.points, self.block, self.plan = points, block, plan.clone()
        self.features = envelope.minorant.features(points)
        self.cost = envelope.cost(points, block)
        # the reference measure, as a column
        self.mixed = torch.zeros_like(block, dtype=torch.bool)

    def _append(self, *columns: Tensor) -> None:
        """More points, with their blocks, features and costs; they hold no mass yet."""
        none = torch.zeros_like(columns[-1])
        for name, more in zip(COLUMN, (*columns, none, none > 0), strict=True):
            setattr(self, name, torch.cat([getattr(self, name), more]))

    def add(self, minima: Minima) -> None:
        """Take in minimisers; drop what holds no mass once there are very many."""
        if len(self.plan) > 30 * self.envelope.N + 300:
            keep = self.plan > 0
            for name in COLUMN:
                setattr(self, name, getattr(self, name)[keep])
        envelope = self.envelope
        phi = envelope.minorant.features(minima.points)
        self._append(minima.points, minima.block, phi, envelope.cost(minima.points, minima.block))

    def capped(self, g: Tensor, minima: Minima) -> Minima:
        """The minima, no block above the planes of its columns: a local search may have missed one of them."""
        planes = self.cost + self.features @ (self.envelope.minorant.q * g)
        return minima._replace(lowest=minima.lowest.scatter_reduce(0, self.block, planes, "amin"))

    def solve(self) -> tuple[float, Tensor]:
        """Value and prices of the best plan over the columns: of the squared loss the prices are its residual."""
        minorant, fit = self.envelope.minorant, self.envelope.minorant.fit
        if fit.quadratic:
            root = minorant.q.sqrt()
            self.plan = self._best(
                root * self.features, root * minorant.f, self.cost, self.block, self.plan
            )
            g = self.plan @ self.features - minorant.f
            misfit = 0.5 * (minorant.q * g * g).sum()
            return minorant.constant + float(misfit + self.plan @ self.cost), g
        for _ in range(NEWTON):
            if not self._lowered():
                break
        y = self.plan @ self.features
        value = fit.value(y) + float(self.plan @ self.cost)
        return minorant.constant + value, fit.slope(y)

    def _lowered(self) -> bool:
        """A step of Newton's method for the best plan: the best one for the losses' second order; whether it helped."""
        fit, phi, plan = self.envelope.minorant.fit, self.features, self.plan
        y = plan @ phi
        value = fit.value(y) + float(plan @ self.cost)
        slope, A = self.cost + phi @ (fit.q * fit.slope(y)), fit.root(y)(phi)
        move = self._best(A, plan @ A, slope, self.block, plan) - plan
        fall = float(slope @ move)
        if not fall < -STILL * (abs(value) + float(plan @ self.cost.abs())):
            return False
        for halving in range(HALVINGS):
            new = plan + 0.5**halving * move
            if fit.value(new @ phi) + float(new @ self.cost) <= value + 0.5**halving * 1e-4 * fall:
                self.plan = new
                return True
        return False

    def attained(self) -> float:
        """The value of the best plan's measure: that of ``solve``, with what the linearised terms are above it."""
        value, _ = self.solve()
        minorant = self.envelope.minorant
        if minorant.exact:
            return value
        used, mu = (self.plan > 0) & ~self.mixed, minorant.reference
        whole = self.plan[self.mixed].sum()
        points, masses = self.points[used], self.plan[used]
        if whole > 0:
            points = torch.cat([points, mu.points])
            masses = torch.cat([masses, whole * mu.weights])
        return value + minorant.excess(Particles(points, masses / masses.sum()))

    def split(self) -> tuple[Tensor, Tensor, Tensor]:
        """The best plan as points, blocks and masses; columns of one block at nearly one place are one atom."""
        rows = torch.nonzero(self.plan > 0).flatten()
        z, block, mass = self.points[rows], self.block[rows], self.plan[rows].clone()
        near = torch.cdist(z, z) <= MERGE * (1 + z.norm(dim=1, keepdim=True))
        near &= block[:, None] == block[None, :]
        first = near.to(torch.int8).argmax(1)  # the first column of each cluster
        mass = torch.zeros_like(mass).index_add_(0, first, mass)
        keep = torch.nonzero(mass > 0).flatten()
        return z[keep], block[keep], mass[keep]

    def _best(self, A: Tensor, b: Tensor, cost: Tensor, block: Tensor, start: Tensor) -> Tensor:
        floats = (t.detach().cpu().double().numpy() for t in (A.T, b, cost, self.masses, start))
        columns, target, costs, masses, plan = floats
        best = best_plan(columns, target, costs, block.cpu().numpy(), masses, plan)
        return torch.from_numpy(best).to(cost)

    def newton_step(self, g: Tensor, minima: Minima) -> Tensor:
        """The maximum over g of the planes, less half the curvature of D at g times the squared step.

        D has, for the squared loss, the second derivative ``-q - q int J Hess^{-1} J^T dp q`` along pieces on which no
        minimiser jumps (J the derivatives of the features at the minimisers, p their masses), so this is Newton's
        method for a maximum that may sit on a kink; its step is again a restricted problem, in the metric of that
        matrix.  Of another loss the first q is that of its conjugate, and prices stay where this is finite.
        """
        minorant, fit = self.envelope.minorant, self.envelope.minorant.fit
        y = fit.answer(g)
        root = fit.root(y)
        K = torch.eye(len(y), dtype=y.dtype, device=y.device) + self._curvature(g, minima, root)
        L, failed = torch.linalg.cholesky_ex(K)
        if int(failed):  # rounding: the curvature is beyond the digits of 1
            return g
        A = torch.linalg.solve_triangular(L, root(self.features).T, upper=False)
        b = torch.linalg.solve_triangular(L, root(y)[:, None], upper=False)
        planes = self.cost + self.features @ (minorant.q * g)
        plan = self._best(A.T, b[:, 0], planes, self.block, self.plan)
        step = torch.linalg.solve_triangular(L.T, A @ plan[:, None] - b, upper=True)[:, 0]
        return fit.stepped(g, root.back(step))

    def _curvature(self, g: Tensor, minima: Minima, root: Root) -> Tensor:
        """``sum_a p_a J_a Hess_a^{-1} J_a^T`` in the metric of the root, masses moved to the nearest minimiser."""
        envelope = self.envelope
        loaded = torch.nonzero(self.plan > 0).flatten()
        far = torch.cdist(self.points[loaded], minima.points)
        far[self.block[loaded][:, None] != minima.block[None, :]] = torch.inf
        p = torch.zeros_like(minima.values).index_add_(0, far.argmin(1), self.plan[loaded])
        used = p > 0
        z = minima.points[used]
        J = root(envelope.minorant.jacobian(z).mT).mT * p[used].sqrt()[:, None, None]
        held = fixed(envelope.domain, z, envelope.gradient(g, z, minima.block[used]))
        J = J * (~held).to(J)[:, None, :]
        values, vectors = torch.linalg.eigh(envelope.hessian(g, z) + torch.diag_embed(held.to(J)))
        floor = 1e-9 * values.abs().amax() + 1e-300
        J = J @ (vectors * values.abs().clamp(min=float(floor)).rsqrt()[:, None, :])
        J = J.transpose(0, 1).flatten(1)
        return J @ J.T
