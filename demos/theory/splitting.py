r"""
Steps that want to split an atom
================================

A gradient flow never splits an atom, but a JKO step of finite :math:`\tau` may want to, and its certificate
says so. With the features :math:`(\xi^2, \xi)` and the target :math:`(1, 0)`,

.. math:: F(\mu) = \frac12 \Big(\int \xi^2 d\mu - 1\Big)^2 + \frac12 \Big(\int \xi \, d\mu\Big)^2 ,

an atom at 0 should go to both sides at once, so that :math:`\xi^2` grows while the mean stays 0. One atom
cannot, and its step ends 1/4 above the best measure. Two half atoms can. The bound comes from the dual of the
step, over all measures (survey 2.2.1: the flow of :math:`N` atoms keeps :math:`N` atoms, and may rest where the
minimum is not).
"""

import torch

import jko
from jko import plots

# %%
# A step from one atom, and from the same atom in two halves. At 0 itself the gradient vanishes: a nudge tells
# each half where to go.

TAU, NUDGE = 2.0, 1e-6
data = jko.Data([[0.0], [1.0]], [1.0, 0.0], weights=[1.0, 1.0])
F = jko.Risk(data, features=lambda xi, x: torch.where(x[:, 0] == 0, xi**2, xi))
found = {}
for name, atoms in (("one atom", [[NUDGE]]), ("two half atoms", [[-NUDGE], [NUDGE]])):
    step = jko.step(F, jko.Particles(atoms), tau=TAU, solver=jko.LBFGS(tol=1e-12))
    gap = step.certificate()
    found[name] = (step.state.points[:, 0].tolist(), step.objective, gap.value)
    print(f"{name}: value {step.objective:.6f}, {gap}")

# %%
# Both values are known in closed form.

exact = jko.exact.splitting_values(TAU)
print(exact)
assert abs(found["one atom"][1] - exact.single) < 1e-5
assert abs(found["two half atoms"][1] - exact.free) < 1e-5
assert abs(found["one atom"][2] - (exact.single - exact.free)) < 1e-4

# %%
# The value of the step for half atoms at :math:`a` and :math:`b`, from the atom at 0.

a, b = torch.meshgrid(*2 * [torch.linspace(-1.6, 1.6, 161, dtype=torch.float64)], indexing="ij")
value = ((a**2 + b**2) / 2 - 1) ** 2 / 2 + ((a + b) / 2) ** 2 / 2 + (a**2 + b**2) / (4 * TAU)

figure, (ax,) = plots.canvas(1, 1, (6.2, 5.6))
levels = [0.2 + 0.05 * k for k in range(13)]
filled = ax.contourf(a, b, value.clamp(max=0.799), levels=levels, cmap="Greys", vmax=1.2)
figure.colorbar(filled, ax=ax, label="energy + cost / $2\\tau$", shrink=0.85, ticks=levels[::2])
ax.plot([-1.6, 1.6], [-1.6, 1.6], color=plots.BLACK, lw=1, ls="--", label="not split: $a = b$")
for (name, (points, height, gap)), colour, marker in zip(
    found.items(), (plots.RED, plots.BLUE), "os", strict=True
):
    label = f"{name}: {height:.4f}, gap {max(gap, 0):.2f}"
    ax.plot(points[0], points[-1], marker, color=colour, ms=9, mec="white", label=label)
ax.set(xlabel="half atom at $a$", ylabel="half atom at $b$", aspect="equal")
ax.set_title(f"One JKO step from the atom at 0, $\\tau$ = {TAU:g}", fontsize=11)
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False, fontsize=9)
plots.show(figure, "splitting")
