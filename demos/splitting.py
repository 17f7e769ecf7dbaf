"""A gradient flow never splits an atom, but a JKO step of finite tau may want to, and its certificate says so.

Features (xi^2, xi) and target (1, 0): the atom at 0 should go to both sides at once, so that xi^2 grows while xi keeps
the mean 0.  One atom cannot: its step ends .25 above the best measure.  Two half atoms can.
Run it by ``python demos/splitting.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import torch

import jko
from jko import plots

TAU, NUDGE = 2.0, 1e-6  # at 0 itself the gradient vanishes: a nudge tells each atom where to go
data = jko.Data([[0.0], [1.0]], [1.0, 0.0], weights=[1.0, 1.0])


def features(xi, x):
    """xi^2 at x = 0 and xi at x = 1."""
    return torch.where(x[:, 0] == 0, xi**2, xi)


F = jko.Risk(data, features=features)
found = {}
for name, atoms in (("one atom", [[NUDGE]]), ("two half atoms", [[-NUDGE], [NUDGE]])):
    step = jko.step(F, jko.Particles(atoms), tau=TAU, solver=jko.LBFGS(tol=1e-12))
    gap = step.certificate()
    found[name] = (step.state.points[:, 0].tolist(), step.objective, gap.value)
    print(f"{name}: value {step.objective:.6f}, {gap}")

# the step's value for half atoms at a and b, from the atom at 0
a, b = torch.meshgrid(*2 * [torch.linspace(-1.6, 1.6, 161, dtype=torch.float64)], indexing="ij")
value = ((a**2 + b**2) / 2 - 1) ** 2 / 2 + ((a + b) / 2) ** 2 / 2 + (a**2 + b**2) / (4 * TAU)

figure, (ax,) = plots.canvas(1, 1, (6.2, 5.6))
levels = [0.2 + 0.04 * k for k in range(16)]
filled = ax.contourf(a, b, value.clamp(max=0.799), levels=levels, cmap="Greys", vmax=1.2)
figure.colorbar(filled, ax=ax, label="energy + cost / $2\\tau$", shrink=0.85)
ax.plot([-1.6, 1.6], [-1.6, 1.6], color=plots.BLACK, lw=1, ls="--", label="not split: $a = b$")
for (name, (points, height, gap)), colour in zip(
    found.items(), (plots.RED, plots.BLUE), strict=True
):
    label = f"{name}: {height:.4f}, gap {max(gap, 0):.2g}"
    ax.plot(points[0], points[-1], "o", color=colour, ms=9, mec="white", label=label)
ax.set(xlabel="half atom at $a$", ylabel="half atom at $b$", aspect="equal")
ax.set_title(f"One JKO step from the atom at 0, $\\tau$ = {TAU:g}", fontsize=11)
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False, fontsize=9)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "splitting.png"))
