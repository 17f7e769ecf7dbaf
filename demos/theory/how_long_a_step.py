r"""
How long a step
===============

A gradient flow is fast at first and slow at the end, so equal steps are too long at first and too short at the end.
``tau=jko.Adaptive(tol)`` makes each step as long as its error, a distance in the metric of the flow, may be ``tol``.
The witness: a network, survey (2.7), whose flow (3.7) an integrator of high order computes up to :math:`t = 100`.
"""

import numpy as np
import torch

import jko
from jko import plots

x = torch.linspace(-2, 2, 40, dtype=torch.float64)[:, None]
risk = jko.Risk(jko.Data(x, torch.sin(2 * x[:, 0])), activation=jko.Ridge(torch.tanh))
F = risk + 0.01 * jko.SquaredNorm()
mu = jko.Particles.normal(30, 3, generator=torch.Generator().manual_seed(0))
times = [1.0, 10.0, 100.0]
limit = jko.limits.wasserstein(F, mu, t1=100.0, times=times, rtol=1e-10)


def error(run):
    """The largest distance of the neurons from their places in the flow, at the three times."""
    moves = (run.at(t).points - limit.at(t).points for t in times)
    return max(float(move.square().sum(-1).mean().sqrt()) for move in moves)


# %%
# Two hundred equal steps, against steps of a tolerance: of order one, and of order two, whose solves are as many as
# its steps. The times that are asked for are hit to the bit.

runs = {
    "equal steps": jko.flow(F, mu, tau=0.5, t1=100.0, save=times, solver=jko.LBFGS(tol=1e-6)),
    "Implicit": jko.flow(F, mu, tau=jko.Adaptive(1e-3), t1=100.0, save=times),
    "BDF2": jko.flow(F, mu, tau=jko.Adaptive(1e-3), t1=100.0, save=times, scheme=jko.BDF2()),
}
for name, run in runs.items():
    again = int(run.columns.get("rejected", np.zeros(1)).sum())
    print(f"{name:12} {len(run.times) - 1 + again:4d} solves, error {error(run):.1e}")
assert runs["BDF2"].times[runs["BDF2"].kept].tolist() == [0.0, *times]
assert error(runs["BDF2"]) < error(runs["equal steps"]) / 4
assert len(runs["BDF2"].times) < 100

# %%
# The lengths over time, and what each step is estimated to err by.

figure, axes = plots.canvas(1, 2, (10.5, 4.4))
for ax, name in zip(axes, ("Implicit", "BDF2"), strict=True):
    plots.step_lengths(runs[name], ax)
    ax.set_title(
        f"{name}: {len(runs[name].times) - 1} steps, error {error(runs[name]):.0e}", fontsize=11
    )
    ax.set_ylim(1e-5, 400)
plots.show(figure, "how_long_a_step")
