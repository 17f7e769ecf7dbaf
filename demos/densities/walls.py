r"""
Walls
=====

Where neurons, or a crowd, may not leave a convex set, the flow is that with no flux through its walls, survey
(3.11): atoms slide along them, and rest where the force points outwards. In a constant force, :math:`V(\xi) =
-e \cdot \xi`, a JKO step is the projection

.. math:: \xi_{k+1} = P(\xi_k + \tau e)

onto the set. With entropy, (4.3), the mass stays at the wall as a layer, and the rest is Gibbs's:
:math:`\mu_* \propto e^{x/\beta}` for a force of one in :math:`x`.
"""

import numpy as np
import torch

import jko
from jko import exact, plots

# %%
# Atoms in a quarter of a disk, in a wind to the right and up. The set is told by its projection: here that of
# the disk after that of the quadrant, which for this set is the projection onto both.

wind = torch.tensor([1.0, 0.6], dtype=torch.float64)


def project(x):
    """Onto the quarter of the unit disk where no coordinate is negative."""
    x = x.clamp(min=0)
    return x / x.norm(dim=1, keepdim=True).clamp(min=1)


start = 0.75 * torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
start = project(start)
V = jko.Potential(lambda x: -(x @ wind))
flow = jko.flow(V, jko.Particles(start, domain=jko.spaces.Convex(project)), tau=0.1, steps=25)
points = start
for state in flow.states[1:]:
    points = project(points + 0.1 * wind)
    assert (state.points - points).abs().max() < 1e-6
rest = wind / wind.norm()
print(f"steps against projections: {float((flow.final.points - points).abs().max()):.1e}")
print(f"at the end all are within {float((points - rest).norm(dim=1).max()):.3f} of the rest point")

# %%
# A density on a line between two walls, with diffusion.

BETA = 0.2
line = jko.Grid((0.0, 1.0), 100)
E = BETA * jko.Entropy() + jko.Potential(lambda x: -x[:, 0])
even = jko.GridDensity.from_function(line, lambda x: torch.ones(len(x), dtype=torch.float64))
layers = jko.flow(E, even, tau=0.04, t1=2.4)
edges = np.linspace(0, 1, 101)
known = np.diff(exact.wall_rest_mass(edges, beta=BETA))
away = float(np.abs(layers.final.weights.numpy() - known).sum())
print(f"L1 distance to e^(x / beta) / Z: {away:.1e}, smallest slack {layers.slacks.min():.1e}")
assert away < 5e-3

# %%
# Left the atoms, right the layer at the wall as it forms.

figure, (left, right) = plots.canvas(1, 2, (9.4, 4.4))
turn = np.linspace(0, np.pi / 2, 100)
left.plot([0, 0, *np.sin(turn), 0], [0, 1, *np.cos(turn), 0], color=plots.BLACK, lw=1.5)
ways = torch.stack([mu.points for mu in flow.states])
left.plot(ways[:, :, 0], ways[:, :, 1], color=plots.BLUE, lw=0.7, alpha=0.7)
left.plot(*start.T, "o", color=plots.GREY, ms=3)
left.plot(*rest, "o", color=plots.RED, ms=7)
left.annotate("", (0.3, 1.08), (0.05, 0.93), arrowprops={"arrowstyle": "->", "color": plots.GREEN})
left.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
left.set_title("a wind, and where it drives to (red)", fontsize=11)
plots.profiles(layers, right, times=[0.0, 0.08, 0.2, 0.4, 2.4])
fine = np.linspace(0, 1, 200)
right.plot(fine, exact.wall_rest(fine, beta=BETA), color=plots.RED, lw=1, ls="--")
right.set_title("a layer at the wall; dashed: $e^{x/\\beta} / Z$", fontsize=11)
plots.show(figure, "walls")
