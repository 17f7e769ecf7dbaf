r"""
One energy, four metrics
========================

What a step pays for a move decides which way the atoms go. From one start, down one potential

.. math:: V(x, y) = \tfrac14 (x^2 - 1)^2 + 2 (y - \tfrac12 x^2)^2 ,

a bent valley with two wells: in :math:`W_2` an atom follows :math:`-\nabla V`; with scales :math:`(1, 16)` moves in
:math:`y` are dear, and :math:`x` goes ahead; the square of the sliced metric in the plane is about half of that of
:math:`W_2`, so that its flow is about twice as fast; the Sinkhorn divergence hardly sees what is smaller than
:math:`\sqrt\epsilon`, and atoms gather.
"""

import torch

import jko
from jko import plots

# %%
# The valley, and sixteen atoms above it.

V = jko.Potential(lambda z: (z[:, 0] ** 2 - 1) ** 2 / 4 + 2 * (z[:, 1] - z[:, 0] ** 2 / 2) ** 2)
x = torch.linspace(-1.5, 1.5, 16, dtype=torch.float64)
start = jko.Particles(torch.stack([x, 1.4 + 0.2 * torch.cos(9 * x)], dim=1))
METRICS = {
    "$W_2$": None,
    "$W_2$, scales (1, 16)": jko.metrics.ScaledWasserstein([1.0, 16.0]),
    "sliced": jko.metrics.SlicedWasserstein(24, generator=torch.Generator().manual_seed(0)),
    "Sinkhorn, $\\epsilon$ = 0.2": jko.metrics.SinkhornDivergence(0.2, tol=1e-8),
}
runs = {
    name: jko.flow(V, start, tau=0.05, t1=1.0, metric=metric) for name, metric in METRICS.items()
}

# %%
# The first two have a flow to converge to: :math:`\xi' = -\nabla V(\xi)`, and the same with its second
# coordinate slowed down by 16, which is the flow in :math:`W_2` of the stretched coordinate :math:`(x, 4 y)`.

stretch = torch.tensor([1.0, 4.0], dtype=torch.float64)
stretched = jko.Potential(lambda z: V.variation(start, z / stretch))
ends = [
    jko.limits.wasserstein(V, start, t1=1.0).final.points,
    jko.limits.wasserstein(stretched, start.moved(start.points * stretch), t1=1.0).final.points
    / stretch,
]
for (name, run), end in zip(runs.items(), ends, strict=False):
    away = float((run.final.points - end).norm(dim=1).mean())
    print(f"{name}: atoms are {away:.3f} from the flow's, with tau = .05")
    assert away < 0.05
for name, run in runs.items():
    print(f"{name}: energy {run.energies[0]:.3f} -> {run.energies[-1]:.3f}")

# %%
# Ways from above into the valley; grey lines have equal :math:`V`.

figure, axes = plots.canvas(2, 2, (8.4, 6.2))
p, q = torch.meshgrid(
    torch.linspace(-1.8, 1.8, 90, dtype=torch.float64),
    torch.linspace(-0.4, 1.8, 60, dtype=torch.float64),
    indexing="ij",
)
height = V.variation(start, torch.stack([p.ravel(), q.ravel()], dim=1)).reshape(p.shape)
colours = (plots.BLACK, plots.RED, plots.BLUE, plots.GREEN)
for ax, (name, run), colour in zip(axes, runs.items(), colours, strict=True):
    ways = torch.stack([state.points for state in run.states])
    ax.contour(p, q, height, levels=[0.05 * 2**k for k in range(9)], colors="0.8", linewidths=0.8)
    ax.plot(ways[:, :, 0], ways[:, :, 1], color=colour, lw=0.9)
    ax.plot(*run.final.points.T, "o", color=colour, ms=4)
    ax.set(xlabel="$x$", ylabel="$y$", aspect="equal")
    ax.set_title(f"{name}: energy {run.energies[-1]:.2f}", fontsize=11)
plots.show(figure, "metrics_of_a_step")
