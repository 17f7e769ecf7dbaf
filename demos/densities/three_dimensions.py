r"""
Two drops meet in space
=======================

In a porous medium, :math:`\partial_t \rho = \Delta \rho^2`, survey (4.7), two drops spread on a grid of three
dimensions, meet and merge. Until they touch each is alone, and a JKO step takes one profile

.. math:: \rho(x) = \frac{c}{R^3} \left(1 - \frac{|x|^2}{R^2}\right)_+

into another: the exact iterate of the scheme is known.
"""

import torch
from matplotlib.colors import PowerNorm

import jko
from jko import exact, plots

# %%
# Both drops, as means over cells.

N, STEPS = 48, 16
CENTRES = torch.tensor([[0.36, 0.5, 0.42], [0.64, 0.5, 0.58]], dtype=torch.float64)
E = 2 * jko.PorousMedium(2)  # d_t rho = Lap rho^2; a drop u of mass 1/2 is rho / 2 with
medium = {"m": 2, "d": 3, "c": 1}  # d_t rho = 1/2 Lap rho^2
grid, fine = (jko.Grid((0.0, 1.0), (n, n, n)) for n in (N, 2 * N))


def drops(R):
    """Both drops, with radius R: means over the cells, by 8 points in each."""
    points = fine.centres.numpy()
    values = sum(exact.barenblatt(points, R=R, centre=centre.numpy()) for centre in CENTRES)
    means = torch.from_numpy(values.reshape(N, 2, N, 2, N, 2).mean((1, 3, 5)))
    return jko.GridDensity(grid, means / (means.sum() * grid.cell))


# %%
# Time steps grow as the drops slow down. Each state is held against the exact iterate, as long as there is one.

flow = jko.flow(
    E,
    drops(exact.barenblatt_flow(0.0, t=3e-6, **medium)),
    tau=lambda k: 1e-6 * 1.25**k,
    steps=STEPS,
)
R, apart = float(exact.barenblatt_flow(0.0, t=3e-6, **medium)), CENTRES.diff(dim=0).norm()
errors = []
for k, tau in enumerate(flow.times[1:] - flow.times[:-1], start=1):
    R = exact.barenblatt_step(R, tau=tau, **medium)
    if apart > 2 * R:
        errors.append(float((flow.states[k].values - drops(R).values).abs().sum()) * grid.cell)
print("L1 error to the exact iterate, step by step:", ", ".join(f"{e:.3f}" for e in errors))
print(f"mass lost {abs(float(flow.final.mass) - 1):.0e}, smallest slack {flow.slacks.min():.2f}")
assert max(errors) < 0.05
assert abs(float(flow.final.mass) - 1) < 1e-12

# %%
# Above, the mass seen along :math:`x_2`; below, cuts through the middle at the end.

figure, axes = plots.canvas(2, 3, (9.4, 6.2))
plots.snapshots(flow, axes[:3], plane=(0, 2), norm=PowerNorm(0.5, vmin=0))
for ax, k in zip(axes[:3], (0, STEPS // 2, STEPS), strict=True):
    ax.set_title(f"$10^6 t$ = {1e6 * flow.times[k]:.0f}", fontsize=11)
plots.slices(flow.final, axes[3:])
plots.show(figure, "three_dimensions")
