"""The proximal map of an energy in the Kullback-Leibler sense, in logarithms.

With ``kappa = 2 tau / epsilon`` and ``s = log z``, where z is what the kernel made of the other marginal, it is

``minimise over rho >= 0:  kappa E(rho) + sum_i v_i (rho_i (log rho_i - s_i) - rho_i)``.

The second sum is one more entropy: with ``U = entropy + kappa sum_k c_k U_k``, an internal energy, and with
``lam = A m - b`` the residual of the risks, m = v rho, ``U'(rho) = s + 1 - kappa (V + A^T lam)`` in every cell.  The
cells are coupled by lam alone, so the outer problem has r <= 20 unknowns or so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from jko.energies import Entropy, Mixture, Parts
from jko.metrics.entropic.marginal import Marginal
from jko.numerics.search import armijo

ROUNDS = 60  # of Newton's method for lam; some five are needed
TOL = 1e-13  # of lam
HALVINGS = 30
NOISE = 1e-14  # of the conjugate: differences below it are rounding


@dataclass(frozen=True, eq=False)
class ProximalMap:
    """The map s -> rho, for an energy sorted into ``parts`` and cells of the given volumes.

    Of what it finds ``alpha`` is ``-kappa E'(rho)``, ``lam`` the residual of the risks, and ``conjugate``, which lam
    minimises, is ``sum_i v_i U*(s_i + 1 - kappa (V + A^T lam)_i) + kappa (|lam|^2 / 2 + b . lam)``.
    """

    parts: Parts
    volumes: Tensor
    kappa: float
    rigid = False

    @cached_property
    def U(self) -> Mixture:
        """``rho log rho + kappa sum_k c_k U_k``."""
        return Mixture.of(
            [(1.0, Entropy()), *((self.kappa * c, U) for c, U in self.parts.internal)]
        )

    def __call__(self, s: Tensor, near: Marginal | None = None) -> Marginal:
        """Minimise: Newton's method for lam, which minimises the conjugate."""
        found = self._at(s, torch.zeros_like(self.parts.b) if near is None else near.lam)
        for _ in range(ROUNDS):
            F = found.lam + self.parts.b - self.parts.A @ self.masses(found)
            if float(F.norm()) <= TOL * (1 + float(found.lam.norm())):
                break
            step = -torch.cholesky_solve(F[:, None], self.factor(found))[:, 0]
            along = partial(self._along, s, found.lam, step)
            slope, noise = self.kappa * float(F @ step), NOISE * abs(found.value)
            better = armijo(along, found.value, slope, noise=noise, trials=HALVINGS).point
            if better is None:
                break
            found = better
        return found

    def masses(self, found: Marginal) -> Tensor:
        """``v rho``, (N,)."""
        return self.volumes * found.log.exp()

    def factor(self, found: Marginal) -> Tensor:
        """Cholesky factor of ``I + kappa A diag(m d log rho / ds) A^T``, (r, r)."""
        A = self.parts.A
        weighted = A * (self.kappa * self.masses(found) * found.elasticity)
        return torch.linalg.cholesky(
            torch.eye(len(A), dtype=A.dtype, device=A.device) + weighted @ A.T
        )

    def coupling(self, found: Marginal) -> Tensor:
        """The features whitened by the factor, times sqrt(kappa)."""
        A = self.kappa**0.5 * self.parts.A
        return torch.linalg.solve_triangular(self.factor(found), A, upper=False)

    def _along(self, s: Tensor, lam: Tensor, step: Tensor, length: float) -> Marginal:
        return self._at(s, lam + length * step)

    def _at(self, s: Tensor, lam: Tensor) -> Marginal:
        """Solve every cell for a given lam."""
        V, kappa = self.parts.potential + self.parts.A.T @ lam, self.kappa
        log = self.U.log_density(s + 1 - kappa * V)
        slope, rise = self.parts.mixture.of_log(log)
        alpha = torch.where(log == -torch.inf, -torch.inf, -kappa * (V + slope))
        rho = log.exp()
        value = float((self.volumes * (rho + kappa * self.parts.mixture.pressure(rho))).sum())
        value += kappa * float(0.5 * lam @ lam + self.parts.b @ lam)
        return Marginal(log, alpha, 1 / (1 + kappa * rise), lam, value)
