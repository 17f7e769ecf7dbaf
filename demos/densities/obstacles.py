r"""
A crowd goes to an exit
=======================

It flows round pillars and through a door, and not one bit of it enters a wall. The crowd wants to go down a
potential :math:`V`, the way to the exit along free paths, and dislikes to be dense, by the porous medium term
of survey (4.6):

.. math:: F(\rho) = \int V \, d\rho + \frac{1}{20} \int \rho^2 ,

with :math:`V = +\infty` in walls, where no mass may be, and no flux into them, (3.11).
"""

import torch

import jko
from jko import plots

# %%
# A wall with a door, three pillars, and the way to the exit at the middle of the right side.

grid = jko.Grid(((0.0, 2.0), (0.0, 1.0)), (128, 64))


def walled(x):
    """Whether a point is in a wall: one with a door, and three pillars."""
    wall = ((x[:, 0] - 1.3).abs() < 0.05) & ((x[:, 1] - 0.5).abs() > 0.09)
    pillars = torch.tensor([[0.75, 0.5], [0.95, 0.8], [0.95, 0.2]], dtype=torch.float64)
    return wall | (torch.cdist(x, pillars) < 0.09).any(1)


def way(x):
    """Through the door, then straight on."""
    aside = ((x[:, 1] - 0.5).abs() - 0.05).clamp(min=0)
    before = torch.hypot(1.3 - x[:, 0], aside) + 0.7
    length = torch.where(x[:, 0] < 1.3, before, torch.hypot(2 - x[:, 0], aside))
    return torch.where(walled(x), torch.inf, length)


def crowd(x):
    """Where the crowd stands at the start."""
    return ((x[:, 0] - 0.3).abs() < 0.2) & ((x[:, 1] - 0.5).abs() < 0.4)


F = jko.Potential(way) + 0.1 * jko.PorousMedium(2)
start = jko.GridDensity.from_function(grid, lambda x: crowd(x).double())

# %%
# The flow keeps mass and sign to the last bit, step by step, whatever the walls are.

flow = jko.flow(F, start, tau=0.03, steps=70)
inside = walled(grid.centres)
most = max(float(rho.weights[inside].max()) for rho in flow.states)
away = max(abs(float(rho.mass) - 1) for rho in flow.states)
through = float(flow.final.integrate((grid.centres[:, 0] > 1.3).double()))
print(f"through the door at t = 2.1: {through:.3f}")
print(f"most mass in a wall {most:g}, mass lost {away:.0e}, smallest slack {flow.slacks.min():.1e}")
assert most == 0
assert away < 1e-12
assert flow.slacks.min() > 0

# %%
# And in the end all are at the exit: there the minimum of :math:`F` is known without a flow.

rest = jko.minimiser(F, grid)
print(f"energy {flow.energies[-1]:.4f}, at rest {rest.energy:.4f}")
assert rest.energy < flow.energies[-1] < flow.energies[0]

# %%
# Walls are hatched.

figure, axes = plots.canvas(3, 2, (8.6, 6.8))
plots.snapshots(flow, axes, times=[flow.times[k] for k in (0, 10, 20, 30, 45, 70)])
for ax in axes:
    plots.obstacles(F, start, ax)
plots.show(figure, "obstacles")
