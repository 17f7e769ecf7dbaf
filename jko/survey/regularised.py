"""Energies with entropy or a porous medium, on grids and meshes."""

from __future__ import annotations

import torch

from jko.diagnostics.convergence import convergence
from jko.energies import Energy, Internal, Risk, SquaredNorm
from jko.flows import flow
from jko.measures import GridDensity, LineMesh
from jko.networks import Data
from jko.spaces import Grid
from jko.survey.claims import Measurement
from jko.survey.instances import first_order

BETA = 0.1


def plane(quick: bool) -> Grid:
    """Of xi = (w, theta)."""
    return Grid((-3.0, 3.0), (24, 24) if quick else (48, 48))


def network(lam: float, internal: Internal, beta: float = BETA) -> Energy:
    """w tanh(theta x) against sin 2x on nine data."""
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    risk = Risk(
        Data(x, torch.sin(2 * x[:, 0])),
        features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] * x.T),
    )
    return risk + lam * SquaredNorm() + beta * internal


def bumpy(grid: Grid, seed: int = 0) -> GridDensity:
    """A density with a random mass in every cell."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(grid.shape, generator=generator, dtype=torch.float64) + 0.1
    return GridDensity(grid, values / (values.sum() * grid.cell))


def spread_order(energy: Energy, start: LineMesh, exact_spread: float, quick: bool) -> Measurement:
    """The last pairwise order in tau of the second moment at t = 1, which should be 1."""
    study = convergence(
        lambda tau: flow(energy, start, tau=tau, t1=1.0).final,
        start,
        parameters=[1 / 8, 1 / 16, 1 / 32] if quick else [1 / 8, 1 / 16, 1 / 32, 1 / 64],
        norm=lambda state, _: abs(float(state.integrate(state.support[:, 0] ** 2)) - exact_spread),
    )
    return first_order(study, "JKO", "error of the second moment at $t = 1$")
