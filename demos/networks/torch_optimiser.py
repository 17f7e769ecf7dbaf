r"""
A JKO step as a torch optimiser
===============================

``jko.optim.JKO`` trains any torch module: each ``step(closure)`` minimises

.. math:: \text{loss}(p) + \frac{|p - p_k|^2}{2 \tau}

over all parameters, so that the loss falls in every step, whatever the learning rate :math:`\tau` is. Of a
network that is the mean of :math:`N` neurons this is the JKO scheme of the survey in :math:`W_2`, (2.4) and
(3.7): with ``neurons=N`` the rate counts for one neuron, and the steps are those of ``jko.flow``.
"""

from itertools import pairwise

import torch

import jko
from jko import plots

# %%
# A network as torch users write it, with the mean over the neurons.


class Shallow(torch.nn.Module):
    """``1/N sum_i w_i tanh(a_i x + b_i)``."""

    def __init__(self, neurons):
        super().__init__()
        self.xi = torch.nn.Parameter(neurons.clone())

    def forward(self, x):
        w, a, b = self.xi.T
        return torch.tanh(x[:, None] * a + b) @ w / len(w)


x = torch.linspace(-1, 1, 80, dtype=torch.float64)
f = torch.sin(torch.pi * x)
start = jko.Particles.normal(50, 3, generator=torch.Generator().manual_seed(0))


def train(make, steps):
    """Losses, and how often the loss was evaluated before each."""
    net = Shallow(start.points)
    optimiser = make(net.parameters())
    losses, counts, count = [], [], 0

    def closure():
        nonlocal count
        count += 1
        optimiser.zero_grad()
        loss = 0.5 * (net(x) - f).square().mean()
        loss.backward()
        return loss

    for _ in range(steps):
        counts.append(count)
        losses.append(float(optimiser.step(closure).detach()))
    return net, losses, counts


# %%
# The steps of the optimiser and those of ``jko.flow`` are the same.

exactly = jko.LBFGS(tol=1e-10)
net, losses, _ = train(lambda p: jko.optim.JKO(p, lr=1.0, neurons=50, solver=exactly), 20)
risk = jko.Risk(jko.Data(x[:, None], f), activation=jko.Ridge(torch.tanh))
flow = jko.flow(risk, start, tau=1.0, steps=20, solver=exactly)
apart = float((net.xi.detach() - flow.final.points).abs().max())
print(f"20 steps of the optimiser and of jko.flow end {apart:.1e} apart")
assert apart < 1e-7

# %%
# Side by side with Adam, for the same number of evaluations of the loss. The JKO loss never rises. Adam with
# the right rate is as fast, though it rises now and then; with a tenth of it it is far behind, and the right
# rate is not known before.

runs = {
    "JKO, $\\tau$ = 50 a neuron": train(lambda p: jko.optim.JKO(p, lr=50.0, neurons=50), 60),
    "Adam, lr = 0.05": train(lambda p: torch.optim.Adam(p, lr=0.05), 150),
    "Adam, lr = 0.5": train(lambda p: torch.optim.Adam(p, lr=0.5), 150),
}
for name, (_, losses, counts) in runs.items():
    rises = sum(b > a for a, b in pairwise(losses))
    print(f"{name}: loss {losses[-1]:.2e} after {counts[-1]} evaluations, rose {rises} times")
    if name.startswith("JKO"):
        assert rises == 0

# %%
# Loss against work.

figure, (ax,) = plots.canvas(1, 1, (6.4, 4.4))
for (name, (_, losses, counts)), colour, style in zip(
    runs.items(), (plots.BLUE, plots.RED, plots.ORANGE), ("-", "--", ":"), strict=True
):
    ax.semilogy(counts, losses, color=colour, ls=style, lw=1.6, label=name)
ax.set(xlabel="evaluations of the loss", ylabel="loss", xlim=(0, 150))
ax.legend(frameon=False, fontsize=9)
plots.show(figure, "torch_optimiser")
