"""One energy, one start, four metrics: what a JKO step pays for a move decides which way the atoms go.

``V = (x^2 - 1)^2 / 4 + 2 (y - x^2 / 2)^2``, a bent valley with two wells, from atoms above it.  In W2 an atom follows
``-grad V``; with scales (1, 16) y is slow, and x goes ahead; the square of the sliced metric in the plane is about
half of W2's, so that its flow is twice as fast; the Sinkhorn divergence hardly sees what is smaller than the root of
epsilon, and atoms of one kind gather.
Run it by ``python demos/metrics_of_a_step.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import torch

import jko
from jko import plots

V = jko.Potential(lambda z: (z[:, 0] ** 2 - 1) ** 2 / 4 + 2 * (z[:, 1] - z[:, 0] ** 2 / 2) ** 2)
x = torch.linspace(-1.5, 1.5, 16, dtype=torch.float64)
start = jko.Particles(torch.stack([x, 1.4 + 0.2 * torch.cos(9 * x)], dim=1))
METRICS = {
    "W2": None,
    "W2 with scales (1, 16)": jko.metrics.ScaledWasserstein([1.0, 16.0]),
    "sliced, 24 directions": jko.metrics.SlicedWasserstein(
        24, generator=torch.Generator().manual_seed(0)
    ),
    "Sinkhorn, epsilon = 0.2": jko.metrics.SinkhornDivergence(0.2, tol=1e-8),
}

figure, axes = plots.canvas(1, 5, (17.5, 3.8))
p, q = torch.meshgrid(
    torch.linspace(-1.8, 1.8, 90, dtype=torch.float64),
    torch.linspace(-0.4, 1.8, 60, dtype=torch.float64),
    indexing="ij",
)
height = V.variation(start, torch.stack([p.ravel(), q.ravel()], dim=1)).reshape(p.shape)
colours = (plots.BLACK, plots.RED, plots.BLUE, "tab:green")
for ax, (name, metric), colour in zip(axes, METRICS.items(), colours, strict=False):
    run = jko.flow(V, start, tau=0.05, t1=1.0, metric=metric)
    ways = torch.stack([state.points for state in run.states])
    ax.contour(p, q, height, levels=[0.05 * 2**k for k in range(9)], colors="0.8", linewidths=0.8)
    ax.plot(ways[:, :, 0], ways[:, :, 1], color=colour, lw=0.9)
    ax.plot(*run.final.points.T, "o", color=colour, ms=4)
    ax.set_title(name, fontsize=11)
    axes[4].plot(run.times, run.energies, color=colour, label=name)
    proofs = ", ".join(sorted(set(run.columns["proofs"])))
    print(f"{name}: energy {run.energies[0]:.4f} -> {run.energies[-1]:.4f}; couplings: {proofs}")
axes[4].set(xlabel="$t$", yscale="log")
axes[4].set_title("energy", fontsize=11)
axes[4].legend(frameon=False, fontsize=8)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "metrics_of_a_step.png"))
