r"""
Three energies towards a target
===============================

A cloud of atoms is to sample a target :math:`\pi`, a mixture of two bumps. What is known of it decides which
energy can be used:

.. math:: \tfrac12 \mathrm{MMD}^2(\mu, \pi) = \tfrac12 \iint k(x - y) \, d(\mu - \pi) \, d(\mu - \pi), \qquad
          \tfrac12 W_2^2(\mu, \pi), \qquad
          \mathrm{KL}(\mu | \pi) = \int \log\frac{\mu}{\pi} \, d\mu .

``Discrepancy`` (the first, here with :math:`k(z) = -|z|`) and ``Attraction`` (the second) need samples of
:math:`\pi`; ``KullbackLeibler`` needs its density, up to a factor, and for atoms the width of a mollifier in
place of their entropy, survey 4.1. Their flows take different ways to one place.
"""

import torch

import jko
from jko import plots

# %%
# The target: a mixture of two normal laws, its density and samples.

centres = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
SPREAD = 0.5


def log_density(x):
    """Of an even mixture of two normal laws, up to a constant."""
    return torch.logsumexp(-torch.cdist(x, centres).square() / (2 * SPREAD**2), dim=1)


generator = torch.Generator().manual_seed(0)
noise = torch.randn(150, 2, generator=generator, dtype=torch.float64)
samples = centres.repeat_interleave(75, 0) + SPREAD * noise
others = centres.repeat_interleave(75, 0) + SPREAD * torch.randn(
    150, 2, generator=generator, dtype=torch.float64
)
start = jko.Particles.normal(150, 2, generator=generator, scale=0.3)
start = start.moved(start.points + torch.tensor([0.0, 1.8], dtype=torch.float64))

# %%
# The flows.

energies = {
    "Discrepancy": (jko.Discrepancy(samples), 0.5, 40),
    "Attraction": (jko.Attraction(samples), 0.5, 20),
    "KullbackLeibler": (jko.KullbackLeibler(log_density, bandwidth=0.2), 0.1, 60),
}
runs = {
    name: jko.flow(E, start, tau=tau, steps=steps) for name, (E, tau, steps) in energies.items()
}

# %%
# How near they come, by a judge that none of them has seen: the energy distance to other samples, in units of
# that between two sets of samples.

judge = jko.Discrepancy(others)
usual = float(judge(jko.Particles(samples)))
for name, run in runs.items():
    away = float(judge(run.final))
    print(f"{name}: {float(judge(start)) / usual:.1f} -> {away / usual:.2f} times that of samples")
    assert away < 2 * usual

# %%
# Of ``Attraction`` more is known: it goes along the geodesic, by :math:`\tau / (1 + \tau)` of what is left in
# each step.

W2 = [jko.distance(mu, jko.Particles(samples)).value for mu in runs["Attraction"].states[:8]]
away = max(abs(W2[k] * 1.5**k / W2[0] - 1) for k in range(8))
print(f"W2 to the samples against W2 / 1.5^k, largest relative difference {away:.1e}")
assert away < 1e-8

# %%
# Where the atoms are at the end, and how they came there.

figure, axes = plots.canvas(1, 3, (9.8, 4.0))
p, q = torch.meshgrid(
    torch.linspace(-2.8, 2.8, 80, dtype=torch.float64),
    torch.linspace(-1.8, 2.8, 80, dtype=torch.float64),
    indexing="ij",
)
height = log_density(torch.stack([p.ravel(), q.ravel()], 1)).exp().reshape(p.shape)
for ax, (name, run), colour in zip(
    axes, runs.items(), (plots.BLUE, plots.GREEN, plots.RED), strict=True
):
    ways = torch.stack([mu.points[::3] for mu in run.states])
    ax.contour(p, q, height, levels=6, colors="0.75", linewidths=0.8)
    ax.plot(ways[:, :, 0], ways[:, :, 1], color=plots.GREY, lw=0.5, alpha=0.6)
    ax.plot(*run.final.points.T, "o", color=colour, ms=3)
    ax.set(xlabel="$x_1$", aspect="equal")
    ax.set_title(name, fontsize=11)
axes[0].set_ylabel("$x_2$")
plots.show(figure, "targets")
