"""``demo``: a network of 100 neurons learns sin(x), drawn in the terminal."""

from __future__ import annotations

import argparse
import math

import torch

import jko
from jko.cli.terminal import say

ROWS, COLUMNS = 15, 61


def run(arguments: argparse.Namespace) -> int:
    """Train, draw, and say what the steps proved."""
    x = torch.linspace(-math.pi, math.pi, COLUMNS, dtype=torch.float64)[:, None]
    risk = jko.Risk(jko.Data(x, torch.sin(x[:, 0])), activation=jko.Ridge(torch.tanh))
    neurons = jko.Particles.normal(100, 3, generator=torch.Generator().manual_seed(0))
    train = jko.LBFGS.training()
    flow = jko.flow(risk + 1e-4 * jko.SquaredNorm(), neurons, tau=10.0, steps=40, solver=train)
    for line in _drawing(risk.predict(flow.final).tolist(), risk.data.f.tolist()):
        say(line)
    say(
        f"sin(x) on [-pi, pi] by {neurons.N} tanh neurons (o: the network, .: sin x where they differ)"
    )
    say(
        f"energy {flow.energies[0]:.4g} -> {flow.energies[-1]:.4g} in {len(flow.times) - 1} JKO steps of tau = 10"
    )
    say(
        f"risk {float(risk(flow.final)):.2e}; smallest slack {flow.slacks.min():.1e}: every step lowered the energy"
    )
    say("next: python -m jko train breast-cancer")
    return 0


def _drawing(network: list[float], target: list[float]) -> list[str]:
    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    for values, mark in ((target, "."), (network, "o")):
        for column, value in enumerate(values):
            row = round((1.1 - value) / 2.2 * (ROWS - 1))
            if 0 <= row < ROWS:
                grid[row][column] = mark
    return ["".join(row).rstrip() for row in grid]
