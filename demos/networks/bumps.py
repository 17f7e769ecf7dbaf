r"""
Learning with bumps
===================

Javanmard, Mondelli and Montanari (2019) fit a concave function by bumps whose centres alone move, (2.1) with
:math:`w = 1` and a kernel :math:`K^\delta(x - \theta)` of width :math:`\delta`, in a domain with no flux
through its walls, survey 4.1. As :math:`\delta \to 0` the risk of a density :math:`\rho` of the centres becomes

.. math:: F_\delta(\rho) = \frac12 \int_D \big(K^\delta * \rho - f\big)^2 dx \quad\to\quad
          F_0(\rho) = \frac12 \int_D (\rho - f)^2 dx ,

whose flow is a porous medium equation in the potential :math:`-f`. Where :math:`f'' \le -\lambda` this is
displacement convex, so that a JKO step of :math:`F_0` brings the centres nearer to :math:`f`:
:math:`W_2(\rho_{k+1}, f) \le W_2(\rho_k, f) / (1 + \lambda \tau)`. Does that survive a finite :math:`\delta`?
"""

import numpy as np
import torch

import jko
from jko import plots

# %%
# A concave density on :math:`[0, 1]`, with :math:`f'' = -9`, and centres that start in the left half.

N, M, TAU, STEPS = 100, 200, 0.02, 40
x = (torch.arange(M, dtype=torch.float64)[:, None] + 0.5) / M
levels = (torch.arange(N, dtype=torch.float64) + 0.5) / N


def f(x):
    """A concave density."""
    return 1 + 0.375 * (1 - 3 * (2 * x - 1) ** 2)


fine = torch.linspace(0, 1, 2001, dtype=torch.float64)
share = torch.cumulative_trapezoid(f(fine), fine)
quantiles = torch.from_numpy(np.interp(levels, share, fine[1:]))  # N atoms for f


def bump(delta):
    """The normal density of deviation delta around theta, what leaves [0, 1] reflected."""

    def K(theta, x):
        images = torch.stack([theta, -theta, 2 - theta])
        height = torch.exp(-((x.T - images) ** 2) / (2 * delta**2))
        return height.sum(0) / (delta * (2 * torch.pi) ** 0.5)

    return K


# %%
# Steps for three widths. On the line :math:`W_2` is the distance of sorted atoms.

start = jko.Particles(levels[:, None] / 2, domain=jko.Box([0.0], [1.0]))
runs, away = {}, {}
for delta in (0.2, 0.1, 0.05):
    F = jko.Risk(jko.Data(x, f(x[:, 0])), features=bump(delta))
    runs[delta] = jko.flow(F, start, tau=TAU, steps=STEPS)
    sorted_atoms = torch.stack([mu.points[:, 0].sort().values for mu in runs[delta].states])
    away[delta] = (sorted_atoms - quantiles).square().mean(1).sqrt().numpy()
    print(f"delta = {delta}: W2 to f", " ".join(f"{a:.4f}" for a in away[delta][::5]))
bound = away[0.1][0] * (1 + 9 * TAU) ** -np.arange(STEPS + 1.0)
print("bound for delta -> 0:  ", " ".join(f"{a:.4f}" for a in bound[::5]))

# %%
# The bound of the limit holds until the width is felt: then the centres stay away from :math:`f` by a part that
# falls with :math:`\delta`, nearly like its square.

floors = {delta: W2.min() for delta, W2 in away.items()}
early = away[0.05] > 2 * floors[0.05]
orders = [np.log2(floors[2 * delta] / floors[delta]) for delta in (0.1, 0.05)]
print(f"largest W2 / bound while above the floor: {(away[0.05] / bound)[early].max():.3f}")
print("the floor falls like delta to the power", " and ".join(f"{p:.2f}" for p in orders))
assert (away[0.05] <= bound)[early].all()
assert 1.5 < orders[1] < 2.2

# %%
# Left the distances, right the centres on their way: every fifth of them, and where those of :math:`f` are.

figure, (left, right) = plots.canvas(1, 2, (9.4, 4.2))
for (delta, W2), colour, style in zip(
    away.items(), (plots.BLUE, plots.RED, plots.GREEN), ("-", "--", "-."), strict=True
):
    label = f"$\\delta$ = {delta}"
    left.semilogy(runs[delta].times, W2, color=colour, ls=style, lw=1.6, label=label)
label = "bound, $\\delta \\to 0$"
left.semilogy(runs[0.1].times, bound, color=plots.BLACK, lw=1, ls=":", label=label)
left.set(xlabel="flow time $t$", ylabel="$W_2(\\rho_k, f)$")
left.legend(frameon=False, fontsize=9)
ways = torch.stack([mu.points[::5, 0] for mu in runs[0.05].states])
right.plot(runs[0.05].times, ways, color=plots.BLUE, lw=0.9)
right.plot([0.8] * 20, quantiles[::5], "o", color=plots.BLACK, ms=3, label="where $f$ has its mass")
right.set(xlabel="flow time $t$", ylabel="centre $\\theta$", ylim=(0, 1.15))
right.legend(frameon=False, fontsize=9, loc="upper left")
right.set_title("every fifth centre, $\\delta$ = 0.05", fontsize=11)
plots.show(figure, "bumps")
