"""Densities on cells as a family: F and its dissipation in coordinates in which differences cost what they weigh.

A density is ``rho = e^(log rho_* + u) / Z`` where minimisers are positive, else ``rho = (U*)'(U'(rho_*) + u) / Z``, so
that its support may grow.  The coordinates are the cosine coefficients of u, the k-th times ``sqrt(1 + |k|^2)``: I is
a square of gradients of u, and F - F_* one of u.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from torch import Tensor

from jko.diagnostics.rates.families import EnergyAndPower, Family
from jko.diagnostics.rates.linearised import modes
from jko.energies import Energy, Parts, parts
from jko.limits.densities import Volumes
from jko.measures import GridDensity, State

Array = NDArray[np.float64]

FARTHEST = 60.0  # of a logarithm: beyond it a cell is empty, or holds everything


class RecordedParts(Parts):
    """Parts whose slope torch records, also that of the rest."""

    def slope_of_rest(self, m: Tensor) -> Tensor:
        """The first variation of the rest, with its record."""
        if self.rest is None:
            return torch.zeros_like(m)
        return self.rest.variation(self.measure(m))


class WeighedCells(Family):
    """The densities on the cells of a grid, around the one at rest."""

    def __init__(self, energy: Energy, rest: GridDensity, even: bool = False) -> None:
        self.energy, self.start, self.even = energy, rest, even
        self.terms = _recorded(parts(energy, rest))
        volumes = Volumes.of(energy, rest)
        self.volumes = replace(volumes, terms=_recorded(volumes.terms))
        self.open = (~volumes.closed).reshape(-1)
        waves = np.meshgrid(*(np.arange(n) for n in rest.grid.shape), indexing="ij")
        self.scale = np.sqrt(1.0 + sum(k.astype(np.float64) ** 2 for k in waves))
        if even:  # the cosines that are odd about the middle cost so much that they stay 0
            self.scale[sum(waves) % 2 == 1] = np.inf
        self.base = self._base()
        self.rest = np.zeros(rest.grid.N)

    def _base(self) -> Tensor:
        """log rho_*, or U'(rho_*) with what it would be outside of the support."""
        rho, mixture = self.start.values.reshape(-1), self.terms.mixture
        if mixture.positive:
            return rho.clamp(min=float(rho.max()) * np.exp(-FARTHEST)).log()
        slope = mixture.slope(rho)
        phi = torch.where(
            self.open, self.terms.slope(rho * self.start.grid.cell) - slope, torch.inf
        )
        level = float(((phi + slope)[self.open] * rho[self.open]).sum() / rho.sum())
        return torch.where(rho > 0, slope, torch.minimum(slope, level - phi))

    def _density(self, z: Array) -> tuple[Tensor, Tensor]:
        """rho in the cells (N,), and its derivative in u up to what normalises."""
        shape = self.start.grid.shape
        u = torch.from_numpy(idctn(z.reshape(shape) / self.scale, norm="ortho").ravel()).to(
            self.base
        )
        p, mixture = self.base + u, self.terms.mixture
        if mixture.positive:
            open_ = torch.where(self.open, p, -torch.inf)
            rho = (open_ - open_.max()).exp()
            weight = rho
        else:
            rho = torch.where(self.open, mixture.density(p), 0.0)
            weight = torch.where(self.open, mixture.density_slope(p), 0.0)
        mass = float(rho.sum()) * self.start.grid.cell
        if not 0 < mass < np.inf:
            return torch.full_like(rho, torch.nan), weight
        return rho / mass, weight / mass

    def state(self, y: Array) -> GridDensity:
        """The density."""
        return GridDensity.of(self.start.grid, self._density(y)[0].reshape(self.start.grid.shape))

    def coordinates(self, state: State) -> Array:
        """Of any density on the grid: where it is empty, u is as low as numbers allow."""
        assert isinstance(state, GridDensity)
        rho, mixture = state.values.reshape(-1), self.terms.mixture
        if mixture.positive:
            u = rho.clamp(min=float(rho.max()) * np.exp(-FARTHEST)).log() - self.base
        else:
            u = mixture.slope(rho) - self.base
        return self._of(torch.where(self.open, u, 0.0).cpu().numpy())

    def _of(self, u: Array) -> Array:
        shape = self.start.grid.shape
        waves = dctn(u.reshape(shape), norm="ortho")
        z: Array = np.where(np.isfinite(self.scale), self.scale, 0.0) * waves
        return z.ravel()

    def figures(self, y: Array) -> EnergyAndPower:
        """F, and I through the faces as :func:`jko.diagnostics.dissipation` has it."""
        density, weight = self._density(y)
        if not bool(density.isfinite().all()):
            return EnergyAndPower(np.inf, np.inf, np.zeros_like(y), np.zeros_like(y))
        with torch.enable_grad():
            rho = density.clone().requires_grad_()
            F, power = self._both(rho)
            slopes = [torch.autograd.grad(f, rho, retain_graph=True)[0] for f in (F, power)]
        dF, dpower = (self._pulled(g, density, weight) for g in slopes)
        return EnergyAndPower(float(F.detach()), float(power.detach()), dF, dpower)

    def _pulled(self, g: Tensor, rho: Tensor, weight: Tensor) -> Array:
        """The derivative in the coordinates from that in rho, which is normalised."""
        g = g.nan_to_num(0.0, 0.0, 0.0)
        du = weight * (g - self.start.grid.cell * (g @ rho))
        back: Array = dctn(du.reshape(self.start.grid.shape).cpu().numpy(), norm="ortho")
        return (back / self.scale).ravel()

    def _both(self, rho: Tensor) -> tuple[Tensor, Tensor]:
        """F and I."""
        terms, grid = self.terms, self.start.grid
        m = rho * grid.cell
        F = m @ terms.potential.masked_fill(~self.open, 0) + terms.constant
        F = F + grid.cell * terms.mixture.U(rho)[self.open].sum()
        if terms.features is not None:
            F = F + 0.5 * terms.residual(m).square().sum()
        if terms.rest is not None:
            F = F + terms.rest(terms.measure(m))
        powers = [power.sum() for _, power in self.volumes.speeds(rho.reshape(grid.shape))]
        return F, grid.cell * torch.stack(powers).sum()

    def directions(self, count: int) -> Array:
        """u of the slowest modes: what they add to U'(rho), of an entropy to its logarithm."""
        found, rho = modes(self.energy, self.start, count, self.even), self.start.values.reshape(-1)
        per_cell = torch.from_numpy(found.masses).to(rho) / self.start.grid.cell
        if self.terms.mixture.positive:
            u = per_cell / rho.clamp(min=float(rho.max()) * np.exp(-FARTHEST))
        else:
            u = per_cell * self.terms.mixture.stiffness(rho).nan_to_num(0.0, 0.0, 0.0)
        return np.array([self._of(row) for row in u.cpu().numpy()])


def _recorded(terms: Parts) -> Parts:
    names: Any = terms.__dataclass_fields__
    return RecordedParts(**{name: getattr(terms, name) for name in names})
