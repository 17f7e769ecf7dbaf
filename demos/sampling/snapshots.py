r"""
The potential behind snapshots
==============================

A population is seen at some times, and nobody is followed: unpaired clouds :math:`\mu_0, \mu_1, \dots` that
flow down a potential :math:`V` which nobody knows. The optimal plan from one cloud to the next pairs them, and
a JKO step, seen from where it ends, says the gradient,

.. math:: \frac{x - y}{\tau} = - \nabla V(x) ,

the first-order condition of the step. With :math:`V` in a span this is linear least squares
(the problem is that of Bunne et al. 2022, the condition of Terpin et al. 2024). The condition holds at the
*new* point :math:`x`; for data made by explicit steps it holds at the old one, and reading one as the other
costs more than a bad model.
"""

import torch

import jko
from jko import plots
from jko.snapshots import Monomials, fit

# %%
# Snapshots of a flow in a bent valley, with their atoms in random order.

V = jko.Potential(lambda z: (z[:, 0] ** 2 - 1) ** 2 / 4 + 2 * (z[:, 1] - z[:, 0] ** 2 / 2) ** 2)
generator = torch.Generator().manual_seed(0)
start = jko.Particles.normal(150, 2, generator=generator, scale=0.8)
flow = jko.flow(V, start, tau=0.1, steps=6, solver=jko.LBFGS(tol=1e-11))
clouds = [mu.points[torch.randperm(150, generator=generator)] for mu in flow.states]

# %%
# Read with the polynomials of degree 4, in which :math:`V` lies; as if explicit steps had made them; and with
# those of degree 2, in which it does not.

found = {
    "degree 4": fit(clouds, Monomials(4), tau=0.1),
    "read as explicit": fit(clouds, Monomials(4), tau=0.1, scheme="explicit"),
    "degree 2": fit(clouds, Monomials(2), tau=0.1),
}
everywhere = jko.Particles(torch.cat(clouds))
true = V.gradient(everywhere)
errors = {}
for name, one in found.items():
    wrong = one.potential.gradient(everywhere) - true
    errors[name] = float(wrong.norm() / true.norm())
    print(f"{name}: error of the gradient {errors[name]:.1e}; {one.refused or 'explains the data'}")
assert errors["degree 4"] < 1e-6
assert errors["read as explicit"] > 0.1
assert found["degree 4"].refused is None
assert all(found[name].refused for name in ("read as explicit", "degree 2"))

# %%
# Left the first and the last cloud in the true valley, then what was found, each with the same levels.

figure, axes = plots.canvas(1, 3, (9.8, 3.6))
p, q = torch.meshgrid(
    torch.linspace(-2.6, 2.6, 90, dtype=torch.float64),
    torch.linspace(-1.9, 2.4, 80, dtype=torch.float64),
    indexing="ij",
)
at = torch.stack([p.ravel(), q.ravel()], 1)
potentials = {"true $V$, first and last cloud": V} | {
    f"{name}: error {errors[name]:.1g}": found[name].potential
    for name in ("degree 4", "read as explicit")
}
for ax, (name, W) in zip(axes, potentials.items(), strict=True):
    height = W.variation(start, at).detach()
    height = (height - height.min()).reshape(p.shape)
    ax.contour(p, q, height, levels=[0.05 * 2**k for k in range(9)], cmap="Blues_r", linewidths=1)
    ax.set(xlabel="$x_1$", aspect="equal", xlim=(-2.6, 2.6), ylim=(-1.9, 2.4))
    ax.set_title(name, fontsize=10)
axes[0].plot(*clouds[0].T, "o", color=plots.GREY, ms=2.5)
axes[0].plot(*clouds[-1].T, "o", color=plots.RED, ms=2.5)
axes[0].set_ylabel("$x_2$")
plots.show(figure, "snapshots")
