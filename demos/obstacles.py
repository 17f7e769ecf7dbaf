"""A crowd goes to an exit: it flows round pillars and through a door, and not one bit of it enters a wall.

Walls are cells where the potential is +inf.  The crowd wants to walk down the potential, the distance to the exit along
free ways, and dislikes to be dense, by int rho^2: (4.6).
Run it by ``python demos/obstacles.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import torch

import jko
from jko import plots

grid = jko.Grid(((0.0, 2.0), (0.0, 1.0)), (128, 64))


def walled(x):
    """Whether a point is in a wall: one with a door, and three pillars."""
    wall = ((x[:, 0] - 1.3).abs() < 0.05) & ((x[:, 1] - 0.5).abs() > 0.09)
    pillars = torch.tensor([[0.75, 0.5], [0.95, 0.8], [0.95, 0.2]], dtype=torch.float64)
    return wall | (torch.cdist(x, pillars) < 0.09).any(1)


def way(x):
    """The way to the exit at the middle of the right side: through the door, then straight on."""
    aside = ((x[:, 1] - 0.5).abs() - 0.05).clamp(min=0)
    before = torch.hypot(1.3 - x[:, 0], aside) + 0.7
    length = torch.where(x[:, 0] < 1.3, before, torch.hypot(2 - x[:, 0], aside))
    return torch.where(walled(x), torch.inf, length)


def crowd(x):
    """Where the crowd stands at the start."""
    return ((x[:, 0] - 0.3).abs() < 0.2) & ((x[:, 1] - 0.5).abs() < 0.4)


F = jko.Potential(way) + 0.1 * jko.PorousMedium(2)
start = jko.GridDensity.from_function(grid, lambda x: crowd(x).double())
flow = jko.flow(F, start, tau=0.03, steps=70)
print(flow)
inside = walled(grid.centres)
print("    t    energy  mass - 1   in walls   through the door   largest density")
for k in range(0, 71, 10):
    rho = flow.states[k]
    beyond = float(rho.integrate((grid.centres[:, 0] > 1.3).double()))
    print(
        f"{flow.times[k]:5.2f} {flow.energies[k]:9.4f} {float(rho.mass) - 1:9.0e} "
        f"{float(rho.weights[inside].max()):10.0e} {beyond:18.3f} {float(rho.values.max()):17.3f}"
    )
print(f"smallest slack {flow.slacks.min():.1e}")

figure, axes = plots.canvas(2, 3, (13.0, 5.0))
plots.snapshots(flow, axes, times=[flow.times[k] for k in (0, 10, 20, 30, 45, 70)])
for ax in axes:
    plots.obstacles(F, start, ax)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "obstacles.png"))
