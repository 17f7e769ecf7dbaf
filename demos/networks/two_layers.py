r"""
Two hidden layers
=================

Section 5.2 of the survey leaves open what the flow of two layers becomes as both grow,

.. math:: f(x) = \frac1{N_2} \sum_j w_j \, \sigma\Big(\frac1{N_1} \sum_i b_{ij} \, \sigma(\theta_i \cdot x)\Big) .

A network is a state here, :class:`jko.measures.TwoLayer`, and moves in the product of its layers,

.. math:: \frac1{N_1} \sum_i |d\theta_i|^2 + \frac1{N_1 N_2} \sum_{ij} |db_{ij}|^2 + \frac1{N_2} \sum_j |dw_j|^2 ,

in which no layer freezes as the other grows. The connections are an array, and what an array tends to is a kernel:
with labels :math:`u_i, v_j` of the neurons, :math:`b_{ij} = b(u_i, v_j)` plus a number of its own, each sum is a law
of large numbers, and the limit is the flow of :math:`\theta(u), b(u, v), w(v)`. It is computed with neurons of unequal
masses, a rule of Gauss for the labels.
"""

import torch

import jko
from jko import plots

# %%
# Data with one step inside of another; inputs are :math:`(x, 1)`, for a bias.

line = torch.linspace(-1, 1, 40, dtype=torch.float64)
x = torch.stack([line, torch.ones_like(line)], dim=1)
F = jko.energies.TwoLayerRisk(jko.Data(x, torch.tanh(6 * torch.sin(4 * line))))
law = jko.measures.LayerKernels(
    theta=lambda u: torch.cat([6 * u - 3, 2 * torch.cos(3 * u)], dim=1),
    b=lambda u, v: (3 * torch.sin(3 * u - 2 * v) + v)[..., 0],
    w=lambda v: 4 * v[:, 0] - 2,
)

# %%
# The limit, its JKO steps, and networks of random neurons.

limit = jko.limits.wasserstein(F, law.limit(24), t1=10.0, times=range(1, 10))
steps = jko.flow(F, law.limit(24), tau=0.5, t1=10.0, solver=jko.LBFGS(tol=1e-8))
apart = float((F.predict(steps.final) - F.predict(limit.final)).abs().max())
print(f"risk {limit.energies[0]:.4f} -> {limit.energies[-1]:.4f}; steps of .5 end {apart:.3f} away")
assert (steps.slacks >= 0).all()
assert apart < 0.05

study = jko.diagnostics.layer_study(F, law, t1=4.0, N2=(8, 32, 128), repeats=12, times=[2.0, 4.0])
print(study)
assert study.order.low < 0.5 < study.order.high

# %%
# What the networks say early on, and how fast they come to the limit.

figure, (left, right) = plots.canvas(1, 2, (9.4, 4.3))
generator = torch.Generator().manual_seed(3)
for N2, colour in ((8, plots.ORANGE), (32, plots.SKY), (256, plots.BLUE)):
    for k in range(3):
        net = law.half_limit(N2=N2, generator=generator)
        end = jko.limits.wasserstein(F, net, t1=1.0, rtol=1e-6).final
        left.plot(
            line, F.predict(end), color=colour, lw=1, label=f"$N_2$ = {N2}" if k == 0 else None
        )
left.plot(line, F.predict(limit.at(1.0)), color=plots.BLACK, lw=2, ls="--", label="kernels")
left.plot(line, F.data.f, color=plots.GREY, lw=1, ls=":", label="data")
left.set(xlabel="$x$", ylabel="network at $t$ = 1", ylim=(-1.1, 1.1))
left.set_xticks([-1, -0.5, 0, 0.5, 1])
left.legend(frameon=False, fontsize=9)
plots.layer_study(study, right)
plots.show(figure, "two_layers")
