r"""
Orders of the schemes
=====================

The JKO scheme is of order one in :math:`\tau`. Schemes of order two are made of the same solves, from other base
points: ``BDF2`` of one, from beyond the present state, on the line from the one before; ``Midpoint`` of one, of half
the length, gone twice as far; ``SDIRK2`` of two, as in the diagonally implicit Runge-Kutta method with
:math:`\gamma = 1 - 1/\sqrt2`; ``ZEG`` of three, and its energy never rises.
The witnesses: neurons in a potential alone, :math:`V = |\xi|^2 / 2`, whose JKO iterates

.. math:: \xi_k = (1 + \tau)^{-k} \, \xi_0

are known, and a network, survey (2.7), whose flow (3.7) an integrator of high order computes.
"""

import torch

import jko
from jko import plots

# %%
# First the closed form. Residuals must be far below the errors: ``tol``. The default of ``LBFGS`` is a tenth of
# a step.

start = jko.Particles.normal(20, 2, generator=torch.Generator().manual_seed(0))
exactly = jko.LBFGS(tol=1e-12)
run = jko.flow(jko.SquaredNorm(), start, tau=0.1, t1=1.0, solver=exactly)
iterates = float((run.final.points - start.points / 1.1**10).abs().max())
print(f"ten JKO steps against (1 + tau)^-10: {iterates:.1e}")
assert iterates < 1e-12

# %%
# Then a network.

x = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None]
risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
F = risk + 0.01 * jko.SquaredNorm()
mu = jko.Particles.normal(30, 3, generator=torch.Generator().manual_seed(0))
limit = jko.limits.wasserstein(F, mu, t1=1.0, rtol=1e-10)
tables = {}
schemes = {
    "JKO steps": jko.Implicit(),
    "BDF2": jko.BDF2(),
    "Midpoint": jko.Midpoint(),
    "SDIRK2": jko.SDIRK2(),
    "ZEG": jko.ZEG(),
}
for name, scheme in schemes.items():
    tables[name] = jko.convergence(
        lambda tau, s=scheme: jko.flow(F, mu, tau=tau, t1=1.0, scheme=s, solver=exactly),
        limit,
        parameters=[0.5, 0.25, 0.125, 0.0625],
    )
    print(name, tables[name], sep="\n")
assert abs(tables["JKO steps"].orders[-1] - 1) < 0.05
for name in ("BDF2", "Midpoint", "SDIRK2", "ZEG"):
    assert abs(tables[name].orders[-1] - 2) < 0.1

# %%
# All, with the slopes that theory asks for.

figure, (ax,) = plots.canvas(1, 1, (6.0, 4.6))
plots.convergence(tables, ax)
second = tables["ZEG"]
slope = 0.6 * second.errors[0] * (second.parameters / second.parameters[0]) ** 2
ax.plot(second.parameters, slope, color=plots.BLACK, lw=1, ls=":", label="slope 2")
ax.legend(frameon=False, fontsize=9)
ax.set_title("against the flow (3.7) at $t = 1$", fontsize=11)
plots.show(figure, "orders")
