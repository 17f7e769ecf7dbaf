r"""
Rings and clusters
==================

Atoms that attract each other from afar and repel each other nearby, with a kernel :math:`W` of their difference,

.. math:: E(\rho) = \frac12 \iint W(x - y) \, d\rho \, d\rho , \qquad
          W(z) = \frac{|z|^4}{4} - \frac{|z|^2}{2} ,

come to rest on a ring. Its radius R is known: all forces on it vanish for
:math:`\int |z|^2 z = \int z` over the ring, which is :math:`3 R^2 = 1`.
"""

import numpy as np
import torch

import jko
from jko import plots

# %%
# As a density, with a little diffusion to make it one; the double sum over 96^2 cells is a convolution.

grid = jko.Grid((-1.2, 1.2), (96, 96))
W = jko.Interaction(lambda z: z.square().sum(-1) ** 2 / 4 - z.square().sum(-1) / 2)
start = jko.GridDensity.from_function(
    grid, lambda x: (-4 * ((x[:, 0] - 0.1) ** 2 + 2 * (x[:, 1] + 0.05) ** 2)).exp()
)
run = jko.flow(W + 2e-3 * jko.Entropy(), start, tau=0.5, steps=30, retry=4)
rho = run.final
radius = float(rho.integrate((grid.centres - rho.mean()).norm(dim=1)))
print(f"mean radius of the density {radius:.3f}, of the ring {1 / np.sqrt(3):.3f}")
assert abs(radius - 1 / np.sqrt(3)) < grid.spacing[0]
assert run.slacks.min() >= 0

# %%
# As atoms, without diffusion.

generator = torch.Generator().manual_seed(0)
atoms = jko.Particles(0.3 * torch.randn(150, 2, generator=generator, dtype=torch.float64))
ring = jko.flow(W, atoms, tau=0.5, steps=60)
radii = (ring.final.points - ring.final.mean()).norm(dim=1)
print(f"radii of the atoms {float(radii.min()):.3f} to {float(radii.max()):.3f}")
assert float((radii - 1 / np.sqrt(3)).abs().max()) < 0.02

# %%
# The density at three times, and the atoms at the end.

figure, axes = plots.canvas(1, 4, (12.4, 3.2))
for ax, k in zip(axes, (0, 4, len(run.states) - 1), strict=False):
    plots.density(run.states[k], ax)
    ax.set_title(f"$t = {run.times[k]:g}$", fontsize=11)
last = axes[-1]
last.scatter(*ring.final.points.T.tolist(), s=8, color=plots.BLUE)
circle = np.linspace(0, 2 * np.pi, 200)
last.plot(np.cos(circle) / np.sqrt(3), np.sin(circle) / np.sqrt(3), color=plots.RED, lw=1, ls=":")
last.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
last.set_title(f"atoms, $t = {ring.times[-1]:g}$", fontsize=11)
plots.show(figure, "aggregation")
