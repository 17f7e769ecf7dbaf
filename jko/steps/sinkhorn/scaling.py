"""The entropic step in its dual variable, the logarithm beta of the second scaling.

The plan is ``gamma_ij = v_i e^(alpha_i) exp(-c_ij / epsilon) e^(beta_j) m_j`` with v the volumes and m the base masses.
For each beta the proximal map gives the best alpha, and what is left is concave:

``J(beta) = sum_j m_j beta_j - conjugate(log z),   z_i = sum_j exp(-c_ij / epsilon) e^(beta_j) m_j,``

whose gradient ``m - n`` compares the second marginal n of gamma with m.  A scaling iteration is
``beta += log(m / n)``; it never lowers J, and needs some 1/epsilon iterations.  Newton's direction needs few: with the
averages P over the columns and Q over the rows of gamma, ``-J'' = n (1 - Q C P)``, C diagonal but for the risk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jko.metrics.entropic.newton import conjugate_gradients
from jko.steps.sinkhorn.kernels import PLAIN, Kernel, Sums, deep_sums
from jko.steps.sinkhorn.proximal import Proximal, ProximalMap

CG = 200  # products of one direction
HALVINGS = 25
ARMIJO = 1e-4
RIDGE = 1e-13  # relative: rounding may leave the smallest eigenvalue below zero
NOISE = 1e-14  # of J: differences below it are rounding


@dataclass(frozen=True, eq=False)
class Coupled:
    """The dual at one beta.

    Attributes
    ----------
    beta, shift : (N,)
        The dual variable, and what a scaling iteration adds to it: log(m / n).
    value : float
        J.
    first, second : Sums
        Of the kernel, for the first and for the second marginal.
    proximal : Proximal
        Of the energy; its ``log`` is -inf in cells that count as empty.
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
    proximal: Proximal
    residual: float
    depths: tuple[float, float]


