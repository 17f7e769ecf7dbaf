"""The moment hierarchy on cells: reconstruction, fluxes and sources for U = (rho, m_1, ..., m_k), m_i = rho H_i."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from jko.energies import Energy, Linear, OnTheta, Risk, SquaredNorm, joined, refuse, sorted_terms
from jko.limits.fibres import Fibres
from jko.limits.moments import Closure, cumulants, moments
from jko.limits.rungekutta import CellEquations, Slope, Stages
from jko.limits.spans import SEVERAL, with_activation
from jko.limits.volumes import faces
from jko.measures import Particles
from jko.spaces import FacesAcross, Grid


class HierarchyVolumes(CellEquations[Slope]):
    """The right side of the hierarchy for U = (rho, m_1, ..., m_k), shape (k + 1, *grid.shape)."""

    safe: ClassVar[float] = 0.8  # 0.4 of a cell; up to 1/2 the density stays positive
    least: ClassVar[float] = 1e-9
    longer: ClassVar[float] = math.inf
    remedy: ClassVar[str] = "Take a coarser grid, t1 below"

    def __init__(self, energy: Energy, grid: Grid, k: int, closure: Closure) -> None:
        self.grid, self.k, self.closure = grid, k, closure
        self.affine, self.potential, self.lam = read(energy)
        self.faces = [faces.places(grid, axis) for axis in range(grid.dim)]
        self.points = torch.cat([grid.centres, *self.faces])

    def __call__(self, t: float, U: Tensor) -> Slope:
        """Minus the differences of the fluxes, and the sources."""
        rho, H = primitive(U)
        N, grad_N, grad_U = self._field(rho, H)
        falls, stiff = self._falls(t, rho, H)
        i = torch.arange(1, len(U), dtype=U.dtype, device=U.device).reshape(-1, *[1] * rho.ndim)
        rates, fastest, first = torch.zeros_like(U), (len(U) - 1) * stiff, self.grid.N
        rates[1:] = -i * (U[:-1] * N[:first].reshape(rho.shape) + self.lam * U[1:] + rho * falls)
        for axis, at in enumerate(self.faces):
            if len(at) == 0:
                continue  # a single cell across this axis
            last, across = first + len(at), self.grid.across[axis]
            field = grad_N[first:last, axis], grad_U[first:last, axis]
            flux, speed = self._fluxes(t, at, rho, H, across, *field)
            rates -= across.outflow(flux.reshape(across.before(U).shape)) / across.width
            fastest += float(speed.max()) / across.width
            first = last
        return Slope(rates, 2 * fastest)

    def error(self, step: Stages[Slope]) -> float:
        """None is estimated; but what is not finite with rho >= 0 is none of it."""
        fine = torch.isfinite(step.after).all() & (step.after[0] >= 0).all()
        return 0.0 if fine else math.nan

    def rests(self, slope: Slope, left: float) -> bool:
        """A closure may depend on time."""
        return False

    def stuck(self, t: float, t1: float, bound: float) -> str:
        """The closure lost the hyperbolicity of the hierarchy, or its moments grow without bound."""
        return (
            f"rho and the moments are not finite with rho >= 0 beyond t = {t:g} of {t1:g}: the equations for "
            f"k = {self.k} blow up there. Take t1 below, jko.limits.Measured for a closure, or a smaller k"
        )

    def _fluxes(
        self,
        t: float,
        at: Tensor,
        rho: Tensor,
        H: Tensor,
        across: FacesAcross,
        grad_N: Tensor,
        grad_U: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Fluxes of Rusanov through the faces across an axis, (k + 1, F), and the speeds there, (F,)."""
        sides, speeds = [], []
        for W in _reconstructed(torch.cat([rho[None], cumulants(H)]), across):
            density, inner = W[0].reshape(-1), moments(W[1:].flatten(1))
            last = self.closure(t, at, inner)
            powers = torch.cat([torch.ones_like(last)[None], inner, last[None]])
            pushed, fastest = self._pushed(at, powers, across.axis)
            flux = -powers[1:] * grad_N - powers[:-1] * grad_U - pushed
            sides.append((density, powers[:-1], flux))
            variance = powers[2] - powers[1] ** 2
            spread = inner[0].abs() + _reach(len(H)) * variance.clamp(min=0).sqrt()
            speeds.append(grad_U.abs() + grad_N.abs() * spread + fastest)
        speed = torch.maximum(*speeds)
        (rho_l, U_l, f_l), (rho_r, U_r, f_r) = sides  # U and flux per unit of mass
        return 0.5 * rho_l * (f_l + speed * U_l) + 0.5 * rho_r * (f_r - speed * U_r), speed

    def _falls(self, t: float, rho: Tensor, H: Tensor) -> tuple[Tensor | float, float]:
        """``int w^{i-1} d_w V dnu`` at the centres for i = 1 ... k, (k, *grid.shape), and the rate at which w falls."""
        if self.potential is None:
            return 0.0, abs(self.lam)
        at, inner = self.grid.centres, H.flatten(1)
        fibres = Fibres.of(torch.cat([inner, self.closure(t, at, inner)[None]]), at)
        falls = fibres.moments(self.potential.gradient(fibres.mu)[:, 0], len(H))
        curved = self.potential.second_order(fibres.mu).blocks[:, 0, 0].reshape(fibres.w.shape)
        full = rho.reshape(-1) > 0
        return falls.reshape(H.shape), abs(self.lam) + float(curved[:, full].abs().max())

    def _pushed(
        self, at: Tensor, powers: Tensor, axis: int
    ) -> tuple[Tensor | float, Tensor | float]:
        """``V_i^theta = int w^i d_theta V dnu`` along an axis for i = 0 ... k, (k + 1, F), and the fastest of it."""
        if self.potential is None:
            return 0.0, 0.0
        fibres = Fibres.of(powers[1:], at)
        slope = self.potential.gradient(fibres.mu)[:, axis]
        return fibres.moments(slope, len(powers) - 1), slope.reshape(fibres.w.shape).abs().amax(0)

    def _field(self, rho: Tensor, H: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """N, grad N and grad U at centres and faces: the gradient of ``w N + lam/2 w^2 + U`` at w = 0 and w = 1."""
        atoms = torch.cat([H[0].reshape(-1, 1), self.grid.centres], dim=1)
        mu = Particles.of(atoms, rho.reshape(-1) * self.grid.cell)
        zero = self.points.new_zeros(len(self.points), 1)
        at = torch.cat([torch.cat([zero + w, self.points], dim=1) for w in (0, 1)])
        if self.affine is None:
            still = torch.zeros_like(self.points)
            return still[:, 0], still, still
        low, high = self.affine.gradient(mu, at).chunk(2)
        return low[:, 0], high[:, 1:] - low[:, 1:], low[:, 1:]


def read(energy: Energy) -> tuple[Energy | None, Energy | None, float]:
    """An energy as ``w N(theta) + lam/2 w^2 + U(theta)``, whose integrals need no closure, and a potential V; and lam.

    Raises
    ------
    ValueError
        Terms that are neither; risks without an activation, or with several outputs.
    """
    terms = sorted_terms(energy)
    refuse([(c, R) for c, R in terms.risks if R.data.k > 1], SEVERAL)
    for _, risk in terms.risks:
        with_activation(risk)
    refuse(
        terms.without(Linear, Risk, OnTheta),
        "the term {energy} is neither linear in w nor a potential, so that the hierarchy does not close; allowed are "
        "sums of multiples of jko.Risk, potentials (jko.SquaredNorm, jko.Potential, jko.energies.PowerNorm) and "
        "jko.energies.OnTheta(energy)",
    )
    curved = [(c, V) for c, V in terms.linear if not isinstance(V, SquaredNorm)]
    plain = [
        (c, E) for c, E in terms.all if not isinstance(E, Linear) or isinstance(E, SquaredNorm)
    ]
    return joined(plain), joined(curved), terms.lam


def primitive(U: Tensor) -> tuple[Tensor, Tensor]:
    """rho and H_i = m_i / rho, zero where rho is."""
    rho = U[0]
    return rho, torch.where(rho > 0, U[1:] / torch.where(rho > 0, rho, 1.0), 0.0)


def _reconstructed(W: Tensor, across: FacesAcross) -> tuple[Tensor, Tensor]:
    """Values on both sides of the faces across an axis, by slopes with the limiter MC; flat at the walls."""
    slopes = faces.slopes(W, across)
    for end in () if across.wraps else (0, -1):
        slopes.select(across.axis, end).zero_()
    return faces.sides(W, slopes, across)


@lru_cache
def _reach(k: int) -> float:
    """The largest speed of the closed hierarchy in standard deviations if nu_theta is normal."""
    return float(np.polynomial.hermite_e.hermegauss(k + 1)[0].max())
