r"""
Spikes seen through a low-pass filter
=====================================

A signal on the circle is a few spikes, :math:`m = \sum_j a_j \delta_{\theta_j}`, seen through a filter
:math:`h` that lets only low frequencies pass: :math:`f(x) = \sum_j a_j h(x - \theta_j)`. To find them, let
neurons :math:`\xi = (w, \theta)` carry charges :math:`w` to places :math:`\theta` (Chizat and Bach 2018):

.. math:: F(\mu) = \frac12 \int \Big(\int w \, h(x - \theta) \, d\mu - f(x)\Big)^2 dx + \frac\lambda2 \int w^2 d\mu .

By Jensen's inequality, survey 2.3, the last term is at least :math:`\frac\lambda2 \big(\int |w| d\mu\big)^2`, with
equality where all :math:`|w|` are equal: so the minimum is that of the least squares with the square of the total
variation, which is sparse. And many neurons, spread over the circle, find it.
"""

import torch

import jko
from jko import plots

# %%
# Two spikes up and one down, and a filter of the frequencies up to 6.

places = torch.tensor([1.0, 2.2, 4.6], dtype=torch.float64)
charges = torch.tensor([1.0, -0.7, 0.8], dtype=torch.float64)
k = torch.arange(1, 7, dtype=torch.float64)


def low_pass(theta, x):
    """The Fejer kernel of degree 6 at x - theta, (N, M)."""
    return 1 + 2 * ((1 - k / 7) * torch.cos(k * (x.T - theta)[:, :, None])).sum(-1)


x = 2 * torch.pi * torch.arange(64, dtype=torch.float64)[:, None] / 64
f = charges @ low_pass(places[:, None], x)
risk = jko.Risk(jko.Data(x, f), activation=low_pass)
F = risk + 1e-3 * jko.Potential(lambda xi: xi[:, 0] ** 2 / 2)

# %%
# Forty neurons in equal distances, all without charge.

angles = 2 * torch.pi * torch.arange(40, dtype=torch.float64) / 40
start = jko.Particles(torch.stack([0 * angles, angles], dim=1))
flow = jko.flow(F, start, tau=10.0, steps=150, solver=jko.LBFGS.training())
w, theta = flow.final.points.T
print(flow)

# %%
# Which neurons belong to a spike: those within .3 of it. Their charges add up to its charge, and their mean place,
# weighted by charge, is where it is.

for place, charge in zip(places, charges, strict=True):
    mine = ((theta - place).abs() < 0.3) & (w * charge > 0)
    total = float(w[mine].sum()) / len(w)
    where = float((w * theta)[mine].sum() / w[mine].sum())
    print(
        f"spike {charge:+.1f} at {place:.1f}: found {total:+.3f} at {where:.4f}, {int(mine.sum())} neurons"
    )
    assert abs(where - place) < 0.01
    assert abs(total - charge) < 0.02
stray = float(w[(theta[:, None] - places).abs().min(1).values > 0.3].abs().sum()) / len(w)
print(f"charge elsewhere {stray:.1e}")
assert stray < 1e-2

# %%
# Left what is seen, right where the neurons go.

figure, (left, right) = plots.canvas(1, 2, (9.4, 4.2))
left.plot(x, f, color=plots.BLACK, lw=1.2, ls="--", label="seen, $f$")
left.plot(
    x, risk.predict(flow.final), color=plots.BLUE, lw=1.6, alpha=0.7, label="network $f_\\mu$"
)
left.stem(
    places, 5 * charges, linefmt=plots.RED, markerfmt="o", basefmt=" ", label="5 times the spikes"
)
left.axhline(0, color=plots.GREY, lw=0.6)
left.set(xlabel="place $x$ on the circle", ylabel="signal", ylim=(-5.5, 11))
left.legend(frameon=False, fontsize=9, loc="upper right")
ways = torch.stack([mu.points for mu in flow.states])
right.plot(ways[:, :, 1], ways[:, :, 0], color=plots.GREY, lw=0.7)
right.plot(theta, w, "o", color=plots.BLUE, ms=4, label="neurons at the end")
for place in places:
    right.axvline(float(place), ymax=0.78, color=plots.RED, lw=0.8, ls=":")
right.plot([], [], color=plots.RED, lw=0.8, ls=":", label="spikes")
right.set(xlabel="place $\\theta$", ylabel="charge $w$", ylim=(-6, 10))
right.legend(frameon=False, fontsize=9, loc="upper right")
plots.show(figure, "spikes")
