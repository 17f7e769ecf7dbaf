r"""
Two hidden layers
=================

Section 5.2 of the survey leaves open what the flow of two layers is as a flow of measures,

.. math:: f(x) = \frac1{N_2} \sum_j w_j \, \sigma\Big(\int b_j \, \sigma(\theta \cdot x) \, d\nu(\theta, b, w)\Big) .

Here an atom of :math:`\nu` is a neuron of the first layer with all its connections :math:`b_j`, and a copy of
the outer weights; the limit :math:`N_1 \to \infty` is a measure, :math:`N_2` is finite. In plain :math:`W_2`
the velocities of :math:`b` and :math:`w` are of order :math:`1/N_2`, and the second layer freezes as
:math:`N_2` grows. In the product metric with the same means,

.. math:: \int |d\theta|^2 + \frac1{N_2} |db|^2 \, d\nu + \frac1{N_2} |dw|^2 ,

flows for different :math:`N_2` are flows of one problem: with each neuron of the second layer written down four
times, :math:`N_2 = 8` says at each time what :math:`N_2 = 2` says.
"""

import torch

import jko
from jko import plots

# %%
# Data with one step inside of another; inputs are :math:`(x, 1)`, for a bias.

line = torch.linspace(-1, 1, 60, dtype=torch.float64)
x = torch.stack([line, torch.ones_like(line)], dim=1)
data = jko.Data(x, torch.tanh(6 * torch.sin(4 * line)))
N1, small, copies = 60, 2, 4
generator = torch.Generator().manual_seed(0)
theta = 3 * torch.randn(N1, 2, generator=generator, dtype=torch.float64)
b = 2 * torch.randn(N1, small, generator=generator, dtype=torch.float64)
w = torch.randn(small, generator=generator, dtype=torch.float64).expand(N1, small)

# %%
# The same network with 2 and with 8 neurons in its second layer, in either metric.


def run(copies, product):
    """A flow with each neuron of the second layer written down ``copies`` times."""
    N2 = small * copies
    F = jko.energies.TwoLayerRisk(data, N2)
    start = jko.Particles(torch.cat([theta, b.repeat(1, copies), w.repeat(1, copies)], dim=1))
    metric = jko.metrics.ScaledWasserstein.two_layers(2, N2) if product else None
    flow = jko.flow(F, start, tau=0.5, steps=40, metric=metric, solver=jko.LBFGS(tol=1e-9))
    return flow, F.predict(flow.final)


runs = {(c, product): run(c, product) for product in (True, False) for c in (1, copies)}
for product, name in ((True, "product metric"), (False, "plain W2")):
    apart = float((runs[1, product][1] - runs[copies, product][1]).abs().max())
    energies = runs[1, product][0].energies[-1], runs[copies, product][0].energies[-1]
    print(f"{name}: risks {energies[0]:.5f}, {energies[1]:.5f}, networks differ by {apart:.1e}")
    if product:
        assert apart < 1e-6
    else:
        assert apart > 1e-2

# %%
# Two curves that are one in the product metric, and two that are not.

figure, (left, right) = plots.canvas(1, 2, (9.4, 4.2))
left.plot(line, data.f, color=plots.BLACK, lw=1, ls=":", label="data")
for (c, product), (flow, says) in runs.items():
    colour = plots.BLUE if product else plots.RED
    style, wide = ("-", 2.4) if c == 1 else ((0, (4, 3)), 1.4)
    shade = {"color": colour, "ls": style, "lw": wide, "alpha": 0.6 if c == 1 else 1}
    label = f"{'product' if product else '$W_2$'}, $N_2$ = {small * c}"
    left.plot(line, says, **shade)
    right.plot(flow.times, flow.energies, label=label, **shade)
left.set(xlabel="$x$", ylabel="network after 40 steps", ylim=(-1.1, 1.45))
left.set_xticks([-1, -0.5, 0, 0.5, 1])
left.legend(frameon=False, fontsize=9, loc="upper right")
right.set(xlabel="flow time $t$", ylabel="risk", ylim=(0, None))
right.set_xticks([0, 5, 10, 15, 20])
right.legend(frameon=False, fontsize=9)
plots.show(figure, "two_layers")
