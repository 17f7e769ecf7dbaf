r"""
Training with heat, and in a porous medium
==========================================

Section 4 of the survey adds to the energy of a network either the entropy, (4.1), or the porous medium term, (4.6),

.. math:: F(\mu) = \frac12 \int_D (f_\mu - f)^2 dx + \frac\lambda2 \int |\xi|^2 d\mu
          + \beta \int \mu \log \mu \quad\text{or}\quad + \frac{\beta}{2} \int \mu^2 ,

so that the measure of the neurons :math:`\xi = (w, \theta)`, :math:`\Phi(\xi, x) = w \tanh(\theta x)`, has a
density. Heat leaves some mass everywhere; in a porous medium the neurons fill regions with an edge.

Where the flow should end is known without running it: at the Gibbs measure :math:`\mu_* \propto
e^{-\phi_{\mu_*}/\beta}` of (4.5), or at :math:`(l - \phi_{\mu_*})_+ / \beta`, (4.8), with :math:`\phi_\mu` the
first variation of the rest of the energy. ``jko.minimiser`` finds both by a dual problem with one unknown for
each data point.
"""

import torch
from matplotlib.colors import PowerNorm

import jko
from jko import plots

# %%
# Data, neurons and the plane of the neurons, large enough that no mass comes to its edge.

x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
data = jko.Data(x, torch.sin(2 * x[:, 0]))


def neuron(xi, x):
    """Phi(xi, x) = w tanh(theta x), xi = (w, theta)."""
    return xi[:, :1] * torch.tanh(xi[:, 1:] @ x.T)


risk = jko.Risk(data, features=neuron) + 8e-3 * jko.SquaredNorm()
plane = jko.Grid((-8.0, 8.0), (72, 72))
start = jko.GridDensity.from_function(plane, lambda xi: (1.5 - xi.square().sum(-1)).clamp(min=0))

# %%
# The flows, with time steps that grow as they slow down, and the minima.

STEPS = 22
runs, ends = {}, {}
for name, term in {
    "heat": 5e-3 * jko.Entropy(),
    "porous medium": 0.3 * jko.PorousMedium(2),
}.items():
    F = risk + term
    runs[name] = jko.flow(F, start, tau=lambda k: 0.5 * 1.5**k, steps=STEPS)
    ends[name] = jko.minimiser(F, plane)
    away = float((runs[name].final.values - ends[name].state.values).abs().sum()) * plane.cell
    border = float(runs[name].final.values[[0, -1]].sum()) * plane.cell
    print(f"{name}: F = {runs[name].energies[-1]:.8f}, min F = {ends[name].energy:.8f}")
    print(f"  L1 distance to the minimiser {away:.1e}, mass at the border {border:.0e}")
    assert 0 <= runs[name].energies[-1] - ends[name].energy < 2e-6
    assert away < 0.02
    assert border < 1e-5

# %%
# Above heat, below the porous medium: the same four arms, once blurred, once with an edge.

figure, axes = plots.canvas(2, 3, (9.6, 6.2))
names, norm = ("$w$", "$\\theta$"), PowerNorm(0.5, 0, 0.4)
for row, (name, run) in enumerate(runs.items()):
    left, right = axes[3 * row : 3 * row + 2], axes[3 * row + 2]
    times = [run.times[k] for k in (STEPS // 2, STEPS)]
    plots.snapshots(run, left, times, plane=(1, 0), names=names, norm=norm)
    left[0].set_title(f"{name}, $t$ = {times[0]:.0f}", fontsize=11)
    left[1].set_title(f"$t$ = {times[1]:.0f}", fontsize=11)
    colour, style = ((plots.RED, "-"), (plots.BLUE, "--"))[row]
    net = jko.Risk(data, features=neuron).predict(run.final)
    axes[2].plot(x[:, 0], net, color=colour, ls=style, lw=1.6, label=name)
    gaps = run.energies - ends[name].energy
    axes[5].loglog(run.times[1:], gaps[1:], color=colour, ls=style, marker="o", ms=3, label=name)
axes[2].plot(x[:, 0], data.f, color=plots.BLACK, lw=1, ls=":", label="data")
axes[2].set(xlabel="$x$", ylabel="network $f_\\mu$", ylim=(-1.05, 1.9))
axes[5].set(xlabel="flow time $t$", ylabel="$F(\\mu_k) - \\min F$")
for ax, place in ((axes[2], "upper left"), (axes[5], "lower left")):
    ax.legend(loc=place, frameon=False, fontsize=9)
plots.show(figure, "heat_and_porous_medium")
