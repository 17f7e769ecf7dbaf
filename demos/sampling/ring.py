r"""
A swarm settles on a ring
=========================

Atoms that repel each other when near and attract each other when far, by the energy

.. math:: E(\mu) = \frac12 \iint W(x - y) \, d\mu \, d\mu, \qquad W(z) = \frac{|z|^4}{4} - \frac{|z|^2}{2} .

With the mean at 0, :math:`m = \int |x|^2 d\mu` and the covariance :math:`\Sigma`, :math:`\iint |x - y|^4 = 2
\int |x|^4 + 2 m^2 + 4 \operatorname{tr} \Sigma^2`. In the plane Jensen's inequality, twice, says that this is
at least :math:`6 m^2`, with equality where :math:`|x|` is constant and :math:`\Sigma` isotropic. So

.. math:: E(\mu) \ge \frac34 m^2 - \frac12 m \ge -\frac1{12} :

the minimum over all measures is on a circle of radius :math:`1 / \sqrt 3`, though :math:`E` is convex in no
sense that would say so.
"""

import torch

import jko
from jko import plots

# %%
# Two hundred atoms from a lump aside; what keeps the mean in place is that :math:`W` is even.

E = jko.Interaction(lambda z: z.square().sum(1) ** 2 / 4 - z.square().sum(1) / 2)
generator = torch.Generator().manual_seed(3)
start = jko.Particles.normal(200, 2, generator=generator, scale=0.25)
flow = jko.flow(E, start, tau=1.0, t1=60.0)

# %%
# The ring, in numbers.

radius = (flow.final.points - flow.final.mean()).norm(dim=1)
moved = float((flow.final.mean() - start.mean()).norm())
print(f"energy {flow.energies[-1]:.9f}, closed form {-1 / 12:.9f}")
print(f"radii {float(radius.min()):.5f} .. {float(radius.max()):.5f}, 1/sqrt(3) = {3**-0.5:.5f}")
print(f"the mean has moved by {moved:.0e}")
assert abs(flow.energies[-1] + 1 / 12) < 1e-9
assert (radius - 3**-0.5).abs().max() < 1e-4
assert moved < 1e-8

# %%
# The ways of the atoms, and their energy.

figure, (left, right) = plots.canvas(1, 2, (9.0, 4.3))
ways = torch.stack([mu.points for mu in flow.states])
left.plot(ways[:, :, 0], ways[:, :, 1], color=plots.GREY, lw=0.6, alpha=0.7)
left.plot(*start.points.T, "o", color=plots.GREY, ms=2)
left.plot(*flow.final.points.T, "o", color=plots.BLUE, ms=4)
turn = torch.linspace(0, 2 * torch.pi, 200)
mean = flow.final.mean()
left.plot(mean[0] + 3**-0.5 * turn.cos(), mean[1] + 3**-0.5 * turn.sin(), color=plots.RED, lw=0.8)
left.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
left.set_title("200 atoms; red: radius $1/\\sqrt{3}$", fontsize=11)
right.semilogy(flow.times, flow.energies + 1 / 12, color=plots.BLUE, marker="o", ms=3)
right.set(xlabel="flow time $t$", ylabel="$E(\\mu_k) + 1/12$")
right.set_title("distance from the minimum", fontsize=11)
plots.show(figure, "ring")
