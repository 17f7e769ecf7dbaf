"""States and problems to try things on, where one's own were not handed in: small, generic, and always the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jko.derivatives import generic
from jko.energies import Energy, Entropy, Potential, SquaredNorm
from jko.measures import ChargedParticles, GridDensity, LineMesh, Particles, State
from jko.metrics import natural_metric
from jko.spaces import Grid
from jko.steps.problem import StepProblem


def points(N: int, dim: int, turn: int = 0) -> Tensor:
    """Without a pattern, (N, dim)."""
    first = torch.zeros(N, dim, dtype=torch.float64)
    return 2 * generic(first, 100 * turn) + generic(first, 100 * turn + 57) ** 2


def masses(N: int, turn: int = 0) -> Tensor:
    """Positive, unequal, with sum one."""
    m = generic(torch.zeros(N, dtype=torch.float64), 31 * turn).abs()
    return m / m.sum()


def cloud(dim: int, turn: int = 0, N: int = 5, equal: bool = False) -> Particles:
    """Atoms of unequal weights, unless they are asked to be equal."""
    return Particles(points(N, dim, turn), None if equal else masses(N, turn))


def pair(d: int, turn: int = 0, N: int = 5) -> ChargedParticles:
    """(rho, H) on atoms, of equal weights."""
    xi = points(N, d + 1, turn)
    return ChargedParticles(xi[:, 1:], xi[:, 0])


def bump(dim: int, turn: int = 0) -> GridDensity:
    """Positive everywhere, on a grid that is not square."""
    grid = Grid([(-2.0, 2.0), (-1.0, 2.0)][:dim], (6, 5)[:dim])
    return GridDensity(grid, (masses(grid.N, turn) / grid.cell).reshape(grid.shape))


def mesh(turn: int = 0) -> LineMesh:
    """Cells of unequal widths and masses on the line."""
    return LineMesh(masses(7, turn).cumsum(0) * 3 - 1, masses(6, turn + 1))


def atoms() -> list[State]:
    """Clouds in dimension one, two and three."""
    return [cloud(2), cloud(1, turn=1), cloud(3, turn=2)]


def densities() -> list[State]:
    """Densities in dimension one and two, and one on a mesh."""
    return [bump(1), bump(2), mesh()]


def triples() -> list[list[Any]]:
    """Three states each, for a metric: clouds of equal and of unequal weights and numbers, and pairs."""
    start = cloud(2, equal=True)
    return [
        [start.moved(start.points + shift) for shift in (0.0, 1.0, 2.0)],  # the triangle is flat
        *([cloud(dim, turn, equal=True) for turn in range(3)] for dim in (2, 1, 3)),
        [cloud(2, turn, N=4 + turn) for turn in range(3)],
        [pair(1, turn) for turn in range(3)],
    ]


def quartic(z: Tensor) -> Tensor:
    """Smooth, coupled, not quadratic, and with a minimum."""
    return 0.5 * z[:, 0] * z[:, -1] + 0.1 * (z**4).sum(-1)


def problems() -> list[StepProblem]:
    """Steps that have one answer: quadratic and quartic wells, of atoms, of a pair, and of densities that diffuse."""
    well: Energy = SquaredNorm() + Potential(quartic)
    steps: list[tuple[Energy, State, float]] = [
        (SquaredNorm(), cloud(2), 0.5),
        (well, cloud(2, turn=1, equal=True), 0.1),
        (well, pair(1, turn=2), 0.2),
        (well + 0.3 * Entropy(), bump(1), 0.1),
        (well + 0.3 * Entropy(), mesh(), 0.1),
    ]
    return [StepProblem(E, natural_metric(mu), mu, tau) for E, mu, tau in steps]
