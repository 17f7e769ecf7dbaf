"""The proximal map of an energy in the Kullback-Leibler sense, in logarithms.

With ``kappa = 2 tau / epsilon`` and ``s = log z``, where z is what the kernel made of the other marginal, it is

``minimise over rho >= 0:  kappa E(rho) + sum_i v_i (rho_i (log rho_i - s_i) - rho_i)``,

that is ``log rho + kappa (V + sum_k c_k U_k'(rho) + A^T lam) = s`` in every cell, with ``lam = A m - b`` the residual
of the risks and m = v rho.  The cells are coupled by lam alone, so the outer problem has r <= 20 unknowns or so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jko.energies import Entropy, Internal, Parts, PorousMedium

ROUNDS = 60  # of a scalar Newton iteration; some five are needed
TOL = 1e-13  # of lam
HALVINGS = 30


@dataclass(frozen=True, eq=False)
class Proximal:
    """The minimiser.

    Attributes
    ----------
    log : (N,)
        log rho; -inf where V is +inf.
    alpha : (N,)
        ``-kappa E'(rho) = log rho - s``: the logarithm of the first scaling.
    elasticity : (N,)
        d log rho / d s at fixed lam, in (0, 1].
    lam : (r,)
        Residual of the risks; r = 0 if there is none.
    conjugate : float
        ``sum_i v_i (rho + kappa sum_k c_k (rho U_k' - U_k)) + kappa (|lam|^2 / 2 + b . lam)``, whose derivative in s
        is the mass v rho.
    """

    log: Tensor
    alpha: Tensor
    elasticity: Tensor
    lam: Tensor
    conjugate: float


@dataclass(frozen=True, eq=False)
class ProximalMap:
    """The map s -> rho, for an energy sorted into ``parts`` and cells of the given volumes."""

    parts: Parts
    volumes: Tensor
    kappa: float

    @cached_property
    def features(self) -> Tensor:
        """A, (r, N)."""
        A = self.parts.features
        return self.volumes.new_zeros(0, len(self.volumes)) if A is None else A

    @cached_property
    def targets(self) -> Tensor:
        """b, (r,)."""
        b = self.parts.targets
        return self.volumes.new_zeros(0) if b is None else b

    def __call__(self, s: Tensor, lam: Tensor | None = None) -> Proximal:
        """Minimise: Newton's method for lam, which minimises the conjugate; ``lam`` is a first guess."""
        found = self._at(s, torch.zeros_like(self.targets) if lam is None else lam)
        for _ in range(ROUNDS):
            F = found.lam + self.targets - self.features @ self.masses(found)
            if float(F.norm()) <= TOL * (1 + float(found.lam.norm())):
                break
            step = -torch.cholesky_solve(F[:, None], self.factor(found))[:, 0]
            better = self._search(s, found, step, self.kappa * float(F @ step))
            if better is None:
                break
            found = better
        return found

    def _search(self, s: Tensor, found: Proximal, step: Tensor, slope: float) -> Proximal | None:
        """Armijo's rule, from a full step down."""
        noise = 1e-14 * abs(found.conjugate)
        for k in range(HALVINGS):
            trial = self._at(s, found.lam + 0.5**k * step)
            if trial.conjugate <= found.conjugate + 1e-4 * 0.5**k * slope + noise:
                return trial
        return None

    def masses(self, found: Proximal) -> Tensor:
        """V rho, (N,)."""
        return self.volumes * found.log.exp()

    def factor(self, found: Proximal) -> Tensor:
        """Cholesky factor of ``I + kappa A diag(m d log rho / ds) A^T``, (r, r)."""
        A = self.features
        weighted = A * (self.kappa * self.masses(found) * found.elasticity)
        return torch.linalg.cholesky(
            torch.eye(len(A), dtype=A.dtype, device=A.device) + weighted @ A.T
        )

    def _at(self, s: Tensor, lam: Tensor) -> Proximal:
        """Solve every cell for a given lam."""
        kappa, V = self.kappa, self.parts.potential + self.features.T @ lam
        log = _log_density(s - kappa * V, kappa, self.parts.internal)
        alpha, stiffness, rho = -kappa * V, torch.ones_like(s), log.exp()
        conjugate = rho.clone()
        for c, U in self.parts.internal:
            slope, stiff, pressure = _terms(U, log)
            alpha = alpha - kappa * c * slope
            stiffness = stiffness + kappa * c * stiff
            conjugate += kappa * c * pressure
        alpha = torch.where(log == -torch.inf, -torch.inf, alpha)
        value = float((self.volumes * conjugate).sum())
        value += kappa * float(0.5 * lam @ lam + self.targets @ lam)
        return Proximal(log, alpha, 1 / stiffness, lam, value)


def _terms(U: Internal, log: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``U'(rho)``, ``rho U''(rho)`` and the pressure ``rho U' - U`` at rho = exp(log)."""
    rho = log.exp()
    if isinstance(U, Entropy):
        return log + 1, torch.ones_like(log), rho
    if isinstance(U, PorousMedium):
        power = ((U.m - 1) * log).exp()
        return power / (U.m - 1), power, rho * power / U.m
    slope = U.slope(rho)
    flat = U.density_slope(slope)
    stiff = torch.where(flat > 0, rho / flat, 0)
    return slope, stiff, torch.where(rho > 0, rho * slope, 0) - U.U(rho)


def _log_density(s: Tensor, kappa: float, internal: tuple[tuple[float, Internal], ...]) -> Tensor:
    """Solve ``l + kappa sum_k c_k U_k'(e^l) = s`` for l = log rho in every cell."""
    heat = kappa * sum(c for c, U in internal if isinstance(U, Entropy))
    others = tuple((kappa * c, U) for c, U in internal if not isinstance(U, Entropy))
    s = (s - heat) / (1 + heat)
    others = tuple((c / (1 + heat), U) for c, U in others)
    if not others:
        return s
    if len(others) == 1 and isinstance(U := others[0][1], PorousMedium):
        # with w = c rho^(m-1):  log w + w = (m - 1) s + log c
        shift = math.log(others[0][0])
        return (_log_omega((U.m - 1) * s + shift) - shift) / (U.m - 1)
    return _scalar_newton(s, others)


def _log_omega(t: Tensor) -> Tensor:
    """The root L of ``L + e^L = t`` (e^L is Wright's omega, Lambert's W of e^t): Newton from above."""
    L = torch.where(t > 1, t.clamp(min=1).log(), t)
    for _ in range(ROUNDS):
        w = L.exp()
        step = (L + w - t) / (1 + w)
        step = torch.where(t == -torch.inf, 0, step)
        L = L - step
        if float(step.abs().max()) <= 1e-15 * (1 + float(L.nan_to_num(0, 0, 0).abs().max())):
            break
    return L


def _scalar_newton(s: Tensor, terms: tuple[tuple[float, Internal], ...]) -> Tensor:
    """The root of ``h(l) = l + sum_k c_k U_k'(e^l) - s``, increasing: Newton, or bisection where it is no faster."""
    low, high = torch.full_like(s, -torch.inf), torch.full_like(s, 700.0)
    log, last, reach = s.clamp(max=700.0), torch.full_like(s, torch.inf), torch.ones_like(s)
    empty = s == -torch.inf
    for _ in range(4 * ROUNDS):
        excess, slope = log - s, torch.ones_like(s)
        for c, U in terms:
            value, stiff, _ = _terms(U, log)
            excess, slope = excess + c * value, slope + c * stiff
        low, high = torch.where(excess < 0, log, low), torch.where(excess > 0, log, high)
        newton = log - excess / slope
        good = (newton > low) & (newton < high) & ((newton - log).abs() < 0.5 * last)
        reach = torch.where(good, reach, 2 * reach)
        bisected = torch.where(low == -torch.inf, high - reach, 0.5 * (low + high))
        new = torch.where(good, newton, bisected)
        new = torch.where(empty | (excess == 0), log, new)
        last = torch.where(empty, 0, new - log).abs()
        log = new
        if bool((last <= 4e-16 * (1 + log.abs().nan_to_num(0, 0, 0))).all()):
            break
    return log
