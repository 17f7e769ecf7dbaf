r"""
The limit of many neurons
=========================

As :math:`N \to \infty` a network of :math:`N` random neurons becomes one with a density, and so do its gradient
flows (Mei, Montanari, Nguyen 2018; survey 2.2.1). The question is how fast. With linear features
:math:`h(\theta, x) = \theta x` and noise, the limit is known in closed form: (4.2) keeps a normal law normal,
so that

.. math:: F(\mu) = \tfrac12 \Big(\int w \theta \, d\mu - 1\Big)^2 + \tfrac\lambda2 \int |\xi|^2 d\mu

has a limit without :math:`N` in it, for the flow and for the JKO steps of a given :math:`\tau`. Here from a
normal law, and without noise: what the network says after some steps differs from what the limit says by
:math:`c / \sqrt N`.
"""

import numpy as np
import torch

import jko
from jko import exact, plots

# %%
# The energy, and the limit: the law stays normal, with the mean and covariance of ``exact.network_step``.

LAM, TAU, STEPS = 0.2, 0.25, 8
F = jko.Risk(jko.Data([[1.0]], [1.0]), features=lambda xi, x: xi[:, :1] * xi[:, 1:] * x.T)
F = F + LAM * jko.SquaredNorm()
law = exact.NormalLaw(np.zeros(2), np.eye(2))
for _ in range(STEPS):
    law = exact.network_step(*law, s2=1.0, target=1.0, lam=LAM, beta=0.0, tau=TAU)
says = float(law.mean.prod() + law.covariance[0, 1])
print(f"after {STEPS} steps the limit's network says {says:.6f} x")

# %%
# Flows of :math:`N` neurons, many draws of each :math:`N`, and the root of the mean square of their error.

counts, draws = [8, 16, 32, 64, 128, 256], 24
generator = torch.Generator().manual_seed(0)
errors = np.empty((len(counts), draws))
for k, N in enumerate(counts):
    for draw in range(draws):
        start = jko.Particles.normal(N, 2, generator=generator)
        final = jko.flow(F, start, tau=TAU, steps=STEPS).final
        errors[k, draw] = float(final.integrate(final.points.prod(1))) - says
size = np.sqrt((errors**2).mean(1))
slope, height = np.polyfit(np.log(counts), np.log(size), 1)
for N, e in zip(counts, size, strict=True):
    print(f"N = {N:4d}: error {e:.4f}, times the root of N {e * N**0.5:.3f}")
print(f"fitted slope {slope:.3f}, where the central limit theorem says -1/2")
assert abs(slope + 0.5) < 0.1

# %%
# Every draw, and the fit.

figure, (ax,) = plots.canvas(1, 1, (6.0, 4.4))
for N, row in zip(counts, np.abs(errors), strict=True):
    ax.plot(np.full(draws, N), row, "_", color=plots.GREY, ms=9)
ax.loglog(counts, size, "o", color=plots.BLUE, label=f"root of the mean square of {draws} draws")
fit = np.exp(height) * np.array(counts) ** slope
ax.plot(counts, fit, color=plots.BLACK, lw=1, ls="--", label=f"fit: slope {slope:.2f}")
ax.plot([], [], "_", color=plots.GREY, ms=9, label="one draw")
ax.set_xticks(counts, [f"{N}" for N in counts])
ax.minorticks_off()
ax.set_ylim(size[-1] / 30, None)
ax.set(xlabel="neurons $N$", ylabel="error of the network after 8 steps")
ax.legend(frameon=False, fontsize=9, loc="lower left")
plots.show(figure, "many_neurons")
