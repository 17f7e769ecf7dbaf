r"""
A drop in a porous medium
=========================

The porous medium energy of survey (4.6), :math:`E(\rho) = \int \rho^2`, flows by :math:`\partial_t \rho = \Delta
\rho^2`. A drop spreads with a sharp front, and its profile is known (Barenblatt, Pattle): a parabola

.. math:: \rho(x) = \frac{2}{\pi R^2} \left(1 - \frac{|x|^2}{R^2}\right)_+ , \qquad R(t)^4 = R_0^4 + \tfrac{32}{\pi} t .

A JKO step takes one such parabola into another, so that the exact iterate of the scheme is known as well: only its
radius has to be found. Grid, scheme and time step can each be told what they owe.
"""

import torch

import jko
from jko import exact, plots

# %%
# The exact profiles, as means over the cells of a grid.

START, TIME = 2e-4, 1e-3
medium = {"m": 2, "d": 2, "c": 2}  # c PorousMedium(m) flows by d_t rho = (c / m) Lap rho^m
E = medium["c"] * jko.PorousMedium(medium["m"])
grid, fine = (jko.Grid((0.0, 1.0), (n, n)) for n in (96, 384))


def drop(R):
    """The exact profile of radius R: means over the cells, by 16 points in each."""
    values = exact.barenblatt(fine.centres.numpy(), R=R, centre=0.5)
    means = torch.from_numpy(values.reshape(96, 4, 96, 4).mean((1, 3)))
    return jko.GridDensity(grid, means / (means.sum() * grid.cell))


R0 = float(exact.barenblatt_flow(0.0, t=START, **medium))
limit = drop(float(exact.barenblatt_flow(R0, t=TIME, **medium)))

# %%
# JKO steps are of first order in :math:`\tau`, ``SDIRK2``, which makes two of them a step, is of second order,
# until its error meets that of the grid.

taus, ends, tables = [TIME / steps for steps in (2, 4, 8, 16)], {}, {}
for name, scheme in (("JKO steps", jko.Implicit()), ("SDIRK2", jko.SDIRK2())):

    def run(tau, name=name, scheme=scheme):
        solver = jko.Dynamic(tol=1e-7, eps=1e-5)
        flow = jko.flow(E, drop(R0), tau=tau, t1=TIME, scheme=scheme, solver=solver)
        ends[name, tau] = flow.final
        return flow

    tables[name] = jko.convergence(run, limit, parameters=taus)
    print(f"{name}, L1 error to the solution of the equation", tables[name], sep="\n")

# %%
# The exact iterate: what is left of the error falls with :math:`\tau` too, as the cost on a grid is that of the
# one-step dynamic action, which is :math:`W_2^2` up to terms of third order; then space remains.

away = {}
for tau, steps in zip(taus, (2, 4, 8, 16), strict=True):
    R = R0
    for _ in range(steps):
        R = exact.barenblatt_step(R, tau=tau, **medium)
    away[tau] = float((ends["JKO steps", tau].values - drop(R).values).abs().sum()) * grid.cell
print("L1 error to the exact JKO iterate:", ", ".join(f"{error:.1e}" for error in away.values()))
assert away[taus[-1]] < 1.5e-3
assert abs(tables["JKO steps"].orders[-1] - 1) < 0.06
assert tables["SDIRK2"].errors[2] < 0.03 * tables["JKO steps"].errors[2]

# %%
# Four steps of either scheme, against the solution of the equation.

figure, (left, right) = plots.canvas(1, 2, (9.4, 4.2))
plots.convergence(tables, left)
left.set_xticks(taus, [f"{1e4 * tau:g}" for tau in taus])
left.set(xlabel="time step $\\tau$, in $10^{-4}$", ylabel="$L^1$ error at $t = 10^{-3}$")
left.set_title("Against $\\partial_t \\rho = \\Delta \\rho^2$, $96^2$ cells", fontsize=11)
x, middle = grid.axes[0], grid.shape[1] // 2
cuts = {
    "start": (drop(R0), plots.GREY, "-"),
    "exact solution": (limit, plots.BLACK, "-"),
    "4 JKO steps": (ends["JKO steps", taus[1]], plots.BLUE, "--"),
    "4 steps of SDIRK2": (ends["SDIRK2", taus[1]], plots.RED, ":"),
}
for name, (state, colour, style) in cuts.items():
    right.plot(x, state.values[:, middle], color=colour, ls=style, lw=1.8, label=name)
right.set(xlabel="$x_1$, at the middle of $x_2$", ylabel="density", ylim=(0, None))
right.legend(frameon=False, fontsize=9)
right.set_title("The drop at $t = 10^{-3}$", fontsize=11)
plots.show(figure, "barenblatt")
