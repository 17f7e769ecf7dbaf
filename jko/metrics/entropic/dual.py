"""The dual of an entropic problem, in the logarithm beta of the second scaling.

The plan is ``gamma_ij = v_i e^(alpha_i) exp(-c_ij / epsilon) e^(beta_j) m_j`` with v volumes and m the masses that the
second marginal has to be.  What is asked of the first marginal is a convex function of it, whose proximal map gives
the best alpha for each beta (:mod:`jko.metrics.entropic.marginal`).  What is left is convex, with ``conjugate`` that of
the function:

``D(beta) = conjugate(log z) - sum_j m_j beta_j,   z_i = sum_j exp(-c_ij / epsilon) e^(beta_j) m_j``.

Its gradient ``n - m`` compares the second marginal n of gamma with m.  A scaling iteration is ``beta += log(m / n)``;
it never raises D, and needs some 1/epsilon iterations.  Newton's direction needs few: with the averages P over the
columns and Q over the rows of gamma, ``D'' = n (1 - Q C P)``, where ``C = -d alpha / d log z`` says how far the first
marginal stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jko.metrics.entropic.kernel import PLAIN, Kernel, Sums, deep_sums
from jko.metrics.entropic.marginal import Marginal, MarginalMap
from jko.numerics.krylov import conjugate_gradients
from jko.numerics.search import armijo

CG = 500  # products of one direction
HALVINGS = 25
LONGEST = 20.0  # a step in beta, a potential over epsilon, where the first marginal is given
BEYOND = math.expm1(1)  # where a line takes over from an exponential, at 1
RIDGE = 1e-13  # relative: rounding may leave the smallest eigenvalue below zero
NOISE = 1e-14  # of D: differences below it are rounding


@dataclass(frozen=True, eq=False)
class Coupled:
    """The dual at one beta.

    Attributes
    ----------
    beta, shift : (M,)
        The dual variable, and what a scaling iteration adds to it: log(m / n).
    value : float
        D.
    first, second : Sums
        Of the kernel, for the first and for the second marginal.
    marginal : Marginal
        The first; its ``log`` is -inf in cells that count as empty.
    residual : float
        L1 distance of the second marginal to m.
    depths : (float, float)
        How deep the sums had to be.
    """

    beta: Tensor
    shift: Tensor
    value: float
    first: Sums
    second: Sums
    marginal: Marginal
    residual: float
    depths: tuple[float, float]


@dataclass(eq=False)
class EntropicDual:
    """The dual problem for the second marginal ``masses`` (M,), zero where there is none.

    ``tilt`` (N,): what multiplies the kernel's rows, as a logarithm.  Cells whose density is below e^-cutoff of the
    largest count as empty.
    """

    kernel: Kernel
    first: MarginalMap
    masses: Tensor
    tilt: Tensor | float = 0.0
    cutoff: float = math.inf
    applications: int = 0

    def __post_init__(self) -> None:
        self.support = self.masses > 0
        self.log_masses = self.masses.log()
        self.log_volumes = self.first.volumes.log()

    # the dual and its derivatives

    def at(self, beta: Tensor, near: Coupled | None = None) -> Coupled:
        """Evaluate D, its gradient, and all that Newton's direction needs; start from what is known ``near``."""
        depths = near.depths if near else (PLAIN, PLAIN)
        first, found, down = self._first(beta, near.marginal if near else None, depths[0])
        alpha = torch.where(found.log > -torch.inf, found.alpha, -torch.inf)
        second, across = self.second(alpha, depths[1])
        shift = torch.where(self.support, -second.log - beta, 0)
        residual = float((self.masses * torch.expm1(-shift).abs()).sum())
        value = found.conjugate - float((self.masses * beta).sum())
        return Coupled(beta, shift, value, first, second, found, residual, (down, across))

    def _first(
        self, beta: Tensor, near: Marginal | None, depth: float
    ) -> tuple[Sums, Marginal, float]:
        """Kernel and proximal map: go deeper until what the sums cannot see is empty anyway."""
        while True:
            sums = self.kernel.sums(self.log_masses + beta, depth)
            self.applications += 1
            unseen = sums.log == -torch.inf
            found = self.first(torch.where(unseen, sums.floor, sums.log) + self.tilt, near)
            empty = (found.log < found.log.max() - self.cutoff) | (found.log == -torch.inf)
            if bool((empty | ~unseen).all()) or sums.floor == -math.inf:
                break
            depth *= 2
        log = found.log.masked_fill(empty, -torch.inf)
        return sums, replace(found, log=log), depth

    def second(self, alpha: Tensor, depth: float = PLAIN) -> tuple[Sums, float]:
        """The kernel applied to the first scaling v e^(alpha + tilt), seen on the support of the second marginal."""
        self.applications += 1
        u = self.log_volumes + alpha + self.tilt
        return deep_sums(self.kernel.transposed, u, self.support, depth)

    def from_first(self, alpha: Tensor) -> Coupled:
        """Begin with the first scaling alpha (N,), -inf where there shall be no mass; a constant does not matter."""
        sums, _ = self.second(alpha - alpha.max())
        return self.at(torch.where(self.support, -sums.log, 0))

    def rows(self, here: Coupled) -> Tensor:
        """The first marginal of the plan, (N,)."""
        return self.first.volumes * here.marginal.log.exp()

    def columns(self, here: Coupled) -> Tensor:
        """The second marginal n of the plan, (M,)."""
        return self.masses * (-here.shift).exp()

    def curvature(self, here: Coupled) -> Callable[[Tensor], Tensor]:
        """The map v -> D'' v = n (v - Q C P v)."""
        e, n, mu = here.marginal.elasticity, self.columns(here), self.rows(here)
        B = self.first.coupling(here.marginal)

        def product(v: Tensor) -> Tensor:
            self.applications += 2
            w = here.first.average(v)
            back = (1 - e) * w
            if len(B):
                back = back + e * (B.T @ (B @ (mu * e * w)))
            Hv = n * (v - here.second.average(back))
            return Hv + RIDGE * self.masses * v if self.first.rigid else Hv

        return product

    # minimisation

    def minimise(self, here: Coupled, tol: float, rounds: int) -> tuple[Coupled, int]:
        """Newton's method; a scaling iteration where a line along Newton's direction leads nowhere."""
        for k in range(rounds):
            if here.residual <= tol or not math.isfinite(here.value):
                return here, k
            there = self._search(here, self.direction(here, tol)) or self._search(here, here.shift)
            if there is None:
                return here, k
            here = there
        return here, rounds

    def scaled(self, here: Coupled, tol: float, rounds: int) -> tuple[Coupled, int]:
        """Scaling iterations alone."""
        for k in range(rounds):
            if here.residual <= tol:
                return here, k
            here = self.at(here.beta + here.shift, here)
        return here, rounds

    def direction(self, here: Coupled, tol: float) -> Tensor:
        """Solve ``D'' d = n log(m / n)``: near the minimum Newton's direction, far from it the better one.

        Where the first marginal is given Newton's own, ``m - n``, is better; but where m is above e n, as in the tails
        of densities: there the logarithm goes on.
        """
        n = self.columns(here)
        right = n * here.shift
        if self.first.rigid:
            right = n * torch.where(here.shift <= 1, here.shift.expm1(), BEYOND * here.shift)
            right = right - right.sum() * n / n.sum()
        if here.first.log_weights is None:
            return self._by_gradients(here, right, tol)
        return self._by_elimination(here, right, here.first.log_weights())

    def _by_elimination(self, here: Coupled, right: Tensor, log_weights: Tensor) -> Tensor:
        """With ``R = gamma / sqrt(mu n)``: the matrix is ``sqrt(n) (1 - R^T C R) sqrt(n)``."""
        found, mu, n = here.marginal, self.rows(here), self.columns(here)
        rows, columns = found.log > -torch.inf, self.support
        half = 0.5 * n[columns].log()
        R = (log_weights[rows][:, columns] + 0.5 * mu[rows, None].log() - half).exp()
        e, root = found.elasticity[rows], half.exp()
        scaled = (self.first.coupling(found)[:, rows] * (mu[rows].sqrt() * e)) @ R
        H = -(R.T @ ((1 - e)[:, None] * R)) - scaled.T @ scaled
        H.diagonal().add_(1 + RIDGE)
        if self.first.rigid:
            H += torch.outer(root, root)
        L, info = torch.linalg.cholesky_ex(H)
        d = torch.zeros_like(n)
        if not int(info):
            d[columns] = torch.cholesky_solve((right[columns] / root)[:, None], L)[:, 0] / root
        return d

    def _by_gradients(self, here: Coupled, right: Tensor, tol: float) -> Tensor:
        """Conjugate gradients, as far as the outer residual asks for."""
        n = self.columns(here)
        diagonal = n
        if self.kernel.transposed is self.kernel:
            diagonal = n * (1 - self.kernel.staying * (1 - here.marginal.elasticity))
        inverse = torch.where(n > 0, 1 / diagonal, 0)
        enough = max(min(0.1, here.residual) * here.residual, 0.3 * tol)
        product = self.curvature(here)
        return conjugate_gradients(product, right, lambda r: inverse * r, enough, CG).x

    def _search(self, here: Coupled, direction: Tensor) -> Coupled | None:
        """Armijo's rule; what has not fallen beyond rounding must be nearer to the marginal."""
        slope = -float(torch.dot(self.masses - self.columns(here), direction))
        longest = 1.0
        if self.first.rigid:
            longest = min(1.0, LONGEST / max(float(direction.abs().max()), 1e-300))
        if not (math.isfinite(slope) and longest > 0):
            return None
        noise = NOISE * (abs(here.value) + float((self.masses * here.beta).abs().sum()))
        there = armijo(
            lambda length: self.at(here.beta + length * direction, here),
            here.value,
            slope,
            longest=longest,
            noise=noise,
            drowned=lambda there: there.residual < here.residual,
            trials=HALVINGS,
        ).point
        if there is None:
            return None
        better = there.value < here.value - noise or there.residual < here.residual
        return there if better else None
