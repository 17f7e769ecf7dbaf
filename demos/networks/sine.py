r"""
A network learns a sine
=======================

A network of :math:`N` neurons :math:`\xi = (w, \theta)` is a measure :math:`\mu = \frac1N \sum_i
\delta_{\xi_i}`, and says

.. math:: f_\mu(x) = \int w \tanh(\theta_1 x + \theta_2) \, d\mu, \qquad
          F(\mu) = \frac12 \int_D (f_\mu - f)^2 dx + \frac\lambda2 \int |\xi|^2 d\mu ,

survey (2.5)-(2.8). The JKO scheme goes down :math:`F`: each step minimises
:math:`F(\mu) + W_2^2(\mu, \mu_k) / 2 \tau`. With a large :math:`\tau` that is training.
"""

import torch

import jko
from jko import plots

# %%
# The data are a quadrature of :math:`D = [-1, 1]` with :math:`f(x) = \sin \pi x` on it.

x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
risk = jko.Risk(jko.Data(x, torch.sin(torch.pi * x[:, 0])), activation=jko.Ridge(torch.tanh))
F = risk + 1e-4 * jko.SquaredNorm()
neurons = jko.Particles.normal(200, 3, generator=torch.Generator().manual_seed(0))

# %%
# Each step pays for itself: the energy falls by at least :math:`W_2^2(\mu_{k+1}, \mu_k) / 2 \tau`, and what it
# falls by beyond that is the slack. So the path is never longer than the energy allows.

flow = jko.flow(F, neurons, tau=5.0, steps=60)
paid = flow.energies[-1] + (flow.costs / (2 * 5.0)).sum() + flow.slacks.sum()
print(f"risk {float(risk(neurons)):.4f} -> {float(risk(flow.final)):.5f}")
print(f"energy at the start {flow.energies[0]:.12f}")
print(f"what was left, spent and gained: {paid:.12f}, smallest slack {flow.slacks.min():.1e}")
assert abs(paid - flow.energies[0]) < 1e-12
assert flow.slacks.min() > 0
assert risk(flow.final) < 0.01 * risk(neurons)

# %%
# Neurons leave the middle in four arms: by the symmetry of :math:`w \tanh(\theta_1 x)` opposite arms do the
# same work.

figure, (left, right) = plots.canvas(1, 2, (9.0, 4.6))
for k, colour in zip((1, 2, 4, 8, 16, 32), plots.shades(6), strict=True):
    left.plot(x[:, 0], risk.predict(flow.states[k]), color=colour, lw=0.9)
data = {"$\\sin \\pi x$": (x[::4], risk.data.f[::4])}
plots.curve(x, risk.predict(flow.final), left, data, unit="$f$")
left.set_xticks([-1, -0.5, 0, 0.5, 1])
left.set_title("the network; pale: after 1, 2, 4, ..., 32 steps", fontsize=11)
plots.paths(flow, right, names=plots.NEURONS)
right.set_title("its neurons, weight against slope", fontsize=11)
plots.show(figure, "sine")
