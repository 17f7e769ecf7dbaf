r"""
Where the energy of a step goes
===============================

A step of length :math:`\tau` lowers the energy by more than it pays for its move, :math:`d^2 / 2\tau`. De Giorgi
found where the rest is: in the steps :math:`\mu_s` of all shorter lengths,

.. math:: E_k - E_{k+1} = \frac{d^2(\mu_{k+1}, \mu_k)}{2 \tau}
          + \frac12 \int_0^\tau \Big( \frac{d(\mu_s, \mu_k)}{s} \Big)^2 ds,
          \qquad |\partial E|(\mu_s) \le \frac{d(\mu_s, \mu_k)}{s} .

Summed over a flow this is the equality of energy and dissipation, which makes its limit a curve of maximal slope. It
is exact for every :math:`\tau`, also where the step has two minima and its length jumps.
"""

import torch

import jko
from jko import plots

# %%
# A small network, and the pairs :math:`(\rho, H)` of its neurons in the metric D. The identity holds to rounding;
# with the slope at the end of each step in place of the integral it is of first order in tau.

x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
G = jko.Risk(jko.Data(x, 1.5 * torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
G = G + 0.01 * jko.SquaredNorm()
draws = torch.randn(10, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
start = jko.ChargedParticles(draws[:, 1:], 2 * draws[:, 0])
found = jko.diagnostics.energy_dissipation(G, start, t1=0.2, taus=[0.2, 0.1])
print(found)
assert abs(found.residuals).max() < 1e-9
assert 0.6 < found.ends.order < 1.2

run = jko.flow(G, start, tau=0.2, t1=1.0, solver=jko.BlockNewton())
summed = jko.diagnostics.maximal_slope(G, run)

# %%
# An atom before a cliff. A short step stays on the slope, a long one pays for the way down: at one length in between
# both are equally good, and the proximal map has two values. It is found by following both, and the identity holds all
# the same.

cliff = jko.Potential(lambda x: 0.5 * torch.tanh(4 * (1 - x[:, 0])) - 0.02 * x[:, 0])
jumping = jko.diagnostics.variational(cliff, jko.Particles([[0.3]]), tau=0.8)
print(jumping)
(jump,) = jumping.jumps
assert abs(jumping.residual) < 1e-8
assert abs(jump.s - 0.456036) < 1e-6

# %%

figure, (left, right) = plots.canvas(1, 2)
plots.maximal_slope(summed, left)
left.set_title(f"A network in D: residual {summed.worst:.0e}", fontsize=11)
plots.variational(jumping, right)
right.set_title(f"Before a cliff: residual {abs(jumping.residual):.0e}", fontsize=11)
plots.show(figure, "maximal_slope")
