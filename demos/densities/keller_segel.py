r"""
Spread or collapse: Keller and Segel
====================================

Cells diffuse, and attract each other by what they emit: with mass one and strength :math:`\chi`,

.. math:: E(\rho) = \int \rho \log \rho + \frac{\chi}{4 \pi} \iint \log|x - y| \, d\rho \, d\rho , \qquad
          \frac{d}{dt} \int |x|^2 d\rho = 4 \Big(1 - \frac{\chi}{8 \pi}\Big) .

The second identity (in the whole plane) holds for every start: below :math:`8 \pi` the cells spread, above it
the second moment would reach zero in finite time, so that all mass must have met before. JKO steps keep mass
and sign, and the energy falls, whichever happens.
"""

import numpy as np
from matplotlib.colors import PowerNorm

import jko
from jko import plots

# %%
# On a grid the double sum is a convolution, by FFT; where the kernel has its pole, at distance zero, a cell meets
# itself by the average of the kernel.

grid = jko.Grid((-3.0, 3.0), (96, 96))
attraction = jko.Interaction(lambda z: z.norm(dim=1).log())
start = jko.GridDensity.from_function(grid, lambda x: (-x.square().sum(1)).exp())

# %%
# A JKO step has an identity of its own: it moves :math:`x` by :math:`x - y`, and :math:`|x|^2 - |y|^2 = 2 x
# \cdot (x - y) - |x - y|^2`, so that the second moment grows by :math:`4 (1 - \chi / 8 \pi) \tau - W_2^2`,
# exactly, however large :math:`\tau` is. On a grid it holds up to the width of a cell.

runs, moments = {}, {}
for share in (0.5, 1.0, 1.5):
    E = jko.Entropy() + 4 * share * attraction
    run = runs[share] = jko.flow(E, start, tau=0.02, t1=0.1)
    moments[share] = np.array([float(mu.covariance().trace()) for mu in run.states])
    rates = (np.diff(moments[share]) + run.costs) / 0.02
    print(f"chi = {8 * share:g} pi: rate {rates.mean():+.4f}, formula {4 * (1 - share):+.4f}")
    assert np.abs(rates - 4 * (1 - share)).max() < 0.02
    assert run.slacks.min() >= 0

# %%
# Left the second moment, dotted the law of the whole plane; right the densities at the end.

figure, (left, *right) = plots.canvas(1, 3, (10.2, 3.6))
for (share, run), colour, marker in zip(
    runs.items(), (plots.BLUE, plots.BLACK, plots.RED), "os^", strict=True
):
    left.plot(
        run.times,
        moments[share],
        color=colour,
        marker=marker,
        ms=4,
        label=f"$\\chi = {8 * share:g} \\pi$",
    )
    law = moments[share][0] + 4 * (1 - share) * run.times
    left.plot(run.times, law, color=colour, lw=1, ls=":")
left.set(xlabel="time $t$", ylabel="second moment")
left.set_xticks([0, 0.05, 0.1])
left.legend(frameon=False, fontsize=9)
top = max(float(run.final.values.max()) for run in runs.values())
for ax, share in zip(right, (0.5, 1.5), strict=True):
    plots.density(runs[share].final, ax, norm=PowerNorm(0.5, 0, top))
    ax.set_title(f"$t = 0.1$, $\\chi = {8 * share:g} \\pi$", fontsize=11)
plots.show(figure, "keller_segel")
