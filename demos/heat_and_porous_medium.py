"""A network trained as a density of its neurons w tanh(theta x), with the heat and with the porous-medium term.

Section 4 of the survey adds Ent(mu), (4.1), or 1/2 int mu^2, (4.6), to the energy.  Heat leaves some mass everywhere;
in a porous medium the neurons fill regions with an edge.  ``jko.minimiser`` computes where the flow should end
without running it.
Run it by ``python demos/heat_and_porous_medium.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import torch
from matplotlib.colors import PowerNorm

import jko
from jko import plots

STEPS = 20
x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
data = jko.Data(x, 0.5 * torch.sin(2 * x[:, 0]))


def neuron(xi, x):
    """Phi(xi, x) = w tanh(theta x), xi = (w, theta)."""
    return xi[:, :1] * torch.tanh(xi[:, 1:] @ x.T)


def tau(k):
    """Time steps that grow as the flow slows down."""
    return 0.5 * 1.5**k


risk = jko.Risk(data, features=neuron)
plane = jko.Grid((-4.0, 4.0), (64, 64))
start = jko.GridDensity.from_function(plane, lambda xi: (1.5 - xi.square().sum(-1)).clamp(min=0))
terms = {"heat": 2e-3 * jko.Entropy(), "porous medium": 0.1 * jko.PorousMedium(2)}
runs, ends = {}, {}
for name, term in terms.items():
    F = risk + 2e-3 * jko.SquaredNorm() + term
    runs[name], ends[name] = jko.flow(F, start, tau=tau, steps=STEPS), jko.minimiser(F, plane)
    run, best = runs[name], ends[name]
    print(f"\n{name}: {run}\nthe minimum: {best}")
    print("       t     F - min F       slack   correction   L1 to the minimiser")
    for k in range(2, STEPS + 1, 2):
        away = float((run.states[k].values - best.state.values).abs().sum()) * plane.cell
        print(
            f"{run.times[k]:8.1f} {run.energies[k] - best.energy:13.2e} {run.slacks[k - 1]:11.1e} "
            f"{run.columns['correction'][k - 1]:12.0e} {away:21.3f}"
        )

figure, axes = plots.canvas(2, 4, (14.4, 6.8))
for row, (name, run) in enumerate(runs.items()):
    left, right = axes[4 * row : 4 * row + 3], axes[4 * row + 3]
    times = [run.times[k] for k in (0, STEPS // 2, STEPS)]
    names, norm = ("$w$", "$\\theta$"), PowerNorm(0.5, 0, 0.6)
    plots.snapshots(run, left, times, plane=(1, 0), names=names, norm=norm)
    left[0].set_title(f"{name}: start", fontsize=10)
    colour, gaps = (plots.RED, plots.BLUE)[row], run.energies - ends[name].energy
    axes[3].plot(x[:, 0], risk.predict(run.final), color=colour, lw=1.6, label=name)
    axes[7].loglog(run.times[1:], gaps[1:], color=colour, marker="o", ms=3, label=name)
axes[3].plot(x[:, 0], data.f, color=plots.BLACK, lw=1, ls="--", label="data")
axes[3].set(xlabel="$x$", ylabel="network $f_\\mu$", ylim=(-0.8, 0.6))
axes[7].set(xlabel="flow time $t$", ylabel="$F(\\mu_k) - \\min F$")
for ax, place in ((axes[3], "lower right"), (axes[7], "lower left")):
    ax.legend(loc=place, frameon=False, fontsize=9)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "heat_and_porous_medium.png"))
