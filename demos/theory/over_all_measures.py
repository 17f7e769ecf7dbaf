r"""
The minimum over all measures
=============================

For a shallow network :math:`F(\mu)` is convex in the measure :math:`\mu` (survey, Remark 2.1), and so is what a JKO
step minimises. But a gradient flow of :math:`N` atoms moves atoms only, and may rest above the minimum; and so may a
step that moves them. Fully corrective Frank-Wolfe looks for the place where

.. math:: \frac{\delta F}{\delta \mu}(z) + \frac{|z - y_i|^2}{2 \tau}

is lowest for each atom :math:`y_i`, sends mass there, and slides masses and positions at once. What no atom can gain
any more is the **gap**: the distance to the minimum over all measures is at most that.
"""

import torch

import jko
from jko import plots

x = torch.linspace(-1, 1, 60, dtype=torch.float64)[:, None]
risk = jko.Risk(jko.Data(x, torch.sin(6 * x[:, 0])), activation=jko.Ridge(torch.tanh))
F = risk + 1e-3 * jko.SquaredNorm()
neurons = jko.Particles.normal(40, 3, generator=torch.Generator().manual_seed(1))

# %%
# One step of size 100, by moving atoms and over all measures. Here the best plan divides no atom at all: it takes whole
# atoms out of a bad local minimum, which no descent leaves.

TAU = 100.0
moved = jko.step(F, neurons, tau=TAU)
over_all = jko.step(F, neurons, tau=TAU, solver=jko.FrankWolfe())
print(f"moving atoms  {moved.objective:.8f}  gap {moved.certificate().value:.1e}")
print(f"all measures  {over_all.objective:.8f}  gap {over_all.gap.value:.1e}")
print(f"{over_all.figures['splits']:.0f} of {neurons.N} atoms were divided")
assert over_all.objective < moved.objective
assert over_all.gap.value < 1e-9

# %%
# With :math:`\tau = \infty` it is training: a few atoms are enough, and the last number says how far they are from
# the best of all networks, of any width.

best = jko.minimiser(F, neurons, solver=jko.FrankWolfe(prove=True))
print(best)
assert best.certificate.rigorous
assert best.gap < 1e-8 * best.energy

# %%
# Forty steps of the flow end a tenth above it: the flow of 40 equal atoms is slow to gather the mass that it needs.

run = jko.flow(F, neurons, tau=TAU, steps=40, solver=jko.LBFGS.training())
above = run.energies - best.energy
print(f"40 steps of the flow: {run.energies[-1]:.8f}, above the minimum by {above[-1]:.1e}")
assert above[-1] >= -best.gap

figure, (left, right) = plots.canvas(1, 2, (9.4, 4.2))
left.semilogy(
    range(1, len(above)), above[1:] / best.energy, color=plots.GREY, label="JKO steps of 40 atoms"
)
plots.gaps({"over all measures: gap of each round": best}, left)
left.lines[-1].set_color(plots.RED)
left.legend(frameon=False, fontsize=9)
left.set(xlabel="round, or step", ylabel="above the minimum / minimum")
left.set_title("distance to the minimum over all measures", fontsize=11)
end, atoms = run.final.points, best.state.points
right.plot(end[:, 1], end[:, 0], "o", color=plots.GREY, ms=4, label="40 atoms after the flow")
sizes = 900 * best.state.weights
right.scatter(
    atoms[:, 1], atoms[:, 0], s=sizes, color=plots.RED, alpha=0.6, label="the minimum: area is mass"
)
right.set(xlabel="$\\theta_1$", ylabel="$w$")
right.legend(frameon=False, fontsize=9, loc="upper left")
right.set_title("neurons, weight against slope", fontsize=11)
plots.show(figure, "over_all_measures")
