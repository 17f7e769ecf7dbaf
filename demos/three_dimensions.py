"""Two drops in a porous medium spread in space, on 64^3 cells, meet and merge.

Until they touch, each is alone, and the exact JKO iterate is known: a step takes one profile into another.
Run it by ``python demos/three_dimensions.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import torch
from matplotlib.colors import PowerNorm

import jko
from jko import exact, plots

STEPS = 16
CENTRES = torch.tensor([[0.36, 0.5, 0.42], [0.64, 0.5, 0.58]], dtype=torch.float64)
E = 2 * jko.PorousMedium(2)  # d_t rho = Lap rho^2; a drop u of mass 1/2 is rho / 2 with
medium = {"m": 2, "d": 3, "c": 1}  # d_t rho = 1/2 Lap rho^2
grid, fine = (jko.Grid((0.0, 1.0), (n, n, n)) for n in (64, 128))


def drops(R):
    """Both drops, with radius R: means over the cells, by 8 points in each."""
    points = fine.centres.numpy()
    values = sum(exact.barenblatt(points, R=R, centre=centre.numpy()) for centre in CENTRES)
    means = torch.from_numpy(values.reshape(64, 2, 64, 2, 64, 2).mean((1, 3, 5)))
    return jko.GridDensity(grid, means / (means.sum() * grid.cell))


def tau(k):
    """Time steps that grow as the drops slow down."""
    return 1e-6 * 1.25**k


radii = [float(exact.barenblatt_flow(0.0, t=2e-6, **medium))]
for k in range(STEPS):
    radii.append(exact.barenblatt_step(radii[-1], tau=tau(k), **medium))
apart = float((CENTRES[1] - CENTRES[0]).norm())
flow = jko.flow(E, drops(radii[0]), tau=tau, steps=STEPS)
print(flow)
print("step    energy   mass - 1    slack   correction   L1 to the exact JKO iterate")
for k in range(1, STEPS + 1):
    rho, error = flow.states[k], "they have met"
    if 2 * radii[k] < apart:
        away = (rho.values - drops(radii[k]).values).abs().sum()
        error = f"{float(away) * grid.cell:.1e}"
    print(
        f"{k:4d} {flow.energies[k]:9.3f} {float(rho.mass) - 1:10.0e} {flow.slacks[k - 1]:8.3f} "
        f"{flow.columns['correction'][k - 1]:12.0e}   {error}"
    )

figure, axes = plots.canvas(2, 3, (11.4, 7.6))
plots.snapshots(flow, axes[:3], plane=(0, 2), norm=PowerNorm(0.5, vmin=0))
plots.slices(flow.final, axes[3:])
figure.suptitle(
    "above: the mass seen along $x_2$; below: cuts through the middle at the end", fontsize=11
)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "three_dimensions.png"))
