r"""
A posterior as a normal law
===========================

Bayesian logistic regression with labels :math:`y_i = \pm 1` has the posterior :math:`\pi \propto e^{-V}`,

.. math:: V(w) = \sum_i \log(1 + e^{-y_i x_i \cdot w}) + \tfrac12 |w|^2 .

Variational inference looks for the normal law that is nearest to it, by the flow of
:math:`\mathrm{KL}(\mu \,|\, \pi)` among normal laws in the Bures metric,

.. math:: m' = -\mathbb{E} \nabla V, \qquad S' = 2 I - \mathbb{E}[D^2 V] S - S\, \mathbb{E}[D^2 V] .

Each of its JKO steps finds an affine map; the entropy is exact in any dimension. A mixture of normal laws moves in
the same way, each component by a map of its own, and finds what one law cannot: several modes.
"""

import numpy as np
import torch

import jko
from jko import plots

# %%
# Sixty data in ten dimensions. The flow of one normal law, from the prior.

rng = np.random.default_rng(4)
x, truth = rng.standard_normal((60, 10)), rng.standard_normal(10)
y = np.sign(x @ truth + 0.5 * rng.logistic(size=60))
Z = torch.tensor(x * y[:, None])
posterior = jko.KullbackLeibler(
    lambda w: -torch.nn.functional.softplus(-w @ Z.T).sum(-1) - 0.5 * (w**2).sum(-1)
)
run = jko.flow(posterior, jko.Gaussian(np.zeros(10), np.eye(10)), tau=0.5, steps=12)

# %%
# An independent answer: at rest :math:`\mathbb{E} \nabla V = 0` and :math:`S^{-1} = \mathbb{E}[D^2 V]`, where all means
# are of a function of one normal number for each datum, so that a rule on the line finds them.

h, weight = np.polynomial.hermite_e.hermegauss(60)
weight, m, S, z = weight / weight.sum(), np.zeros(10), np.eye(10), Z.numpy()
for _ in range(200):
    p = 1 / (1 + np.exp((z @ m)[:, None] + np.sqrt(np.einsum("ni,ij,nj->n", z, S, z))[:, None] * h))
    H = z.T @ (((p * (1 - p)) @ weight)[:, None] * z) + np.eye(10)
    m = m - 0.7 * np.linalg.solve(H, m - (p @ weight) @ z)
    S = S + 0.7 * (np.linalg.inv(H) - S)
apart = np.linalg.norm(run.final.S.numpy() - S) / np.linalg.norm(S)
print(
    f"covariance: {apart:.2%} apart; mean: {np.linalg.norm(run.final.m.numpy() - m) / np.linalg.norm(m):.2%}"
)
print(
    f"energy {run.energies[0]:.3f} -> {run.energies[-1]:.3f}, never rising: {np.diff(run.energies).max() <= 1e-10}"
)
assert apart < 0.02
assert np.diff(run.energies).max() <= 1e-10

# %%
# A target with two bent modes in the plane: one normal law finds one of them, and a mixture of two both.  Each of the
# two hills holds half of the mass, so that one law alone is at least :math:`\log 2` further away.


def log_density(x: torch.Tensor) -> torch.Tensor:
    """Two hills on a parabola, up to a constant."""
    a, b = x[:, 0], x[:, 1]
    return -((a**2 - 4) ** 2) / 8 - 2 * (b - 0.3 * a**2 + 1) ** 2


target, grid = jko.KullbackLeibler(log_density), jko.Grid(((-4.0, 4.0), (-3.0, 3.0)), (160, 120))
offset = float(log_density(grid.centres).exp().sum().mul(grid.cell).log())
small = 0.5 * np.eye(2)
start = jko.GaussianMixture([[0.5, 0.0], [-0.5, 0.0]], [small, small], nodes=225)
one = jko.flow(target, jko.Gaussian([0.3, 0.0], small, nodes=225), tau=0.5, steps=16)
two = jko.flow(target, start, tau=0.5, steps=16)
for name, found in (("one law", one), ("mixture of two", two)):
    print(f"KL from the target, {name}: {found.energies[-1] + offset:.4f}")
assert two.energies[-1] + offset < 0.1 < one.energies[-1] + offset

# %%
# The posterior's first two coordinates, and the ways of the two flows over the target.

figure, (left, middle, right) = plots.canvas(1, 3, (12.5, 3.9))
plots.ellipse_ways(run, left)
left.set_title("ten dimensions: from the prior", fontsize=11)
for ax, found, name in ((middle, one, "one normal law"), (right, two, "a mixture of two")):
    values = log_density(grid.centres).exp().reshape(grid.shape).T
    ax.contourf(*grid.axes, values, levels=8, cmap="Greys", alpha=0.6)
    plots.ellipse_ways(found, ax)
    ax.set_title(f"{name}: KL = {found.energies[-1] + offset:.3f}", fontsize=11)
plots.show(figure, "posterior")