@dataclass(eq=False)
class Scaling:
    """The dual problem for base masses ``masses`` (N,), zero where there is none.

    ``tilt`` (N,): what multiplies the kernel's rows, as a logarithm.  Cells whose density is below e^-cutoff of the
    largest count as empty.
    """

    kernel: Kernel
    proximal: ProximalMap
    masses: Tensor
    tilt: Tensor
    cutoff: float
    applications: int = 0

    def __post_init__(self) -> None:
        self.support = self.masses > 0
        self.log_masses = self.masses.log()
        self.log_volumes = self.proximal.volumes.log()

    # the dual and its derivatives

    def at(self, beta: Tensor, near: Coupled | None = None) -> Coupled:
        """Evaluate J, its gradient, and all that Newton's direction needs; start from what is known ``near``."""
        lam = near.proximal.lam if near else None
        depths = near.depths if near else (PLAIN, PLAIN)
        first, found, down = self._first(beta, lam, depths[0])
        second, across = self.second(_where_mass_is(found), depths[1])
        shift = torch.where(self.support, -second.log - beta, 0)
        residual = float((self.masses * torch.expm1(-shift).abs()).sum())
        value = float((self.masses * beta).sum()) - found.conjugate
        return Coupled(beta, shift, value, first, second, found, residual, (down, across))

    def _first(
        self, beta: Tensor, lam: Tensor | None, depth: float
    ) -> tuple[Sums, Proximal, float]:
        """Kernel and proximal map: go deeper until what the sums cannot see is empty anyway."""
        while True:
            sums = self.kernel.sums(self.log_masses + beta, depth)
            self.applications += 1
            unseen = sums.log == -torch.inf
            found = self.proximal(torch.where(unseen, sums.floor, sums.log) + self.tilt, lam)
            empty = found.log < found.log.max() - self.cutoff
            if bool((empty | ~unseen).all()) or sums.floor == -math.inf:
                break
            depth *= 2
        log = found.log.masked_fill(empty, -torch.inf)
        return sums, replace(found, log=log), depth

    def second(self, alpha: Tensor, depth: float = PLAIN) -> tuple[Sums, float]:
        """The kernel applied to the first scaling v e^(alpha + tilt), seen on the support of the base."""
        self.applications += 1
        return deep_sums(self.kernel, self.log_volumes + alpha + self.tilt, self.support, depth)

    def from_first(self, alpha: Tensor) -> Coupled:
        """Begin with the first scaling alpha (N,), -inf where there shall be no mass; a constant does not matter."""
        sums, _ = self.second(alpha - alpha.max())
        return self.at(torch.where(self.support, -sums.log, 0))

    def curvature(self, here: Coupled) -> Callable[[Tensor], Tensor]:
        """The map v -> -J'' v = n (v - Q C P v)."""
        found, n = here.proximal, self.columns(here)
        rest = 1 - found.elasticity
        A, kappa, L = self.proximal.features, self.proximal.kappa, self.proximal.factor(found)
        mass = self.proximal.masses(found)

        def product(v: Tensor) -> Tensor:
            self.applications += 2
            w = here.first.average(v)
            lam = torch.cholesky_solve((A @ (mass * found.elasticity * w))[:, None], L)[:, 0]
            back = rest * w + kappa * found.elasticity * (A.T @ lam)
            return n * (v - here.second.average(back))

        return product

    def columns(self, here: Coupled) -> Tensor:
        """The second marginal n of the plan, (N,)."""
        return self.masses * (-here.shift).exp()

    # maximisation

    def maximise(self, here: Coupled, tol: float, rounds: int) -> tuple[Coupled, int]:
        """Newton's method; a scaling iteration where a line along Newton's direction leads nowhere."""
        for k in range(rounds):
            if here.residual <= tol or not math.isfinite(here.value):
                return here, k
            there = self._search(here, self.direction(here, tol)) or self._search(here, here.shift)
            if there is None:
                return here, k
            here = there
        return here, rounds

    def direction(self, here: Coupled, tol: float) -> Tensor:
        """Solve ``-J'' d = n log(m / n)``: near the maximum Newton's direction, far from it the better one."""
        if here.first.log_weights is None:
            return self._by_gradients(here, tol)
        return self._by_elimination(here, here.first.log_weights())

    def _by_elimination(self, here: Coupled, log_weights: Tensor) -> Tensor:
        """With ``R = gamma / sqrt(mu n)``: the matrix is ``sqrt(n) (1 - R^T C R) sqrt(n)``."""
        found, n = here.proximal, self.columns(here)
        mu = self.proximal.masses(found)
        rows, columns = found.log > -torch.inf, self.support
        half = 0.5 * n[columns].log()
        R = (log_weights[rows][:, columns] + 0.5 * mu[rows, None].log() - half).exp()
        stay = found.elasticity[rows]
        H = torch.eye(len(half), dtype=R.dtype, device=R.device) - R.T @ ((1 - stay)[:, None] * R)
        scaled = (self.proximal.features[:, rows] * (mu[rows].sqrt() * stay)) @ R
        inner = torch.cholesky_solve(scaled, self.proximal.factor(found))
        H -= self.proximal.kappa * scaled.T @ inner
        root = half.exp()
        H.diagonal().add_(RIDGE)
        L, info = torch.linalg.cholesky_ex(H)
        d = torch.zeros_like(n)
        if int(info):
            return d
        right = (root * here.shift[columns])[:, None]
        d[columns] = torch.cholesky_solve(right, L)[:, 0] / root
        return d

    def _by_gradients(self, here: Coupled, tol: float) -> Tensor:
        """Conjugate gradients, as far as the outer residual asks for."""
        product, n = self.curvature(here), self.columns(here)
        diagonal = n * (1 - self.kernel.staying * (1 - here.proximal.elasticity))
        inverse = torch.where(n > 0, 1 / diagonal, 0)
        enough = max(min(0.1, here.residual) * here.residual, 0.3 * tol)
        return conjugate_gradients(product, n * here.shift, inverse, enough, CG)

    def _search(self, here: Coupled, direction: Tensor) -> Coupled | None:
        """Armijo's rule, from a full step down."""
        slope = float(torch.dot(self.masses - self.columns(here), direction))
        if not (math.isfinite(slope) and slope > 0):
            return None
        length, noise = (
            1.0,
            NOISE * (abs(here.value) + float((self.masses * here.beta).abs().sum())),
        )
        for _ in range(HALVINGS):
            there = self.at(here.beta + length * direction, here)
            if there.value >= here.value + ARMIJO * length * slope - noise:
                better = there.value > here.value + noise or there.residual < here.residual
                return there if better else None
            length *= 0.5
        return None


def _where_mass_is(found: Proximal) -> Tensor:
    """The first scaling alpha, -inf in empty cells."""
    return torch.where(found.log > -torch.inf, found.alpha, -torch.inf)
