r"""
Steps converge to the flow, in measures and in pairs
====================================================

As :math:`\tau \to 0` the JKO steps converge to the gradient flow at first order: those in :math:`W_2` to (3.7),
in the distance :math:`D` of survey, Remark 3.4, between pairs :math:`(\rho, H)` to (3.23). Started from the
graph of a pair,

.. math:: \mu_0 = (H_0, \mathrm{id})_\# \rho_0 ,

both flows are one, since :math:`D` is :math:`W_2` of graphs, and as long as no two atoms meet at one
:math:`\theta` so are the steps. So the two curves below should lie on each other, and they do.

The witness, ``jko.limits.wasserstein``, is an integrator of (3.7) that knows no steps.
"""

import torch

import jko
from jko import plots

# %%
# A network for :math:`\sin 3x`, its neurons as a measure and as a pair.

x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
F = risk + 0.01 * jko.SquaredNorm()
mu = jko.Particles.normal(50, 3, generator=torch.Generator().manual_seed(0))
limit = jko.limits.wasserstein(F, mu, t1=2.0)

# %%
# Errors, and their orders, at the end time.

tables, ends = {}, {}
for name, start in (("$W_2$: measures $\\mu$", mu), ("$D$: pairs $(\\rho, H)$", mu.project())):

    def run(tau, start=start):
        flow = jko.flow(F, start, tau=tau, t1=2.0, solver=jko.LBFGS(tol=1e-10))
        ends[type(start), tau] = flow.final.atoms.points
        return flow

    tables[name] = jko.convergence(run, limit, parameters=[0.4, 0.2, 0.1, 0.05])
    print(name, tables[name], sep="\n")
    assert abs(tables[name].orders[-1] - 1) < 0.1

apart = (ends[type(mu), 0.05] - ends[type(mu.project()), 0.05]).abs().max()
print(f"largest difference between the atoms of the two schemes: {float(apart):.1e}")
assert apart < 1e-8

# %%
# One curve, twice.

figure, (ax,) = plots.canvas(1, 1, (5.6, 4.4))
plots.convergence(tables, ax)
ax.set_yticks([0.003, 0.01, 0.03], ["0.003", "0.01", "0.03"])
ax.set_title("JKO steps against the gradient flow at $t = 2$:\nthe two schemes agree", fontsize=11)
plots.show(figure, "converging_to_the_flow")
