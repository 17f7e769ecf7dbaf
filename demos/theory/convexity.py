r"""
How convex a network is
=======================

If an energy is :math:`\lambda`-convex along geodesics, its flow obeys the evolution variational inequality

.. math:: \frac12 \frac{d}{dt} d^2(\mu_t, \nu) + \frac{\lambda}{2} d^2(\mu_t, \nu) + E(\mu_t) \le E(\nu)
          \quad\text{for all } \nu,

two flows part at most like :math:`e^{-\lambda t}`, and steps err by a number times :math:`\tau`. A network is not
convex, :math:`\lambda < 0`. But how much it is so depends on where one looks: the second derivative in the worst
direction at a state is far below what is seen on the ways between the states that a flow meets.
"""

import numpy as np
import torch

import jko
from jko import plots

# %%
# The energy of one neuron :math:`w \theta` with the target 1, between its two best places: a barrier, whose modulus is
# :math:`-1`.

R = jko.Risk(jko.Data([[1.0]], [1.0]), activation=lambda theta, x: theta @ x.T)
barrier = jko.diagnostics.convexity(R, jko.Particles([[1.0, 1.0]]), jko.Particles([[-1.0, -1.0]]))
print(barrier)
assert abs(barrier.least + 1) < 1e-12

# %%
# A network of 20 neurons, its flow in D, and 12 other states: those of a second flow.

x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
G = jko.Risk(jko.Data(x, 2 * torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
G = G + 0.01 * jko.SquaredNorm()
times = np.linspace(0, 2, 12)
runs = []
for seed in (0, 1):
    draws = torch.randn(20, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    start = jko.ChargedParticles(draws[:, 1:], 2 * draws[:, 0])
    runs.append(jko.limits.wasserstein(G, start, t1=2.0, times=times))

worst = jko.diagnostics.modulus(G, runs[0])
held = jko.diagnostics.evi(G, runs[0], runs[1].states)
print(f"least eigenvalue {worst.least:.4f}, constant of the inequality {held.constant:.4f}")
assert held.constant > worst.least

# %%
# The two flows, against the modulus on the geodesics between them.

apart = jko.diagnostics.contraction(G, *runs)
print(apart)
assert apart.excess <= 1e-9

# %%
# The error of steps, on a potential whose modulus is known: two wells, :math:`V'' \ge -4`.

V = jko.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2)
atoms = jko.Particles([[0.2], [-0.5], [1.6]])
steps = jko.flow(V, atoms, tau=0.01, steps=40, solver=jko.BlockNewton())
exact = jko.limits.wasserstein(V, atoms, t1=float(steps.times[-1]), times=steps.times)
errors = [jko.distance(a, b).value for a, b in zip(steps.states, exact.states, strict=True)]
bounds = jko.diagnostics.error_bounds(V, steps, lam=-4.0)
assert (np.array(errors) <= bounds.posterior + 1e-8).all()
assert (bounds.posterior <= bounds.prior).all()

# %%

figure, axes = plots.canvas(2, 2)
plots.convexity(barrier, axes[0])
axes[0].set_title("One neuron: a barrier", fontsize=11)
plots.evi(held, axes[1])
axes[1].set_title(f"The inequality; eigenvalues reach {worst.least:.3g}", fontsize=11)
plots.contraction(apart, axes[2])
axes[2].set_title("Two flows of the network", fontsize=11)
plots.error_bounds(bounds, axes[3], errors)
axes[3].set_title("Two wells: the error of steps", fontsize=11)
plots.show(figure, "convexity")
